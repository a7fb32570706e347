"""The licence of a page: every way to state one gives the same value, and a picture's is not the page's."""

import gzip
import json
import time
from pathlib import Path

import pytest

from m3w_builder import dom
from m3w_builder.config import parse
from m3w_builder.errors import ConfigError
from m3w_builder.licences import known_licence, licence_of, licence_rule
from m3w_builder.metadata import read_metadata

DATA = Path(__file__).parents[2] / "shared" / "data"
BY, SA = "https://creativecommons.org/licenses/by/", "https://creativecommons.org/licenses/by-sa/"
NC = "https://creativecommons.org/licenses/by-nc/"
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
BUTTON = "https://i.creativecommons.org/l/by-sa/4.0/88x31.png"


def licence(body: str, head: str = "") -> str:
    source = f"<html><head>{head}</head><body><p>words</p>{body}</body></html>".encode()
    base = "https://ex.com/p/page.html"
    return licence_of(read_metadata(dom.build(dom.to_utf8(source)), base, source))


def ld(value: object, kind: str = "Article") -> str:
    thing = {"@context": "https://schema.org", "@type": kind, "license": value}
    return f'<script type="application/ld+json">{json.dumps(thing)}</script>'


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("http://creativecommons.org/licenses/by/4.0", f"{BY}4.0/"),
        ("//creativecommons.org/licenses/by-sa/3.0/", f"{SA}3.0/"),
        ("https://creativecommons.org/licenses/by-sa/3.0/de/deed.en", f"{SA}3.0/de/"),
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.de", f"{SA}4.0/"),
        ("https://www.creativecommons.org/licenses/by/4.0/legalcode.fr?x=1#y", f"{BY}4.0/"),
        ("https://creativecommons.org/licenses/BY-SA/3.0/igo/", f"{SA}3.0/igo/"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", f"{NC[:-1]}-nd/1.0/"),
        ("https://creativecommons.org/licenses/by-sa/", SA),
        ("https://web.archive.org/web/2016id_/http://creativecommons.org/licenses/by/3.0/", f"{BY}3.0/"),
        ("https://i0.wp.com/i.creativecommons.org/l/by/3.0/de/88x31.png", f"{BY}3.0/de/"),
        ("https://licensebuttons.net/l/by/3.0/80x15.png", f"{BY}3.0/"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.ja", ZERO),
        ("http://i.creativecommons.org/p/zero/1.0/88x31.png", ZERO),
        ("https://creativecommons.org/publicdomain/mark/1.0/", ZERO.replace("zero", "mark")),
        ("CC BY-SA 4.0", f"{SA}4.0/"),
        ("CC-BY-4.0", f"{BY}4.0/"),
        ("cc by nc", NC),
        ("CC0", ZERO),
        ("Creative Commons Attribution 4.0 International", f"{BY}4.0/"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0 Unported License", f"{NC[:-1]}-sa/3.0/"),
        ("Creative Commons Attribution-NoDerivs 2.0 Generic", f"{BY[:-1]}-nd/2.0/"),
        ("https://en.wikipedia.org/wiki/Text_of_the_Creative_Commons_Attribution-ShareAlike_4.0_International_License",
         f"{SA}4.0/"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "GFDL-1.3"),
        ("http://www.gnu.org/copyleft/fdl.html", "GFDL"),
        ("https://www.gnu.org/licenses/gpl-3.0.en.html", "GPL-3.0"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://spdx.org/licenses/Apache-2.0.html", "Apache-2.0"),
        ("https://spdx.org/licenses/CC-BY-4.0", f"{BY}4.0/"),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "ODbL-1.0"),
        ("https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0"),
        *((said, "") for said in (
            "", "All rights reserved", "© 2019 Example", "Creative Commons", "https://creativecommons.org/",
            "https://creativecommons.org/licenses/", "https://creativecommons.org/licenses/sampling/1.0/",
            "https://creativecommons.org/share-your-work/", "https://www.gnu.org/licenses/why-not-lgpl.html",
            "https://example.org/licence", "accby 4.0", "https://ex.com/?" + "c" * 5000,
        )),
    ],
)  # fmt: skip
def test_address_or_name_of_a_licence_has_one_value(said: str, value: str) -> None:
    assert known_licence(said) == value


@pytest.mark.parametrize(
    ("head", "body", "value"),
    [
        ('<link rel="license" href="//creativecommons.org/licenses/by/4.0/">', "", f"{BY}4.0/"),
        (f'<link rel="copyright" href="{BY}4.0/">', "", f"{BY}4.0/"),
        ('<meta name="DC.rights" content="http://creativecommons.org/licenses/by/3.0/de/">', "", f"{BY}3.0/de/"),
        (f'<meta name="dcterms.license" content="{BY}4.0/">', "", f"{BY}4.0/"),
        (f'<meta property="cc:license" content="{BY}4.0/">', "", f"{BY}4.0/"),
        ('<meta name="DC.rights" content="Jane Doe, CC BY 4.0">', "", f"{BY}4.0/"),
        ('<meta name="copyright" content="(c) 2019 Jane Doe">', "", ""),
        (ld(f"{BY}4.0/"), "", f"{BY}4.0/"),
        (ld({"@type": "CreativeWork", "@id": f"{BY}4.0/"}), "", f"{BY}4.0/"),
        (ld([{"@type": "CreativeWork", "name": "CC BY 4.0"}]), "", f"{BY}4.0/"),
        (ld("ALL_RIGHTS_RESERVED"), "", ""),
        ("", f"<p>licensed under a <a rel='license' href='{BY}4.0/'>licence</a></p>", f"{BY}4.0/"),
        ("", f"<p><a rel='nofollow license noopener' href='{BY}4.0/'>licence</a></p>", f"{BY}4.0/"),
        ("", f"<map><area rel=license href='{BY}4.0/'></map>", f"{BY}4.0/"),
        ("", f"<p>This work is under <a rel='dct:license' href='{BY}4.0/'>that</a></p>", f"{BY}4.0/"),
        ("", f"<div itemscope itemtype='https://schema.org/Article'><a itemprop=license href='{BY}4.0/'>x</a></div>",
         f"{BY}4.0/"),
        ("", f"<div itemscope itemtype='https://schema.org/Article'><link itemprop=license href='{BY}4.0/'></div>",
         f"{BY}4.0/"),
        ("", "<p><span property='dct:license' resource='http://creativecommons.org/licenses/by/4.0/'></span></p>",
         f"{BY}4.0/"),
        ("", f"<div><a href='{SA}4.0/'><img src='/cc.png'></a></div>", f"{SA}4.0/"),
        ("", f"<div><img src='{BUTTON}' alt='license'></div>", f"{SA}4.0/"),
        ("", f"<div class='header-image'><footer>Photos and more <a href='{SA}4.0/'><img src=x></a></footer></div>",
         f"{SA}4.0/"),
        ("", f"<footer><p>Content on this site is available under <a href='{SA}3.0/'>this</a>.</p></footer>",
         f"{SA}3.0/"),
        ("", f"<p>Alle Inhalte stehen unter der Lizenz <a href='{SA}4.0/deed.de'>CC BY-SA 4.0</a>.</p>", f"{SA}4.0/"),
        ("", f"<p>Sauf mention contraire, le contenu est sous licence <a href='{SA}4.0/'>CC</a></p>", f"{SA}4.0/"),
        ("", f"<p>El contenido está bajo una licencia <a href='{SA}4.0/'>CC</a></p>", f"{SA}4.0/"),
        ("", "<p><a rel=license href='https://www.gnu.org/licenses/fdl-1.3.html'>GFDL</a></p>", "GFDL-1.3"),
        ("", "<p><a rel=license href='http://ex.com/terms'>Terms</a></p>", "https://ex.com/terms"),
        ("", "<p><a rel=license href='/terms'>Creative Commons Attribution 4.0</a></p>", f"{BY}4.0/"),
        ("", "<p><a rel=license href='#licence'>Licence</a></p>", ""),
        ("", "<p>The license of this site is a secret</p>", ""),
    ],
)  # fmt: skip
def test_each_way_to_state_a_licence(head: str, body: str, value: str) -> None:
    assert licence(body, head) == value


@pytest.mark.parametrize(
    "body",
    [
        f"<figure><img src=a.jpg><figcaption>by Ann, <a rel=license href='{BY}2.0/'>CC BY</a></figcaption></figure>",
        f"<div class='wp-caption'><img src=a.jpg><p><a rel=license href='{BY}2.0/'>CC BY</a></p></div>",
        f"<p class='photo-credit'>Ann, <a rel=license href='{BY}2.0/'>CC BY</a></p>",
        f"<p>Photo: Ann / flickr.com | <a rel=license href='{BY}2.0/'>CC BY 2.0</a></p>",
        f"<p>Bild: Ann (<a href='{BY}2.0/'>CC BY 2.0</a>), Lizenz</p>",
        f"<p>Ann / <a href='{BY}2.0/'>CC BY 2.0</a></p>",
        f"<p>The script by Ann is licensed under the <a href='{BY}2.5/'>CC BY 2.5 License</a></p>",
        f"<div itemscope itemtype='https://schema.org/ImageObject'><a itemprop=license href='{BY}2.0/'>x</a></div>",
        f"<div itemscope itemtype='https://schema.org/ImageObject'><meta itemprop=license content='{BY}2.0/'></div>",
        f"<div itemscope itemtype='https://schema.org/ImageObject'><link itemprop=license href='{BY}2.0/'></div>",
        f"<div about='a.jpg'><p><a rel=license href='{BY}2.0/'>this</a></p></div>",
        f"<ol id=comments><li>My text is under <a rel=license href='{BY}2.0/'>CC license</a></li></ol>",
        f"<blockquote>To be or not<footer>Ann, <a rel=license href='{BY}2.0/'>CC BY</a></footer></blockquote>",
        f"<blockquote>This site is licensed <a href='{BY}2.0/'>CC license</a></blockquote>",
        f"<!-- <a rel=license href='{BY}2.0/'>license</a> -->",
        f"<script>var license = '<a rel=license href={BY}2.0/>'</script>",
    ],
)
def test_licence_of_a_picture_a_comment_or_a_script_is_not_the_pages(body: str) -> None:
    assert licence(body) == ""


def test_json_ld_of_a_picture_is_not_the_pages() -> None:
    assert licence("", ld(f"{BY}4.0/", "ImageObject")) == ""


def test_what_speaks_of_the_page_wins_over_links_in_it() -> None:
    link = f"<p>Text under <a rel=license href='{NC}4.0/'>license</a></p>"
    assert licence(link, f'<link rel=license href="{BY}4.0/">') == f"{BY}4.0/"
    button = f"<a href='{SA}4.0/'><img src=x.png></a>"
    assert licence(link + button) == f"{NC}4.0/"


def test_most_restrictive_of_several_counts_and_what_cannot_be_compared_says_nothing() -> None:
    def links(*addresses: str) -> str:
        return licence("".join(f"<p>Text: <a rel=license href='{a}'>x</a></p>" for a in addresses))

    assert links(f"{BY}4.0/", f"{NC}4.0/", f"{SA}4.0/") == f"{NC}4.0/"
    assert links(ZERO, f"{BY}4.0/") == f"{BY}4.0/"
    assert links(f"{BY}3.0/", f"{BY}4.0/") == f"{BY}3.0/"  # one kind: the first
    assert links(f"{SA}4.0/", "https://www.gnu.org/licenses/fdl-1.3.html") == ""
    assert links("/terms", f"{SA}4.0/") == f"{SA}4.0/"  # a known one says more


@pytest.mark.parametrize(
    "body",
    [
        f"<p><a rel=license href='{BY}4.0/'>x</a></p>" * 10_000,
        f"<p>photo <a rel=license href='{BY}4.0/'>x</a>" * 10_000,
        "<p>" + f"<a href='{BY}4.0/'>x</a> license words " * 10_000 + "</p>",
        "<div>" * 2_000 + f"<a rel=license href='{BY}4.0/'>x</a>" * 2_000,
        f"<img src='{BUTTON}'>" * 10_000,
        "<p>license " + "word " * 200_000 + f"<a rel=license href='{BY}4.0/'>{'x ' * 100_000}</a></p>",
        "<a rel=license href='https://creativecommons.org/" + "by-" * 2_000 + "'>x</a>" * 100,
        "<a rel=license href=x>" + "creative commons attribution " * 20_000 + "</a>",
    ],
)  # fmt: skip
def test_hostile_page_takes_little_time(body: str) -> None:
    source = f"<html><body>{body}</body></html>".encode()
    metadata = read_metadata(dom.build(dom.to_utf8(source)), "https://ex.com/", source)
    start = time.process_time()
    licence_of(metadata)
    assert time.process_time() - start < 1


def test_huge_json_takes_little_time() -> None:
    things = [{"@type": "Article", "license": f"{BY}4.0/"} for _ in range(20_000)]
    head = f'<script type="application/ld+json">{json.dumps({"@graph": things})}</script>'
    source = f"<html><head>{head}</head></html>".encode()
    metadata = read_metadata(dom.build(dom.to_utf8(source)), "https://ex.com/", source)
    start = time.process_time()
    assert licence_of(metadata) == f"{BY}4.0/"
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("pages/html/002.html.gz", f"{SA}3.0/"),
        ("pages/html/ebb-org.html.gz", f"{SA}3.0/us/"),  # and links to essays on gnu.org/licenses
        ("pages/html/v8-blog.html.gz", f"{BY}3.0/"),  # in a sentence
        ("pages/html/medicalnewstoday.html.gz", ""),  # of a script
        ("pages/html/medium-3.html.gz", ""),  # "license": "ALL_RIGHTS_RESERVED", in its data
        ("pages/html/wikipedia.html.gz", f"{SA}3.0/"),
        ("pages/html/wikipedia-3.html.gz", f"{SA}3.0/"),
        ("pages/html/wikipedia-4.html.gz", f"{SA}4.0/"),  # links a wiki page with the licence's name
        ("segments/html/blog.python.org.html.gz", f"{NC[:-1]}-sa/3.0/"),
        ("segments/html/creativecommons.org.html.gz", f"{BY}4.0/"),
        ("segments/html/angelmagazin.de-schmerzen.html.gz", ""),  # of a photograph
        ("segments/html/blog.teufel.de.leistung.html.gz", ""),  # of photographs
        ("segments/html/fluter.de.vorbild.html.gz", f"{NC[:-1]}-nd/4.0/"),  # of the text, not the photographs
        ("segments/html/feuerwehrtaucher-oldenburg.de.ausbildung.html.gz", f"{SA}3.0/de/"),  # DC.rights
        ("segments/html/archiv.krimiblog.de.2895.html.gz", f"{NC[:-1]}-nd/3.0/de/"),  # a badge
        ("segments/html/arsnova.thm.de.frag.html.gz", f"{SA}4.0/"),  # in a footer below class="header-bild-no"
        ("segments/html/harrypotter.fandom.com.spell.html.gz", "https://www.fandom.com/licensing"),
        ("sites/gimp-help-en/index.html", ""),
    ],
)  # fmt: skip
def test_real_pages(file: str, value: str) -> None:
    path = DATA / file
    if not path.exists():
        pytest.skip("shared/data is not here")
    body = path.read_bytes()
    source = dom.to_utf8(gzip.decompress(body) if path.suffix == ".gz" else body)
    metadata = read_metadata(dom.build(source), "https://ex.com/p.html", source)
    assert licence_of(metadata) == value


@pytest.mark.parametrize(
    ("asked", "passes", "fails"),
    [
        (["https://creativecommons.org/licenses/by/"], [f"{BY}4.0/", f"{BY}3.0/de/"], [f"{SA}4.0/", ""]),
        (["http://creativecommons.org/licenses/by/4.0/deed.de"], [f"{BY}4.0/"], [f"{BY}3.0/"]),
        (["cc-by", "cc0"], [f"{BY}4.0/", BY, ZERO], [f"{SA}4.0/", f"{NC}4.0/", "GFDL-1.3", ""]),
        (["CC-BY-SA-4.0"], [f"{SA}4.0/"], [f"{SA}3.0/"]),
        (["public-domain"], [ZERO, ZERO.replace("zero", "mark")], [f"{BY}4.0/"]),
        (["cc"], [f"{NC}4.0/", ZERO], ["GFDL-1.3", ""]),
        (["gfdl", "mit"], ["GFDL-1.3", "GFDL", "MIT"], ["GPL-3.0", f"{BY}4.0/"]),
        (["https://ex.com/"], ["https://ex.com/terms"], ["https://ex.org/terms"]),
        ([], [f"{NC}4.0/", ""], []),
    ],
)  # fmt: skip
def test_rule_keeps_what_is_asked_for(
    asked: list[str], passes: list[str], fails: list[str]
) -> None:
    rights = parse({"rights": {"licences": asked}}).rights
    assert [licence_rule(one, rights) for one in passes] == [None] * len(passes)
    for one in fails:
        reason, detail = licence_rule(one, rights) or ("", "")
        assert reason == "licence"
        assert detail.startswith(one or "none stated")


def test_entry_that_is_no_name_or_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rights\.licences"):
        parse({"rights": {"licences": ["cc by sa"]}})
