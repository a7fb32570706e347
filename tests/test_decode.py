import gzip

import pytest
import webencodings

from m3w_builder import dom
from m3w_builder.errors import PageError

RUSSIAN = "Это проверочная страница, осенью в Москве очень красиво и в парках много людей."
UKRAINIAN = "Восени в Києві дуже гарно, і в парках багато людей, а діти збирають жовте листя."
GREEK = "Το φθινόπωρο η Αθήνα είναι πολύ όμορφη και στα πάρκα υπάρχουν πολλοί άνθρωποι."
HEBREW = "בסתיו ירושלים יפה מאוד, ובפארקים יש אנשים רבים והילדים אוספים עלים צהובים."
ARABIC = "في الخريف تكون القاهرة جميلة جدا، وفي الحدائق كثير من الناس والأطفال."
THAI = "ในฤดูใบไม้ร่วงกรุงเทพสวยงามมาก และในสวนสาธารณะมีผู้คนมากมาย"
TURKISH = "Sonbaharda İstanbul çok güzeldir ve parklarda birçok insan yağmurda bile ışıldar."
POLISH = "Jesienią w Warszawie jest bardzo pięknie, a dzieci zbierają żółte liście."
CZECH = "Na podzim je v Praze velmi krásně a děti sbírají žluté listí, zatímco dospělí pijí čaj."
HUNGARIAN = (
    "Ősszel Budapest nagyon szép, a felnőttek forró teát isznak és a hűvös időről beszélgetnek."
)
FRENCH = "À l’automne, la forêt est très belle — on y rencontre des cœurs légers près du château."
GERMAN = "Im Herbst ist der Wald sehr schön, und überall trinken die Großen heißen Tee."
CHINESE = "这是一个关于网页正文抽取的测试页面，里面有图片和文字，北京的秋天很美。"
TAIWANESE = "這是一個測試網頁，包含圖片與文字，秋天的台北非常美麗，大人們喝著熱茶聊天。"
JAPANESE = "これは本文抽出のための試験ページです。画像と文章が交互に並んでいます。"
KOREAN = "이것은 본문 추출을 위한 시험 페이지입니다. 가을의 서울은 매우 아름답습니다."

META = '<meta http-equiv="Content-Type" content="text/html; charset={}">'


def page(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>t</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "head", "header"),
    [
        # what declares it: byte order mark, header, meta, nothing
        (RUSSIAN, "utf-8", "", ""),
        (RUSSIAN, "utf-8-sig", '<meta charset="iso-8859-1">', "text/html; charset=koi8-r"),
        (RUSSIAN, "utf-16", "", ""),
        (RUSSIAN, "utf-16-be", "", ""),
        (RUSSIAN, "utf-32", "", ""),
        (RUSSIAN, "cp1251", "", "text/html; charset=windows-1251"),
        (RUSSIAN, "cp1251", "", "text/html;charset='cp1251'; x=y"),
        (RUSSIAN, "cp1251", "<meta charset=windows-1251>", ""),
        (RUSSIAN, "cp1251", "<META CHARSET='Windows-1251' />", ""),
        (RUSSIAN, "koi8_r", META.format("koi8-r"), ""),
        (CZECH, "cp1250", META.format("windows-1250"), ""),
        (CZECH, "iso8859_2", f"<script>{'x' * 5000}</script>" + META.format("latin2"), ""),
        (CZECH, "cp1250", "<!-- <meta charset=utf-8> --><meta charset=cp1250>", "text/html"),
        # the standard's labels: what they name is often a superset of their namesake
        ("l’été — cœur", "cp1252", '<meta charset="latin1">', ""),
        ("l’été — cœur", "cp1252", '<meta charset="us-ascii">', ""),
        ("l’été — cœur", "cp1252", '<meta charset="x-user-defined">', ""),
        (CHINESE + "镕喆", "gb18030", '<meta charset="gb2312">', ""),
        (JAPANESE + "①", "cp932", '<meta charset="Shift_JIS">', ""),
        (JAPANESE + "①", "euc_jis_2004", '<meta charset="x-euc-jp">', ""),
        (KOREAN + "똠", "cp949", '<meta charset="ks_c_5601-1987">', ""),
        (TAIWANESE + "碁", "big5hkscs", '<meta charset="big5">', ""),
        (THAI + "…", "cp874", '<meta charset="tis-620">', ""),
        (TURKISH, "cp1254", '<meta charset="iso-8859-9">', ""),
        (RUSSIAN, "utf-8", '<meta charset="utf-16">', ""),
        (JAPANESE, "iso2022_jp", '<meta charset="iso-2022-jp">', ""),
        # a wrong declaration
        (RUSSIAN, "utf-8", '<meta charset="iso-8859-1">', ""),
        (RUSSIAN, "utf-8", '<meta charset="klingon-8">', ""),
        (RUSSIAN, "cp1251", '<meta charset="iso-8859-1">', ""),
        (RUSSIAN, "koi8_r", '<meta charset="windows-1251">', ""),
        (RUSSIAN, "cp1251", '<meta charset="koi8-r">', "text/html; charset=utf-8"),
        (CHINESE, "gb18030", '<meta charset="utf-8">', ""),
        (CHINESE, "gb18030", '<meta charset="windows-1251">', ""),
        (TAIWANESE, "big5", '<meta charset="gb2312">', ""),
        (JAPANESE, "cp932", '<meta charset="Shift_JIS">', "text/html; charset=utf-8"),
        (JAPANESE, "euc_jp", '<meta charset="gbk">', ""),
        (KOREAN, "cp949", '<meta charset="gbk">', ""),
        (GREEK, "cp1253", '<meta charset="windows-1251">', ""),
        (TURKISH, "cp1254", '<meta charset="iso-8859-1">', ""),
        (POLISH, "cp1250", '<meta charset="iso-8859-1">', ""),
        (CZECH, "iso8859_2", '<meta charset="iso-8859-1">', ""),
        (HUNGARIAN, "cp1250", '<meta charset="iso-8859-1">', ""),
        (FRENCH, "cp1252", '<meta charset="utf-8">', ""),
        (GERMAN, "cp1252", '<meta charset="gbk">', ""),
        (GERMAN, "cp1252", '<meta charset="windows-1251">', ""),
        # none
        (RUSSIAN, "cp1251", "", ""),
        (RUSSIAN, "cp866", "", ""),
        (UKRAINIAN, "koi8_u", "", ""),
        (GREEK, "iso8859_7", "", ""),
        (HEBREW, "cp1255", "", ""),
        (ARABIC, "cp1256", "", ""),
        (THAI, "cp874", "", ""),
        (TURKISH, "cp1254", "", ""),
        (POLISH, "iso8859_2", "", ""),
        (CZECH, "cp1250", "", ""),
        (FRENCH, "cp1252", "", ""),
        (CHINESE, "gb18030", "", ""),
        (TAIWANESE, "big5", "", ""),
        (JAPANESE, "cp932", "", ""),
        (JAPANESE, "euc_jp", "", 'text/html; charset=""'),
        (JAPANESE, "iso2022_jp", "", ""),
        (KOREAN, "cp949", "", ""),
        ("one accent: café", "cp1252", '<meta charset="utf-8">', ""),
    ],
)
def test_text_is_decoded_whatever_its_declaration_says(
    text: str, codec: str, head: str, header: str
) -> None:
    assert text in dom.decode(page(text, head).encode(codec), header)


def test_every_label_of_the_standard_has_a_codec() -> None:
    for label in vars(webencodings)["LABELS"]:
        assert "t</title>" in dom.decode(
            page("\xff\xfe").encode("latin-1"), f"x/y; charset={label}"
        )


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-be"])
def test_a_cut_character_does_not_spoil_the_page(encoding: str) -> None:
    whole = page(CHINESE).encode(encoding)
    cut = whole[: whole.index("</p>".encode(encoding)) - 1]
    assert dom.decode(cut).removesuffix("\ufffd").endswith(f"<p>{CHINESE[:-1]}")


def test_a_few_damaged_bytes_do_not_unmake_utf8() -> None:
    data = page(RUSSIAN * 3).encode().replace("ш".encode(), b"\xff")
    assert "осенью в Москве" in dom.decode(data)


def test_text_that_was_encoded_twice_stays_as_the_page_has_it() -> None:
    twice = "Ã©tÃ©"
    assert twice in dom.decode(page(twice).encode(), "text/html; charset=latin1")


@pytest.mark.parametrize(
    "start", ["\ufeff", "\ufeff\ufeff", "\n\ufeff", "\ufeff \r\n\ufeff", "\0\ufeff", "\ufeff\0"]
)
def test_byte_order_marks_do_not_push_the_head_into_the_body(start: str) -> None:
    root = dom.read((start + page("x", "<meta charset=latin1>")).encode())
    assert [child.tag for child in root[0]] == ["meta", "title"]


def test_bytes_that_windows_1252_leaves_out_are_the_standards_controls() -> None:
    data = page("words " * 300 + "été\x81").encode("latin-1")
    assert "été\x81" in dom.decode(data, "text/html; charset=latin1")


def test_read_is_decode_and_parse() -> None:
    data = page(RUSSIAN).encode("cp1251")
    both = dom.parse(dom.decode(data))
    assert list(dom.read(data).itertext()) == list(both.itertext()) == ["t", RUSSIAN]


@pytest.mark.parametrize("data", [b"", b" \r\n\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\0" * 10_000])
def test_nothing_is_page_empty(data: bytes) -> None:
    with pytest.raises(PageError, match="page_empty"):
        dom.decode(data)


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4 x", gzip.compress(b"<p>"), b'{"a": 1}', bytes(range(256)) * 20]
)
def test_other_formats_are_not_html(data: bytes) -> None:
    with pytest.raises(PageError, match="not_html"):
        dom.decode(data)
