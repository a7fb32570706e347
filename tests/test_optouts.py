"""Reservations in headers, pages, files and lists: a table of what each sentence means for us."""

import io
import mmap
import pickle
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from m3w_builder.config import FetchConfig, RightsConfig, Signal
from m3w_builder.errors import ConfigError
from m3w_builder.optouts import (
    SIGNALS,
    OptOutLists,
    TdmRep,
    answer_optouts,
    covers,
    embedded_optouts,
    page_optouts,
    page_refusal,
    product_token,
    respected,
    rights_digest,
)
from m3w_builder.types import OptOut

AGENT = "m3w-builder"
URL = "https://ex.com/a"
NOW = "2026-11-27T12:00:00Z"


def found(*values: str, name: str = "X-Robots-Tag") -> list[str]:
    headers = [(name, value) for value in values]
    return [o.found for o in answer_optouts(headers, agent=AGENT, where=URL, when=NOW)]


def test_every_signal_of_the_configuration_has_its_sentence() -> None:
    assert set(get_args(Signal)) == set(SIGNALS)


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        (FetchConfig().user_agent, "m3w-builder"),
        ("Crawler", "Crawler"),
        ("Crawler (+https://ex.com/bot)", "Crawler"),
        (" ", ""),
    ],
)
def test_product_token(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token


@pytest.mark.parametrize(
    ("value", "words"),
    [
        # What img2dataset knows (its default list), and what it misses.
        ("noai", ["noai"]),
        ("noimageai", ["noimageai"]),
        ("noindex", ["noindex"]),
        ("noimageindex", ["noimageindex"]),
        ("none", ["none"]),
        ("noml", ["noml"]),
        ("max-image-preview: none, noai", ["noai"]),
        ("max-snippet:-1, max-video-preview:10, noindex", ["noindex"]),
        ("unavailable_after: 25 Jun 2010 15:00:00 GMT, noai",
         ["unavailable_after: 25 Jun 2010 15:00:00 GMT", "noai"]),
        ("googlebot: noai", ["googlebot: noai"]),
        # Case, blanks, order, repetition.
        ("NoAI , NOINDEX,,noai", ["NoAI", "NOINDEX"]),
        # Agents: ours, everybody, others; a name is for all that follows.
        ("m3w-builder: noindex", ["m3w-builder: noindex"]),
        ("M3W-Builder/1.0: noindex", ["M3W-Builder/1.0: noindex"]),
        ("*: noindex", ["noindex"]),
        ("otherbot: noindex, nofollow, none", []),
        ("otherbot: noindex, m3w-builder: none", ["m3w-builder: none"]),
        ("m3w-builder: nofollow, none, otherbot: noindex", ["m3w-builder: none"]),
        ("noindex, otherbot: none", ["noindex"]),
        ("m3w: noindex", []),
        ("otherbot: noindex, noimageai", ["otherbot: noimageai"]),
        ("otherbot: unavailable_after: 25 Jun 2010 15:00:00 GMT", []),
        ("m3w-builder: unavailable_after: 2010-06-25",
         ["m3w-builder: unavailable_after: 2010-06-25"]),
        # No opt-outs from training.
        ("all", []),
        ("index, follow", []),
        ("nofollow, noarchive, nosnippet, notranslate, nocache, nositelinkssearchbox", []),
        ("max-image-preview:none", []),
        ("max-snippet: 0", []),
        ("indexifembedded", []),
        ("", []),
        (":", []),
        ("noaiding, xnoindex", []),
        # Times: RFC 822, RFC 850 with its comma, ISO 8601; before and after now, and unknown.
        ("unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, nofollow",
         ["unavailable_after: Friday, 25-Jun-10 15:00:00 UTC"]),
        ("unavailable_after: Fri, 25 Jun 2010 15:00:00 -0800",
         ["unavailable_after: Fri, 25 Jun 2010 15:00:00 -0800"]),
        ("unavailable_after: 2010-06-25T15:00:00+02:00",
         ["unavailable_after: 2010-06-25T15:00:00+02:00"]),
        ("unavailable_after: 2026-11-27T13:00:00+02:00",
         ["unavailable_after: 2026-11-27T13:00:00+02:00"]),
        ("unavailable_after: 2026-11-27T13:00:00Z", []),
        ("unavailable_after: Friday, 25-Jun-49 15:00:00 GMT", []),
        ("unavailable_after: soon", ["unavailable_after: soon"]),
        ("unavailable_after", ["unavailable_after"]),
    ],
)  # fmt: skip
def test_robots_header(value: str, words: list[str]) -> None:
    assert found(value) == words


def test_each_header_is_read_by_itself() -> None:
    assert found("otherbot: noindex", "noindex") == ["noindex"]
    assert found("noai", name="x-robots-tag") == ["noai"]
    assert found("noai", name="X-Robots") == []


def test_without_a_time_unavailable_after_counts() -> None:
    header = [("X-Robots-Tag", "unavailable_after: 2049-01-01")]
    assert answer_optouts(header, agent=AGENT, where=URL, when="")
    assert not answer_optouts(header, agent=AGENT, where=URL, when="", now=NOW)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([("tdm-reservation", "1")], ["tdm-reservation: 1"]),
        ([("TDM-Reservation", " 1 ")], ["tdm-reservation: 1"]),
        ([("tdm-reservation", "1"), ("tdm-policy", "https://ex.com/p.json")],
         ["tdm-reservation: 1"]),
        ([("tdm-reservation", "0")], []),
        ([("tdm-reservation", "2")], []),
        ([("tdm-reservation", "0, 1")], ["tdm-reservation: 0, 1"]),
        ([("tdm-reservation", "0"), ("tdm-reservation", "1")], ["tdm-reservation: 1"]),
        ([("tdm-policy", "https://ex.com/p.json")], []),
    ],
)  # fmt: skip
def test_tdm_header(headers: list[tuple[str, str]], words: list[str]) -> None:
    optouts = answer_optouts(headers, agent=AGENT, where=URL, when=NOW)
    assert [o.found for o in optouts] == words
    assert {o.signal for o in optouts} <= {"tdm-header"}


META_AND_HEADER_1 = [("tdm-reservation", "1")]


@pytest.mark.parametrize(
    ("metas", "headers", "expected"),
    [
        ([("robots", "noai, noimageai")], [], ["meta-robots noai", "meta-robots noimageai"]),
        ([("ROBOTS", "NOINDEX")], [], ["meta-robots NOINDEX"]),
        ([("robots", "index"), ("robots", "none")], [], ["meta-robots none"]),
        ([("m3w-builder", "noindex")], [], ["meta-robots m3w-builder: noindex"]),
        ([("googlebot", "noindex")], [], []),
        ([("googlebot", "noindex, noai")], [], ["meta-robots googlebot: noai"]),
        ([("description", "noai"), ("keywords", "noindex, none")], [], []),
        ([("x-robots-tag", "noai")], [], ["meta-robots noai"]),  # http-equiv
        ([("robots", "noai")], [("x-robots-tag", "noai")], ["x-robots-tag noai", "meta-robots noai"]),
        ([("robots", "noai"), ("robots", "noai")], [], ["meta-robots noai"]),
        ([("tdm-reservation", "1")], [], ["tdm-meta tdm-reservation: 1"]),
        ([("tdm-reservation", "1"), ("tdm-policy", "https://ex.com/p")], [], ["tdm-meta tdm-reservation: 1"]),
        # The page supersedes its headers (TDMRep, "Processing priority").
        ([("tdm-reservation", "0")], META_AND_HEADER_1, []),
        ([("tdm-reservation", "1")], META_AND_HEADER_1, ["tdm-meta tdm-reservation: 1"]),
        ([("tdm-reservation", "yes")], META_AND_HEADER_1, ["tdm-header tdm-reservation: 1"]),
        ([("robots", "all")], META_AND_HEADER_1, ["tdm-header tdm-reservation: 1"]),
    ],
)  # fmt: skip
def test_page(
    metas: list[tuple[str, str]], headers: list[tuple[str, str]], expected: list[str]
) -> None:
    optouts = page_optouts(metas, headers, agent=AGENT, where=URL, when=NOW)
    assert [f"{o.signal} {o.found}" for o in optouts] == expected
    assert all((o.where, o.when) == (URL, NOW) for o in optouts)


@pytest.mark.parametrize(
    ("body", "url", "reserved"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', "/a", True),
        ('[{"location": "/", "tdm-reservation": "1"}]', "/a", True),
        ('{"location": "/", "tdm-reservation": 1}', "/a", True),  # the brackets are forgotten
        ('[{"location": "*", "tdm-reservation": 1, "tdm-policy": "https://ex.com/p"}]', "/a", True),
        # "The most specific match is the first in sequence."
        ('[{"location": "/a", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', "/a", False),
        ('[{"location": "/", "tdm-reservation": 1}, {"location": "/a", "tdm-reservation": 0}]', "/a", True),
        ('[{"location": "/b/*.jpg", "tdm-reservation": 1}]', "/b/c/d.jpg", True),
        ('[{"location": "/b/*.jpg", "tdm-reservation": 1}]', "/b/c/d.png", False),
        ('[{"location": "/b$", "tdm-reservation": 1}]', "/b/c", False),
        ('[{"location": "/", "tdm-reservation": 2}]', "/a", False),
        ('[{"location": "/"}, {"tdm-reservation": 1}, 7, null, "x", {"location": 1}]', "/a", False),
        ("[", "/a", False),
        ("[" * 100_000, "/a", False),
        ("", "/a", False),
    ],
)  # fmt: skip
def test_tdmrep_file(body: str, url: str, reserved: bool) -> None:
    file = TdmRep.parse(body.encode())
    assert file.allows("https://ex.com" + url) is not reserved
    optout = file.optout("https://ex.com" + url, where="w", when=NOW)
    assert (optout is not None) is reserved
    if optout:
        assert optout.signal == "tdmrep.json"
        assert '"location"' in optout.found


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("noai", {"text", "image", "video", "subtitles"}),
        ("googlebot: noai", {"text", "image", "video", "subtitles"}),
        ("noindex", {"text", "image", "video", "subtitles"}),
        ("noimageai", {"image", "video"}),
        ("NOIMAGEINDEX", {"image", "video"}),
        ("m3w-builder: noimageindex", {"image", "video"}),
    ],
)
def test_what_a_directive_covers(words: str, kinds: set[str]) -> None:
    for signal in ("x-robots-tag", "meta-robots"):
        optout = OptOut(signal, URL, words, NOW)
        assert {k for k in ("text", "image", "video", "subtitles") if covers(optout, k)} == kinds


def test_a_signal_is_ignored_by_its_name_only() -> None:
    optouts = [
        OptOut("meta-robots", URL, "noai", NOW),
        OptOut("robots.txt", URL, "Disallow: /", ""),
    ]
    assert respected(optouts) == tuple(optouts)
    assert respected(optouts, ["robots.txt"]) == (optouts[0],)
    assert respected(optouts, ["robots.txt", "meta-robots"]) == ()
    assert respected([OptOut("meta-robots", URL, "noimageai", "")], kind="text") == ()
    assert respected([OptOut("embedded", URL, "noimageai", "")], kind="text") != ()


@given(
    st.lists(st.tuples(st.sampled_from(["x-robots-tag", "robots", "tdm-reservation"]), st.text()))
)
def test_any_text_is_read(pairs: list[tuple[str, str]]) -> None:
    answer_optouts(pairs, agent=AGENT, where=URL, when=NOW)
    page_optouts(pairs, pairs, agent=AGENT, where=URL, when=NOW)


@given(st.text(alphabet="0123456789-:TZ+., JunGMTFriday/", max_size=40), st.text(max_size=30))
def test_any_time_is_read(date: str, now: str) -> None:
    header = [("x-robots-tag", f"unavailable_after: {date}")]
    answer_optouts(header, agent=AGENT, where=URL, when=now)


@given(st.text(max_size=60).map(lambda text: text.replace(":", "")))
def test_a_directive_counts_wherever_it_stands_in_a_list(text: str) -> None:
    for words in (found(f"{text}, noai"), found(f"noai, {text}")):
        assert "noai" in [word.lower() for word in words]


def test_many_directives_hide_none() -> None:
    noise = ",".join(f"bot{n}: noimageai, bot{n}: noai" for n in range(100))
    headers = [("x-robots-tag", noise), ("x-robots-tag", "noindex"), ("tdm-reservation", "1")]
    optouts = answer_optouts(headers, agent=AGENT, where=URL, when=NOW)
    said = ["bot0: noimageai", "bot0: noai", "noindex", "tdm-reservation: 1"]
    assert [o.found for o in optouts] == said


def xmp(value: str) -> str:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"{value}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    )


VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
AS_ATTRIBUTE = f' plus:DataMining="{VOCABULARY}DMI-PROHIBITED-AIMLTRAINING">'
AS_ELEMENT = f'>\n <plus:DataMining\n  rdf:resource="{VOCABULARY}DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING"/>'


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (AS_ATTRIBUTE, ["plus:DataMining DMI-PROHIBITED-AIMLTRAINING"]),
        (AS_ELEMENT, ["plus:DataMining DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING"]),
        (f"><plus:DataMining>{VOCABULARY}DMI-PROHIBITED</plus:DataMining>",
         ["plus:DataMining DMI-PROHIBITED"]),
        (f"><plus:DataMining>{VOCABULARY}DMI-ALLOWED</plus:DataMining>", []),
        (f"><plus:DataMining>{VOCABULARY}DMI-UNSPECIFIED</plus:DataMining>", []),
        ("><dc:title>DMI-PROHIBITED</dc:title>", []),
        (">", []),
    ],
)  # fmt: skip
def test_iptc_data_mining(container: str, packet: str, words: list[str]) -> None:
    file = io.BytesIO()
    picture = Image.effect_noise((64, 64), 50)
    if container == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp(packet))
        picture.save(file, container, pnginfo=info)
    elif container == "TIFF":
        picture.save(file, container, tiffinfo={700: xmp(packet).encode()})
    else:
        picture.save(file, container, xmp=xmp(packet).encode())
    optouts = embedded_optouts(file.getvalue(), where=URL, when=NOW)
    assert [o.found for o in optouts] == words
    assert all(o == OptOut("embedded", URL, o.found, NOW) for o in optouts)


def cbor(**uses: str) -> bytes:
    """Returns the map of a training-mining assertion as C2PA writes it (RFC 8949, short strings)."""

    def text(value: str) -> bytes:
        size = len(value)
        return (bytes([0x60 + size]) if size < 24 else bytes([0x78, size])) + value.encode()

    entries = b"".join(
        text(name.replace("__", ".")) + b"\xa1" + text("use") + text(use)
        for name, use in uses.items()
    )
    return b"\xa1" + text("entries") + bytes([0xA0 + len(uses)]) + entries


@pytest.mark.parametrize(
    ("label", "content", "words"),
    [
        (b"cawg.training-mining", cbor(cawg__ai_training="notAllowed"),
         ["cawg.ai_training notAllowed"]),
        (b"c2pa.training-mining",
         cbor(c2pa__ai_generative_training="notAllowed", c2pa__ai_inference="notAllowed",
              c2pa__data_mining="constrained"),
         ["c2pa.ai_generative_training notAllowed", "c2pa.data_mining constrained"]),
        (b"c2pa.training-mining",
         b'{"entries": {"c2pa.ai_training": {"use": "notAllowed"}}}', ["c2pa.ai_training notAllowed"]),
        (b"c2pa.training-mining",
         cbor(c2pa__ai_training="allowed", c2pa__ai_inference="notAllowed"), []),
        (b"cawg.training-mining",
         b'{"entries": {"cawg.data_mining": {"constraint_info": "ask before you use it",'
         b' "use": "constrained"}, "cawg.ai_training": {"use": "allowed"}}}',
         ["cawg.data_mining constrained"]),
        (b"cawg.training-mining",
         cbor(cawg__ai_training="allowed", cawg__data_mining="notAllowed"),
         ["cawg.data_mining notAllowed"]),
        (b"c2pa.actions", cbor(c2pa__ai_training="notAllowed"), []),
    ],
)  # fmt: skip
def test_content_credentials(label: bytes, content: bytes, words: list[str]) -> None:
    box = b"jumb\0\0\0\x40jumdcbor\0\x11\0\x10" + label + b"\0\0\0\0\x60cbor" + content
    optouts = embedded_optouts(b"\xff\xd8\xff\xeb" + box + b"\xff\xd9", where=URL, when=NOW)
    assert [o.found for o in optouts] == words


# As c2pa-python 0.38.1 wrote it into a JPEG, a PNG and a WebP: label, salt, CBOR.
C2PA_BOX = (
    b"cawg.training-mining\x00\x00\x00\x00\x18c2sh\xd4\x16\xb4\xbf\xfc\xd6t;\xab\xff\x1c\xf3R"
    b"\x00\xcd\xdc\x00\x00\x00\xc8cbor\xa1gentries\xa4x\x1bcawg.ai_generative_training\xa1cusej"
    b"notAllowedqcawg.ai_inference\xa1cusegallowedpcawg.ai_training\xa2oconstraint_infox\x18"
    b"ask us before you use itcusekconstrainedpcawg.data_mining\xa1cusegallowed\x00\x00\x00\xc3jumb"
)


def test_content_credentials_as_the_reference_library_writes_them(tmp_path: Path) -> None:
    words = ["cawg.ai_generative_training notAllowed", "cawg.ai_training constrained"]
    body = b"\xff\xd8\xff\xeb" + C2PA_BOX + bytes(10_000)
    assert [o.found for o in embedded_optouts(body, where=URL, when=NOW)] == words
    (tmp_path / "a.mp4").write_bytes(body)
    with (
        (tmp_path / "a.mp4").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert [o.found for o in embedded_optouts(mapped, where=URL, when=NOW)] == words


@given(st.binary(max_size=200), st.binary(max_size=600))
def test_any_bytes_are_searched(head: bytes, tail: bytes) -> None:
    for name in (b":DataMining", b".training-mining"):
        embedded_optouts(head + name + tail, where=URL, when=NOW)


def lists(folder: Path, *texts: str) -> OptOutLists:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"list{number}.txt")
        paths[-1].write_text(text)
    return OptOutLists.load(paths)


ENTRIES = f"""\ufeff# what we were asked to leave out
example.org
*.wild.example   # and all below it
.dot.example
bücher.example
https://ex.com/photos/
http://ex.com/one.jpg
proxy.example/adult/
93.184.216.34

{"ab" * 32}
"""


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://example.org/a", "example.org"),
        ("https://cdn.img.example.org:8080/a", "example.org"),
        ("https://notexample.org/", ""),
        ("https://example.org.evil.com/", ""),
        ("https://a.wild.example/", "wild.example"),
        ("https://dot.example./", "dot.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("https://ex.com/photos/a.jpg", "ex.com/photos/"),
        ("http://ex.com/photos/", "ex.com/photos/"),
        ("https://ex.com/photos", ""),
        ("https://ex.com/one.jpg?w=1", "ex.com/one.jpg"),
        ("https://proxy.example/adult/a", "proxy.example/adult/"),
        ("https://proxy.example/", ""),
        ("http://93.184.216.34/a.jpg", "93.184.216.34"),
        ("https://ex.com/", ""),
        ("https://zzz.com/", ""),
        ("", ""),
    ],
)
def test_list_of_urls(url: str, entry: str, tmp_path: Path) -> None:
    optout = lists(tmp_path, "# empty\n", ENTRIES).url(url)
    assert optout == (OptOut("list", "list1.txt", entry, "") if entry else None)


def test_list_of_files(tmp_path: Path) -> None:
    loaded = lists(tmp_path, ENTRIES)
    assert loaded.sha256("AB" * 32) == OptOut("list", "list0.txt", "ab" * 32, "")
    assert loaded.sha256("ac" * 32) is None
    assert loaded.sha256("") is None


@pytest.mark.parametrize(
    "line", ["not a domain", "localhost", "ftp://ex.com/a", "ab" * 31, "a/b", "?"]
)
def test_bad_line_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"list0.txt, line 2: expected .*{re.escape(line[:60])}"):
        lists(tmp_path, f"example.org\n{line}\n")


def test_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rights.optout_lists: .*nowhere.txt: expected"):
        OptOutLists.load([tmp_path / "nowhere.txt"])


def test_digest_follows_the_contents(tmp_path: Path) -> None:
    first = lists(tmp_path, "example.org\n").digest
    assert lists(tmp_path, "example.org\n").digest == first
    assert lists(tmp_path, "example.com\n").digest != first
    assert OptOutLists.load([]).digest == ""


NAMES = st.from_regex(r"[a-c]{1,2}(\.[a-c]{1,2}){0,2}\.com", fullmatch=True)


@given(
    st.sets(NAMES),
    st.sets(st.tuples(NAMES, st.text("ab/", max_size=3))),
    NAMES,
    st.text("ab/", max_size=4),
)
def test_lookup_is_what_a_search_of_every_line_finds(
    tmp_path_factory: pytest.TempPathFactory,
    domains: set[str], prefixes: set[tuple[str, str]], host: str, path: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.getbasetemp()
    starts = [f"{name}/{rest}" for name, rest in prefixes]
    loaded = lists(folder, "\n".join([*domains, *(f"https://{start}" for start in starts)]))
    below = any(host == name or host.endswith(f".{name}") for name in domains)
    begins = any(f"{host}/{path}".startswith(start) for start in starts)
    assert (loaded.url(f"https://{host}/{path}") is not None) is (below or begins)


def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("example.org\n")
    rights = RightsConfig(optout_lists=(str(file),))
    first = rights_digest(rights)
    assert page_refusal("https://example.org/", (), rights)
    file.write_text("example.com\nexample.net\n")
    assert rights_digest(rights) != first
    assert page_refusal("https://example.org/", (), rights) is None
    assert rights_digest(RightsConfig()) != rights_digest(RightsConfig(ignore=("ai.txt",)))


def test_a_line_costs_its_length_and_a_few_bytes(tmp_path: Path) -> None:
    names = [f"host-{n}.example.org" for n in range(200_000)]
    loaded = lists(tmp_path, "\n".join(names))
    assert loaded.url("https://a.host-77.example.org/")
    assert loaded.url("https://host-200000.example.org/") is None
    assert len(pickle.dumps(loaded)) < 200_000 * (len("host-100000.example.org") + 9)
