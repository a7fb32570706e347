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


def test_equal_texts_have_one_normal_form() -> None:
    assert text.normalise("Straße\u00a0 ﬁne\n") == text.normalise("STRASSE fine")


def test_letters_of_any_script_are_words() -> None:
    assert text.has_words("日")
    assert text.has_words("a1")
    assert not text.has_words("12 - 3")
