import gzip

import pytest

from m3w_builder import dom
from m3w_builder.errors import PageError

RUSSIAN = "Это проверочная страница, осенью в Москве очень красиво и в парках много людей."
CHINESE = "这是一个关于网页正文抽取的测试页面，里面有图片和文字，北京的秋天很美。"
JAPANESE = "これは本文抽出のための試験ページです。画像と文章が交互に並んでいます。"


def page(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>t</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "head", "header"),
    [
        (RUSSIAN, "utf-8", "", ""),
        (RUSSIAN, "utf-8-sig", '<meta charset="iso-8859-1">', ""),
        (RUSSIAN, "utf-16", "", ""),
        (RUSSIAN, "utf-16-be", "", ""),
        (RUSSIAN, "cp1251", "", "text/html; charset=windows-1251"),
        (RUSSIAN, "cp1251", '<meta charset="windows-1251">', ""),
        (RUSSIAN, "utf-8", '<meta charset="iso-8859-1">', ""),
        (
            RUSSIAN,
            "koi8_r",
            '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
            "",
        ),
        (CHINESE, "gb18030", '<meta charset="gb2312">', ""),
        (CHINESE, "gb18030", '<meta charset="utf-8">', ""),
        (JAPANESE, "cp932", '<meta charset="Shift_JIS">', "text/html; charset=utf-8"),
        (JAPANESE, "euc_jp", "", 'text/html; charset="EUC-JP"'),
        (JAPANESE, "iso2022_jp", '<meta charset="iso-2022-jp">', ""),
        ("l’été — cœur", "cp1252", '<meta charset="latin1">', ""),
    ],
)
def test_text_is_decoded_whatever_its_declaration_says(
    text: str, codec: str, head: str, header: str
) -> None:
    assert text in dom.decode(page(text, head).encode(codec), header)


def test_a_cut_character_does_not_spoil_the_page() -> None:
    assert CHINESE[:-1] in dom.decode(page(CHINESE).encode()[:-20])


@pytest.mark.parametrize("data", [b"", b" \r\n\0"])
def test_nothing_is_page_empty(data: bytes) -> None:
    with pytest.raises(PageError, match="page_empty"):
        dom.decode(data)


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4 x", gzip.compress(b"<p>"), b'{"a": 1}', bytes(range(256)) * 20]
)
def test_other_formats_are_not_html(data: bytes) -> None:
    with pytest.raises(PageError, match="not_html"):
        dom.decode(data)


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<p " + " ".join(f"a{i}=1" for i in range(5000)) + ">x", "too_many_attributes"),
        ("<div>x" * 20_000 + "</div>" * 20_000, "nesting_too_deep"),
    ],
)
def test_what_stalls_a_parser_is_refused(html: str, reason: str) -> None:
    with pytest.raises(PageError, match=reason):
        dom.parse(html)


def test_text_under_moderate_nesting_is_kept() -> None:
    root = dom.parse("<div>" * 700 + "<p>deep words</p>" + "</div>" * 700)
    assert "deep words" in "".join(root.itertext())


@pytest.mark.parametrize("control", ["\x01", "\ufffe"])
def test_control_characters_do_not_stop_the_second_parser(control: str) -> None:
    damaging = "<table><tbody><tr><td>" * 1100  # deeper than lxml goes
    root = dom.parse(damaging + f"some words {control} here. " * 30)
    assert "some words" in "".join(root.itertext())


def test_a_page_that_neither_parser_takes_is_damaged() -> None:
    with pytest.raises(PageError, match="page_damaged"):
        dom.parse("<table><tbody><tr><td>" * 1100 + "some words &#1; here. " * 30)


def test_paths_name_every_element_as_xpath_does() -> None:
    root = dom.parse("<body><div><p>a<p>b<b>c</b></div><div>d</div>")
    paths = dom.Paths()
    for element in root.iter():
        assert root.getroottree().xpath(paths.of(element)) == [element]


def test_content_without_a_body_tag_is_not_left_in_the_head() -> None:
    root = dom.parse("<title>T</title><article><p>words</article><meta name=x><p>more")
    assert [element.tag for element in root[0]] == ["title", "meta"]
    assert [element.tag for element in root[1]] == ["article", "p"]
