"""Personal data in texts: what each kind looks like on pages, and what looks like it and is none."""

import re
import time
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.config import PrivacyConfig
from m3w_builder.privacy import (
    KINDS,
    PLACEHOLDERS,
    Kind,
    Mask,
    count,
    find,
    mask,
    node_rule,
)

NONE = PrivacyConfig(email="keep", phone="keep", ip="keep", card="keep", iban="keep")
EMAILS = [
    "Write to «joe.bloggs@falcot.com».",
    "Mail: <«joe+lists@cl.cam.ac.uk»>, or call",
    "mailto:«o'brien@ex-ample.ie»?subject=x",
    "(«j_d@sub.host-1.de»)",
    "«müller@bücher.de»",
    "«a@b.xn--p1ai»",
    "邮箱«550502573@qq.com»微信",
    "发送给«12345@bugs.debian.org»。",
    "«presse(at)jugend-forscht.de»",
    "«support [at] fairkom.eu»",
    "«contact[at]erichoefler[dot]com»",
    "«iasupport [AT] archive [DOT] org». Please",
    "«iasupport AT archive DOT org» from",
    "«info at archive dot org» WITH",
    "«joe(@)ex.com.au»",
]
NO_EMAILS = [
    "Follow @joe on twitter.com, or joe@work",
    "git clone git@github.com:org/repo",
    "getty@tty1.service and icon@2x.png",
    "npm install vue@3.0.0-beta.next lodash@4.17.21",
    "user@example.com, joe@www.example.org, a@b.test, root@localhost, me@host.local",  # RFC 2606
    "als @dussmann.official, TikTok-Nutzerin @thita.vy, 2020 @frau-sabienes.de",
    "@joe@mastodon.social",
    "look at example dot com, at us at facebook dot com",
    "Look at the dot com boom, at noon dot dot dot",
    "meet (at) noon, f(at) x.y",
    "a@b@c.com",
    "@app.route",
    "3 @ 4.50",
]
PHONES = [
    # International, whatever the grouping.
    "«+49 (0)40 890 85-433»",
    "«+4915208649244»",
    "Tel.: «+66 (0)89-881 9873».",
    "«(+44) 20 7946 0958»",
    "«+1 (646) 613-4140» (fax)",
    "传真：«00852-26875563»",
    "ring «+7 (912) 345-67-89» or",
    "تلفن «+98 21 8896 5432»",
    # The shapes of some countries.
    "Signal: «347-966-3806». WIRED",
    "or «301.529.0977». I’d",
    "at «(866) 329-7480» or",
    "<b>«1-800-555-1234»</b>",
    "«8 (912) 345-67-89»",
    "«(11) 96123-4567»",
    "彭玲 «131 2345 6789»",
    # A leading zero.
    "Hamburg\n«040 374709-40»\npresse",
    "«02-751-1500»",
    "«01 23 45 67 89»",
    "«06.12.34.56.78»",
    "or «0800 138 1018» (Textphone)",
    "«03-1234-5678»",
    "欢迎来电：«021-56692669» 13917985004",
    # What a word before it says.
    "Tel «6533 6002», Mo-Fr 8.30-12.30",
    "Tel. «030/226 343-0», Fax. «030/226 343 55»",
    "Zürich, Tel: «01211 74 74»,",
    "Kundenhotline: «01805 – 4444»",
    "Phone:«555-0123»",
    "Call us at «555 0123» today",
    "中山英才网热线：«4008841001»",
    "手机«13917985004»",
    "تلفن: «۸۸۹۶۵۴۳۲»",
    "тел. «123-45-67»",
]
NO_PHONES = [
    # Dates, years, times.
    "02/27/1969, 08-29-1968, 28.09.2020, 2018-05-03, 05/06/2012 10:30, 12.03.2015-14.03.2015",
    "1982 – 1983, 2015-2016, call 2015-2016, 07 08 2019, 2021/11/12 08 30",
    "from 9.00 - 15.00, 08:30-12:30",
    # Money, sizes, versions.
    "$1,299,000 and 1.299.000 €, 12 000 000, 0.3183099, 10240000",
    "1920 x 1080, 20*2200*10000, 255 255 255, 0 0 1 1 1 1 0 0 1",
    "Linux 5.10.92-1 (2022-01-18), Firefox 3.6.13, 6.7.7-6 2012-06-03",
    # Numbers of things.
    "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 2049-3630",
    "order 123456789012, PMID: 25490331, doi:10.1016/j.vaccine.2010.08.088",
    "arXiv:1706.02582, CA 94129-0244, 64512-65535, 256-8388607",
    "48.858370, 2.294481; 52.5200 13.4050; 0.1276 51.5072",
    "192.168.122.57",
    "IMG_20190512_123456, a0123456789, https://ex.com/415-561-6767/",
    "-415-561-6767, 12-415-561-6767, 415-561-6767-8, 415-561-67678",
    "Kto.Nr.: 89-521766-7",
    "DFARS 252.227-7013, Boston, MA 02111-1307",
    "FD78 <final> 0639 0645 0649, <Buffer ff 05 00 01 02 03 04>, 01 02 03 04 05 06 07",
    "Decimal('+35236450.6'), 1.002003   1.002003",
    "phone 7, call 911, fax 12345",
    "+1 234 567, +99 999 9999999, 555-0123",
]
IPS = [
    "a.root-servers.net | «198.41.0.4», «2001:503:ba3e::2:30» | V",
    "http://«93.184.216.34»/a",
    "«128.63.2.53»:8080 and «128.63.2.0»/24.",
    "v=spf1 ip4:«199.127.61.96» +a",
    "ping «8.8.8.8», «93.184.216.34», «8.8.4.4»",
    "the DNS server «1.1.1.1».",
    "«2a00:1450:4009:81f::200e»",
]
NO_IPS = [
    "127.0.0.1 10.0.0.138 172.16.254.1 192.168.122.57 169.254.169.254 100.64.100.1 0.0.0.0",
    "224.0.0.251 239.255.255.250 255.255.255.255 203.0.113.9 198.51.100.7 192.0.2.128",
    "300.1.200.4 1.2.3.256 012.134.5.6 1.2.3 1.2.3.4.5",
    "version 121.0.2277.83, v1.120.3.4, Release: 4.110.0.1, Chrome/99.0.200.51",
    "4.2.1.3 Introduction, Section 10.2.1.1, §4.1.100.2",
    "Linux 2.6.32.10, OID 1.3.101.110, patch V8 to 9.6.180.15, upgraded from 4.5.103.35",
    "::1 fe80::1 fc00::1 ff02::1 2001:db8::1 64:ff9b::808:808",
    "std::chrono a::b Face::Add 12:30:45 00:1A:2B:3C:4D:5E 2001:12",
]
CARDS = [
    "«4111 1111 1111 1111», 12/25",
    "card «4111-1111-1111-1111».",
    "«5500005555555559»",
    "«2221 0000 0000 0009»",
    "Amex «3782 822463 10005»",
    "«30569309025904»",
    "«6011111111111117» «3530111333300000»",
]
NO_CARDS = [
    "4111 1111 1111 1112",  # Luhn
    "9111 1111 1111 1119",  # no issuer
    "4111 1111-1111 1111",
    "41 11 11 11 11 11 11 11",
    "ID=4111111111111111 A4111111111111111 4111111111111111/2",
    "0.4111111111111111",
    "ISBN 9783161484100",
    "5533 5534 5535 5536 5537 5538, A552 5541 5542 5543 5544",
]
IBANS = [
    "Kto.Nr.: 89-521766-7\nIBAN: «CH56 0900 0000 8952 1766 7»\nBIC: POFICHBEXXX",
    "IBAN «DE30 6805 1207 0000 3701 71»",
    "«DE22100500000190094729» – Danke!",
    "«GB82 WEST 1234 5698 7654 32»",
    "«NO93 8601 1117 947» «BE68 5390 0754 7034»",
    "«MT84 MALT 0110 0001 2345 MTLC AST0 01S»",
    "«NL91 ABNA 0417 1643 00», «ES91 2100 0418 4502 0005 1332»",
    "«IT60X0542811101000000123456» «PL61109010140000071219812874»",
    "«SA03 8000 0000 6080 1016 7519» «TR33 0006 1005 1978 6457 8413 26»",
    "«BR1800360305000010009795493C1» «LC55HEMM000100010012001200023015»",
    "账户«FR14 2004 1010 0505 0001 3M02 606»。",
]
NO_IBANS = [
    "GB82 WEST 1234 5698 7654 33",  # check digits
    "XX82 WEST 1234 5698 7654 32",  # no country
    "GB82 WEST 1234 5698 7654 321",  # length
    "GB82 WEST 1234 5698 7654",
    "aGB82WEST12345698765432",
    "gb82 west 1234 5698 7654 32",
]


EXAMPLES: dict[Kind, tuple[list[str], list[str]]] = {
    "email": (EMAILS, NO_EMAILS),
    "phone": (PHONES, NO_PHONES),
    "ip": (IPS, NO_IPS),
    "card": (CARDS, NO_CARDS),
    "iban": (IBANS, NO_IBANS),
}


def marked(text: str, kind: Kind) -> str:
    """Returns the text with « » around each finding of a kind."""
    for found in reversed(find(text)):
        if found.kind == kind:
            text = f"{text[: found.start]}«{text[found.start : found.end]}»{text[found.end :]}"
    return text


@pytest.mark.parametrize(
    ("kind", "example"), [(kind, text) for kind in KINDS for text in EXAMPLES[kind][0]]
)
def test_found_from_its_first_to_its_last_character(kind: Kind, example: str) -> None:
    assert marked(example.replace("«", "").replace("»", ""), kind) == example


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind in KINDS for text in EXAMPLES[kind][1]]
)
def test_not_taken_for_personal_data(kind: Kind, text: str) -> None:
    assert marked(text, kind) == text


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_numbers_of_every_country_are_found_as_they_are_written_abroad(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None:
            for form in (
                phonenumbers.PhoneNumberFormat.INTERNATIONAL,
                phonenumbers.PhoneNumberFormat.E164,
            ):
                written = phonenumbers.format_number(number, form)
                assert marked(f"Ring {written}, daily.", "phone") == f"Ring «{written}», daily."


def test_earlier_kind_counts_where_two_overlap() -> None:
    assert [found.kind for found in find("0171-1234567@web.de")] == ["email"]
    assert [found.kind for found in find("Tel. 4111 1111 1111 1111")] == ["card"]


def test_counts_are_sparse() -> None:
    text = "joe@falcot.com, jean@falcot.com or +49 (0)40 890 85-433"
    assert count(text) == {"pii_email": 2.0, "pii_phone": 1.0}
    assert count("A paragraph as most are, of 2026.") == {}


CONTACT = "Joe <joe@falcot.com>, tel. +49 (0)40 890 85-433, IBAN GB82 WEST 1234 5698 7654 32."


def test_placeholders_say_what_was_there() -> None:
    assert mask(CONTACT, PrivacyConfig()) == "Joe <<EMAIL>>, tel. <PHONE>, IBAN <IBAN>."
    assert mask("4111 1111 1111 1111 from 8.8.8.123", PrivacyConfig()) == "<CARD> from <IP>"


def test_what_is_kept_stays() -> None:
    assert mask(CONTACT, NONE) == CONTACT
    only = NONE.model_copy(update={"phone": "mask"})
    assert mask(CONTACT, only) == CONTACT.replace("+49 (0)40 890 85-433", "<PHONE>")


def test_field_that_is_no_node_is_masked_where_nodes_are_dropped() -> None:
    config = NONE.model_copy(update={"email": "drop"})
    assert mask("Photo: joe@falcot.com", config) == "Photo: <EMAIL>"


def test_mask_counts_what_it_hides() -> None:
    hide = Mask(NONE.model_copy(update={"email": "mask", "iban": "drop"}))
    assert hide("nothing here") == "nothing here"
    for text in (CONTACT, CONTACT):
        hide(text)
    assert hide.counts == {"privacy.email": 2, "privacy.iban": 2}


@pytest.mark.parametrize(
    ("handling", "scores", "verdict"),
    [
        ({"email": "drop"}, {"pii_email": 2.0, "pii_phone": 1.0}, ("personal_data", "2 email")),
        (
            {"email": "drop", "phone": "drop"},
            {"pii_email": 2.0, "pii_phone": 1.0},
            ("personal_data", "2 email, 1 phone"),
        ),
        ({"email": "mask"}, {"pii_email": 2.0}, None),
        ({"email": "keep"}, {"pii_email": 2.0}, None),
        ({"card": "drop"}, {"pii_email": 2.0, "words": 9.0}, None),
        ({"card": "drop"}, {}, None),
    ],
)
def test_node_with_a_kind_to_drop_is_dropped(
    handling: dict[str, str], scores: dict[str, float], verdict: tuple[str, str] | None
) -> None:
    assert node_rule(scores, PrivacyConfig.model_validate(handling)) == verdict


PIECES = [
    part
    for kind in KINDS
    for text in EXAMPLES[kind][0]
    for part in text.replace("»", "«").split("«")
    if part
]
MIXED = st.lists(
    st.one_of(
        st.sampled_from(PIECES), st.text("0123456789 +-./()@:<>aAdotT\n", max_size=6), st.text()
    ),
    max_size=8,
).map("".join)


@given(MIXED)
def test_findings_lie_in_order_and_apart(text: str) -> None:
    found = find(text)
    ends = [0, *(item.end for item in found)]
    assert all(end <= item.start < item.end for end, item in zip(ends, found, strict=False))
    assert ends[-1] <= len(text)


@given(MIXED)
def test_masking_again_changes_nothing(text: str) -> None:
    once = mask(text, PrivacyConfig())
    assert mask(once, PrivacyConfig()) == once


@given(MIXED.filter(lambda text: "<" not in text))
def test_all_but_the_findings_stays_as_it_was(text: str) -> None:
    pieces = re.split("|".join(PLACEHOLDERS.values()), mask(text, PrivacyConfig()))
    assert re.fullmatch("(?s:.+?)".join(map(re.escape, pieces)), text)


HOSTILE: dict[str, Callable[[int], str]] = {
    "at signs": lambda n: "a@" * (n // 2),
    "a local part": lambda n: "a" * (n - 6) + "@ex.de",
    "dots": lambda n: "a@" + "a." * (n // 2),
    "hidden at": lambda n: "a (at) " * (n // 7),
    "spelt out": lambda n: " at a dot" * (n // 9),
    "digits": lambda n: "1" * n,
    "zeros": lambda n: "0 1 " * (n // 4),
    "groups": lambda n: "1 1 1 1 " * (n // 8),
    "brackets": lambda n: "(" * n,
    "a digit and brackets": lambda n: "1" + "(" * n,
    "digits in brackets": lambda n: "(0" * (n // 2),
    "plus": lambda n: "+1 " * (n // 3),
    "dotted": lambda n: "1." * (n // 2),
    "colons": lambda n: "2001:" * (n // 5),
    "accounts": lambda n: "GB82 " * (n // 5),
    "cards": lambda n: "4111 " * (n // 5),
    "tel": lambda n: "tel no " * (n // 14) + "1234567" * (n // 14),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_alone(name: str) -> None:
    make = HOSTILE[name]

    def seconds(size: int) -> float:
        text = make(size)
        start = time.process_time()
        mask(text, PrivacyConfig())
        return time.process_time() - start

    mask(make(1000), PrivacyConfig())
    short = min(seconds(50_000) for _ in range(3))
    assert seconds(500_000) < 40 * short + 0.2  # quadratic would be a hundred times


def test_ten_megabytes_of_prose_are_searched_in_proportion() -> None:
    line = "In 2019 some 4,500 people (see 12.3) came to the lake; call it 1 in 10. "

    def seconds(size: int) -> float:
        text = line * (size // len(line))
        start = time.process_time()
        mask(text, PrivacyConfig())
        return time.process_time() - start

    short = min(seconds(10**6) for _ in range(3))
    assert seconds(10**7) < 25 * short + 0.2
