import pytest
from lxml import html

from m3w_builder import text


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>a <b>b</b>c</p>", "a bc"),
        ("<p>  a\n\t b&nbsp; c </p>", "a b c"),
        ("<p>a<br>b<br clear='all'> c</p>", "a\nb\nc"),
        ("<p>Donau&shy;dampf\u200bschiff</p>", "Donaudampfschiff"),
        ("<p>می\u200cخواهم</p>", "می\u200cخواهم"),
        ("<div><p>one</p><p>two</p></div>", "one two"),
        ("<p>a<script>x()</script><style>y</style>b</p>", "ab"),
        ("<p>日本<b>語</b></p>", "日本語"),
        ("<p>abc\u202edef\u202c</p>", "abcdef"),
    ],
)
def test_inline_text(markup: str, expected: str) -> None:
    assert text.inline(html.fragment_fromstring(markup)) == expected


def test_code_keeps_its_white_space() -> None:
    assert text.clean_code("\n def f():\r\n     return 1  \n\n") == " def f():\n     return 1"
