"""Explicit content: which words count in which language, which do not, what is blocked, what the rules say."""

import re
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from m3w_builder.config import Config, SafetyConfig, digest
from m3w_builder.errors import ConfigError
from m3w_builder.safety import (
    blocked,
    decided_by,
    document_scores,
    image_rule,
    measured_by,
    text_rule,
    text_scores,
)
from m3w_builder.types import Text

DEFAULT = SafetyConfig()


def config(**values: object) -> SafetyConfig:
    return SafetyConfig.model_validate(values)


def flagged(text: str, language: str = "en", safety: SafetyConfig = DEFAULT) -> int:
    return int(text_scores(text, language, safety).get("flagged_words", 0))


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("en", "Free PORN: hot milfs, blowjobs & “cumshot” compilation", 4),
        ("de", "Geile Titten: ficken, Porno und Hobbyhuren", 4),
        ("fr", "Gros nichons en partouze, porno gratuit", 3),
        ("es", "Tetonas follando: mamada y porno", 4),
        ("it", "Pompino e sborrata, tettone", 3),
        ("pt", "Boquete e punheta, buceta", 3),
        ("nl", "Geile tieten neuken", 2),
        ("pl", "Cycki i cipki, obciąganie", 3),
        ("ru", "Порно ролики: минет и ебля", 3),
        ("tr", "Porno sikiş", 2),
        ("ar", "سكس نيك", 2),
        ("fa", "فیلم سکس", 1),
        ("zh", "巨乳约炮成人影片", 3),
        ("ja", "巨乳のアダルトビデオ、エロ動画", 3),
        ("ko", "무료야동 야동사이트 포르노를", 2),
        ("th", "ดูหนังโป๊ฟรี", 1),
        ("xx", "Free porn", 1),
        ("", "Free porn", 1),
    ],
)
def test_words_of_each_language_and_english_ones_count(
    language: str, text: str, count: int
) -> None:
    assert flagged(text, language) == count


@pytest.mark.parametrize(
    ("language", "text"),
    [
        # Medicine, education, law, news, art.
        ("en", "The penis and the vagina are sexual organs; sex education covers masturbation."),
        ("en", "Breast cancer of the anal region; oral sex transmits HPV."),
        ("en", "Child pornography is prohibited by federal law; sexist, pornographic, racist."),
        ("en", "A nude by Modigliani, naked, erotic, and the orgy of Rubens"),
        # Names, birds, animals, places, insults.
        ("en", "Dick Cheney, Charles Dickens, Moby-Dick, Alan Cumming, Hitchcock, Scunthorpe"),
        ("en", "Great tits and blue tits, a cock, a pussycat, a dickcissel; Dildo, Newfoundland"),
        ("en", "This fucking bastard is a bitch; summa cum laude; cockpit, cocktail"),
        ("en", "Essex, Middlesex, XXX. Olympiade, 0xXXXX, sextant, pornographer's"),
        ("de", "Sexualität, nackt, Nacktschnecken, dick, Dickmilch, die Katze Muschi, Fickmühlen"),
        ("fr", "Une chatte, la bite d'amarrage, le cul-de-sac, la levrette d'Italie, il baise la main"),
        ("es", "La polla y el gallo, la corrida de toros, la hormiga culona, cumplir"),
        ("it", "Una scopa, il bocchino della tromba, la figa"),
        ("nl", "pijpen, aftrekken, de geile bok"),
        ("ru", "член партии, анализ, канал"),
        # What hides in Chinese, Japanese and Korean text.
        ("zh", "红色情怀，粉色情侣装，路口交通，国内射击冠军，亲自慰问，做爱心人士，牛黄片，羽毛片"),
        ("ja", "フェラーリ、途中出しっぱなし、無修正の写真、潮吹き岩"),
        ("ko", "분야동향 보지 않다 자지 않다"),
    ],
)  # fmt: skip
def test_what_is_not_meant_so_does_not_count(language: str, text: str) -> None:
    assert text_scores(text, language, DEFAULT) == {}


def test_words_of_another_language_do_not_count() -> None:
    assert flagged("He was fickt in the tieten", "en") == 0


def test_scores_are_those_words_of_all_words() -> None:
    assert text_scores("Hot milfs on my page", "en", DEFAULT) == {
        "flagged_words": 1.0,
        "words": 5.0,
    }
    assert text_scores("巨乳约炮", "zh", DEFAULT) == {"flagged_words": 2.0, "words": 2.0}


@pytest.mark.parametrize(
    ("scores", "values", "detail"),
    [
        ({"flagged_words": 3.0, "words": 100.0}, {}, "3 flagged words, 0.0300 > 0.01"),
        ({"flagged_words": 1.0, "words": 4.0}, {}, ""),  # one may be a quotation
        ({"flagged_words": 1.0, "words": 4.0}, {"min_flagged": 1}, "1 flagged words, 0.2500 > 0.01"),
        ({"flagged_words": 3.0, "words": 300.0}, {}, ""),  # the bound passes
        ({"flagged_words": 3.0, "words": 3.0}, {"max_flagged": 1.0}, ""),
        ({"words": 100.0}, {}, ""),
        ({}, {}, ""),
        ({"explicit": 0.9}, {}, "0.9 > 0.8"),
        ({"explicit": 0.8}, {}, ""),
        ({"explicit": 0.5}, {"max_text_score": 0.4}, "0.5 > 0.4"),
    ],
)  # fmt: skip
def test_text_rule(scores: dict[str, float], values: dict[str, object], detail: str) -> None:
    assert text_rule(scores, config(**values)) == (("explicit_text", detail) if detail else None)


@pytest.mark.parametrize(
    ("scores", "bound", "detail"),
    [
        ({"nsfw": 0.9312}, 0.8, "0.9312 > 0.8"),
        ({"nsfw": 0.8}, 0.8, ""),
        ({"nsfw": 1.0}, 1.0, ""),
        ({"flatness": 41.0}, 0.8, ""),  # fetch.safety = "off"
    ],
)
def test_image_rule(scores: dict[str, float], bound: float, detail: str) -> None:
    expected = ("explicit_image", detail) if detail else None
    assert image_rule(scores, config(max_nsfw=bound)) == expected


def measured(*texts: str) -> list[Text]:
    return [Text(text, scores=text_scores(text, "en", DEFAULT)) for text in texts]


def test_document_has_the_sum_of_its_texts() -> None:
    assert document_scores(measured("porn", "a", "milfs and porn"), "en", DEFAULT) == {
        "flagged_words": 3.0
    }
    assert document_scores(measured("a", "b"), "en", DEFAULT) == {}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("plug_in")
    monkeypatch.setitem(sys.modules, "plug_in", module)
    return module


def test_scorer_sees_the_text_of_a_document_once(plugin: ModuleType) -> None:
    seen = []

    def score(text: str, language: str) -> float:
        seen.append((text, language))
        return 0.123456

    plugin.once = score
    found = document_scores(measured("One", "two"), "de", config(text_scorer="plug_in:once"))
    assert found == {"explicit": 0.1235}
    assert seen == [("One\ntwo", "de")]


@pytest.mark.parametrize("answer", [1.5, -0.1, float("nan"), "0.5", None])
def test_scorer_that_gives_no_share_is_told(plugin: ModuleType, answer: object) -> None:
    name = f"plug_in:f{id(answer)}"
    setattr(plugin, name.partition(":")[2], lambda *_: answer)
    with pytest.raises(ConfigError, match=rf"{name}: expected a number from 0 to 1, found"):
        document_scores(measured("x"), "en", config(text_scorer=name))


@pytest.mark.parametrize("name", ["nowhere_at_all:f", "m3w_builder.safety:nothing"])
def test_scorer_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected an importable"):
        document_scores(measured("x"), "en", config(text_scorer=name))


def test_own_words_count_in_every_language(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeff# ours\nSchmuddel\n  hot   stuff \n六合彩\n", encoding="utf-8")
    own = config(word_lists=(str(file),))
    assert flagged("Schmuddel, hot stuff!", "de", own) == 2
    assert flagged("Schmuddelig hot stuffing", "de", own) == 0
    assert flagged("香港六合彩公司", "zh", own) == 1
    assert flagged("porn", "en", own) == 1


def test_word_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe\xfa")
    for name in ("nowhere.txt", "latin.txt"):
        with pytest.raises(ConfigError, match=rf"safety.word_lists: .*{name}: expected"):
            text_scores("x", "en", config(word_lists=(str(tmp_path / name),)))


def test_changed_list_changes_what_the_stages_are_known_by(tmp_path: Path) -> None:
    words, hosts = tmp_path / "words.txt", tmp_path / "hosts.txt"
    words.write_text("one\n")
    hosts.write_text("example.org\n")
    lists = config(word_lists=(str(words),), block_lists=(str(hosts),))
    before = measured_by(lists), decided_by(lists)
    words.write_text("one\ntwo\n")
    assert (measured_by(lists) != before[0], decided_by(lists) != before[1]) == (True, False)
    hosts.write_text("example.org\nexample.com\n")
    assert decided_by(lists) != before[1]
    assert measured_by(config(text_scorer="a:b")) != measured_by(DEFAULT)
    assert digest(Config().safety) == digest(DEFAULT)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://www.site.xxx/a", "xxx"),
        ("https://site.porn/", "porn"),
        ("https://images.free-porn.example/1.jpg", "porn"),
        ("https://pornhub.com/", "pornhub"),
        ("https://hot-milfs.co.uk/", "milfs"),
        ("https://xvideos2.com/", "xvideos"),
        # Towns, names, shops, counties, what others do: their name does not say it.
        ("https://www.ville-pornic.fr/", ""),
        ("https://pornthip.example.th/", ""),
        ("https://www.xxxlutz.at/", ""),
        ("https://essex.ac.uk/sex-education/porn", ""),
        ("https://sexetc.org/", ""),
        ("https://example.org/?q=porn", ""),
        ("https://93.184.216.34/", ""),
        ("", ""),
    ],
)
def test_host_whose_name_says_so_is_blocked(url: str, word: str) -> None:
    assert blocked(url, DEFAULT) == (("blocked_url", f"host name with {word!r}") if word else None)
    assert blocked(url, config(block_hosts=False)) is None


def test_folder_of_lists_as_ut1_has_them(tmp_path: Path) -> None:
    adult = tmp_path / "blacklists" / "adult"
    adult.mkdir(parents=True)
    (adult / "domains").write_text("bad.example\n93.184.216.34\n")
    (adult / "urls").write_text("mixed.example/adult/\n")
    (adult / "usage").write_text("black\n")
    lists = config(block_lists=(str(tmp_path),))
    reason = "blocked_url"
    assert blocked("https://img.bad.example/1.jpg", lists) == (reason, "bad.example (domains)")
    assert blocked("http://93.184.216.34/", lists) == (reason, "93.184.216.34 (domains)")
    assert blocked("https://mixed.example/adult/1", lists) == (
        reason,
        "mixed.example/adult/ (urls)",
    )
    assert blocked("https://mixed.example/", lists) is None


def test_folder_of_lists_is_looked_at_once_and_not_for_every_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("adult", "dating"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "domains").write_text(f"{name}.example\n")
    lists = config(block_lists=(str(tmp_path),))
    before = decided_by(lists)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", None)
        patched.setattr(Path, "rglob", None)
        assert blocked("https://adult.example/", lists)
        assert blocked("https://dating.example/", lists)
        assert not blocked("https://games.example/", lists)
    (tmp_path / "dating" / "more").mkdir()  # the top folder's own time stays
    (tmp_path / "dating" / "more" / "domains").write_text("games.example\n")
    assert decided_by(lists) != before
    assert blocked("https://games.example/", lists)


def test_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.txt").write_text("no way\n")
    for name, error in (
        ("nowhere.txt", "safety.block_lists: .*nowhere.txt: expected a readable file"),
        ("folder", "safety.block_lists: .*folder: expected files named domains or urls"),
        ("bad.txt", "bad.txt, line 1: expected a domain"),
    ):
        with pytest.raises(ConfigError, match=error):
            blocked("https://example.org/", config(block_lists=(str(tmp_path / name),)))


@pytest.mark.parametrize(
    "unit", ["porn ", "a", "milf-", "(", "巨", "é ", "The lake lies still; nobody is there. "]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        text_scores(text, "zh", DEFAULT)
        return time.process_time() - start

    short = min(seconds(100_000) for _ in range(3))
    assert seconds(1_000_000) < 40 * short + 0.2


def test_ascii_words_are_those_of_the_pattern() -> None:
    text = "".join(f"porn{chr(n)}" for n in range(128))
    assert flagged(text) == re.findall(r"\w+", text).count("porn")
