"""Subtitle files as the web has them: one line of input, one list of cues."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.errors import MediaError
from m3w_builder.subtitles import MAX_CUES, Cue, decode, measure_subtitles, parse, within, write

T = "00:01.000 --> 00:02.000"


def texts(file: str) -> list[str]:
    return [cue.text for cue in parse(file)]


@pytest.mark.parametrize(
    ("timing", "times"),
    [
        ("00:00:01.000 --> 00:00:02.500", (1, 2.5)),
        ("00:01.000 --> 01:02.500", (1, 62.5)),  # WebVTT without hours
        ("00:00:01,000 --> 00:00:02,500", (1, 2.5)),  # SubRip
        ("0:00:01,5 --> 0:00:02,25", (1.5, 2.25)),
        ("00:00:01 --> 00:00:02", (1, 2)),
        ("  00:01.000-->00:02.000", (1, 2)),
        ("100:00:00.000 --> 100:00:01.000", (360_000, 360_001)),
        ("00:01.000 --> 00:02.000 position:10%,line-left align:start", (1, 2)),
        ("00:00:01,000 --> 00:00:02,000  X1:40 X2:600 Y1:20 Y2:50", (1, 2)),
    ],
)
def test_times(timing: str, times: tuple[float, float]) -> None:
    assert parse(f"WEBVTT\n\n{timing}\nx\n") == [Cue(*times, "x")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("<v Esme Smith>Hello", "Hello"),
        ("<v.loud Bob>Hello</v>", "Hello"),
        ("<i>so</i> <c.yellow.bg>it</c> <00:01.500>is", "so it is"),
        ("<lang en>yes</lang> <ruby>東<rt>とう</rt></ruby>", "yes 東とう"),
        ('<font color="#fff">red</font>', "red"),
        (r"{\an8}{\i1}up", "up"),
        ("Tom &amp; Jerry &lt;3 &nbsp; &eacute;", "Tom & Jerry <3 é"),
        ("1 < 2 > 0, <3", "1 < 2 > 0, <3"),
        ("- What?\n- That.", "- What?\n- That."),
        ("a\u200bb\u202e", "ab"),
    ],
)
def test_text_is_what_is_spoken(line: str, text: str) -> None:
    assert texts(f"WEBVTT\n\n{T}\n{line}\n") == [text]


@pytest.mark.parametrize(
    "file",
    [
        f"WEBVTT - a title\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n{T}\nx\n",
        f"WEBVTT\n\nNOTE a comment\nof two lines\n\n{T}\nx",
        f"WEBVTT\n\nSTYLE\n::cue {{ color: red }}\n\nREGION\nid:fred\nwidth:40%\n\n{T}\nx",
        f"WEBVTT\n\nintro-1\n{T}\nx\n",
        f"WEBVTT\r\n\r\n{T}\r\nx\r\n",
        f"WEBVTT\r\r{T}\rx\r",
        f"{T}\nx",  # no first line
        f"1\n{T}\nx\n\ngarbage\n\n--> \n00:0a --> 1\n99 --> 98\nz\n",
        f"\n\n\nWEBVTT\n\n{T}\nx\n\n \n\t\n",
    ],
)
def test_everything_else_is_nothing(file: str) -> None:
    assert parse(file) == [Cue(1, 2, "x")]


def test_forgotten_blank_line_does_not_make_the_next_number_a_text() -> None:
    file = f"1\n{T}\none\n2\n00:02.000 --> 00:03.000\ntwo\n3\n00:03.000 --> 00:04.000\n1984\n"
    assert texts(file) == ["one", "two", "1984"]


def test_cues_that_are_never_shown_are_left_out_and_overlapping_ones_stay() -> None:
    file = """WEBVTT

00:05.000 --> 00:09.000
late

00:01.000 --> 00:06.000
long

00:02.000 --> 00:02.000
no time

00:03.000 --> 00:02.000
backwards

00:02.000 --> 00:03.000
<b> </b>

00:02.000 --> 00:03.000
short
"""
    assert texts(file) == ["long", "short", "late"]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"],
)
def test_encodings(encoding: str) -> None:
    file = f"1\n{T}\nDéjà vu, señor\n".encode(encoding)
    assert texts(decode(file)) == ["Déjà vu, señor"]


def test_what_the_server_says_counts_where_it_is_not_utf_8() -> None:
    said = "application/x-subrip; charset="
    russian = f"1\n{T}\nПривет\n"
    assert texts(decode(russian.encode("cp1251"), f'{said}"windows-1251"')) == ["Привет"]
    assert texts(decode(russian.encode(), f"{said}windows-1251")) == ["Привет"]
    for name in ("utf-8", "hex", "idna", "no-such", "x" * 9999):
        assert texts(decode(f"{T}\né".encode("latin-1"), said + name)) == ["é"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"WEBVTT\n\n",
        b"WEBVTT\n\nNOTE nothing\n",
        b"<html><p>404 --> here</html>",
        b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"\x00" * 1000,
        b"\xff\xfe",
        bytes(range(256)) * 100,
    ],
)
def test_what_has_no_cue_is_a_reject(body: bytes) -> None:
    with pytest.raises(MediaError) as caught:
        measure_subtitles(body)
    assert caught.value.reason == "not_subtitles"


def test_what_is_stored_is_clean_webvtt() -> None:
    found = measure_subtitles(f"7\r\n{T}\r\n<i>a & b</i>\r\n--x\r\n".encode("utf-16"))
    assert found.vtt == b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\na &amp; b\n--x\n"
    assert (found.seconds, found.cues) == (2.0, 1)
    assert measure_subtitles(found.vtt).vtt == found.vtt


TIMES = st.integers(0, 10**8).map(lambda milliseconds: milliseconds / 1000)


@given(st.lists(st.tuples(TIMES, TIMES, st.text(min_size=1)), min_size=1, max_size=5))
def test_what_is_written_is_read_again(cues: list[tuple[float, float, str]]) -> None:
    """Whatever the texts hold: arrows, tags, references, numbers, line breaks of any kind."""
    try:
        once = parse(
            write([Cue(start, start + 1 + end, text) for start, end, text in cues]).decode()
        )
    except (MediaError, UnicodeEncodeError):
        return  # nothing visible in them; lone surrogates
    assert parse(write(once).decode()) == once


@given(st.binary(max_size=300))
def test_any_bytes_give_cues_or_the_reason(body: bytes) -> None:
    with suppress(MediaError):  # any other error fails
        found = measure_subtitles(b"WEBVTT\n\n" + T.encode() + b"\n" + body)
        assert measure_subtitles(found.vtt) == found


@pytest.mark.parametrize(
    "body",
    [
        f"{T}\nx\n\n" * 80_000,
        f"{T}\n" + "<a" * 500_000,
        f"{T}\n" + "{\\" * 500_000,
        f"{T}\n" + "&#" * 500_000,
        " " * 1_000_000 + "-->",
        "-->" * 300_000,
        "1:" * 500_000 + "-->",
        f"{T}\n" + "x\n" * 500_000,
    ],
    ids=range(8),
)
def test_hostile_files_take_linear_time(body: str) -> None:
    start = time.process_time()
    with suppress(MediaError):
        assert len(parse(body)) <= MAX_CUES
    assert time.process_time() - start < 3


def test_cues_within_a_clip() -> None:
    cues = [Cue(0, 1, "a"), Cue(1, 4, "b"), Cue(3, 9, "c"), Cue(5, 6, "d")]
    assert [cue.text for cue in within(cues, 1, 5)] == ["b", "c"]
