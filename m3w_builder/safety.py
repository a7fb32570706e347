"""Explicit content: how much of it a text has (`extract` measures), and what is not used for it (`select` decides).

Images have their score from `fetch`; texts are measured by the share of unambiguous sexual words, and by a classifier
of the user's choice; addresses are compared with lists and with what a host's own name says. The words are ours, chosen
so that medicine, news, art and insults are no hits: docs/people.md tells what that finds and what not.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from m3w_builder.config import SafetyConfig
from m3w_builder.errors import ConfigError
from m3w_builder.files import ReadOnce
from m3w_builder.optouts import OptOutLists
from m3w_builder.rules import unigrams
from m3w_builder.text import word_set
from m3w_builder.types import Text

Verdict = tuple[str, str]  # reason, detail
TextScorer = Callable[[str, str], float]  # text, language -> 0 to 1

DECIMALS = 4  # of a text's score
IMAGE, TEXT, URL = "explicit_image", "explicit_text", "blocked_url"  # the reasons

_ENGLISH = word_set(
    "blowjob blowjobs bukkake buttplug camgirl camgirls clit creampie creampies cumshot cumshots cunnilingus"
    " deepthroat dildos facesitting fisting footjob gangbang gangbangs handjob handjobs hentai jizz milf milfs porn"
    " porno pornos pornhub pornstar pornstars redtube rimjob shemale shemales titfuck titjob upskirt xhamster xnxx"
    " xvideos youporn"
)
_WORDS = {  # whole words, beside the English ones; by ISO 639-1
    "ar": "سكس نيك بورنو",
    "de": "arschficken arschfick ficken fickt gefickt fotze fotzen möse hobbyhure hobbyhuren pornofilm pornofilme"
    " sexcam sexcams sexkontakte titten",
    "es": "chupapollas follada folladas follando follar mamada mamadas tetona tetonas",
    "fa": "سکس پورن پورنو",
    "fr": "beurette beurettes branlette branlettes enculer nichons partouze partouzes suceuse suceuses",
    "it": "inculata pompini pompino sborra sborrata tettona tettone",
    "nl": "geneukt klaarkomen kutje neuken neukt pijpbeurt sletje tieten",
    "pl": "cipka cipki cycki obciąga obciąganie ruchać ruchana ruchanie sekskamerki",
    "pt": "boquete boquetes buceta bucetinha fodendo pornô punheta putaria siririca suruba xoxota",
    "ru": "анал выебал дрочит дрочить ебля минет пизда порно порнуха порноролик порноролики сиськи трахает трахается"
    " трахать хентай",
    "tr": "amcık sikiş sikişme yarrak",
}
# Of texts without spaces, or with endings (Korean: at the start of a word). Shorter ones hide in what is harmless:
# 色情 in 红色情怀 ("red feelings"), 口交 in 路口交通 ("traffic at the crossing").
_PARTS = {
    "ja": "アダルトビデオ エロ動画 エロ漫画 オナニー ハメ撮り フェラチオ 巨乳 手コキ 爆乳 顔射 デリヘル",
    "ko": "야동 포르노 오럴섹스 딸딸이",
    "th": "หนังโป๊ คลิปโป๊",
    "zh": "乳交 巨乳 成人影片 成人电影 爆乳 淫乱 淫水 淫荡 約炮 约炮 肉棒 肛交 色情片 色情影片 颜射 顏射 骚穴",
}
_WORD = re.compile(r"\w+")
_SIGNS_GONE = bytes(n if _WORD.match(chr(n)) else 0x20 for n in range(128)) + bytes(128)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_TOP_LEVEL = word_set("adult porn sex xxx")  # made for it (ICANN)
_HOST_WORD = re.compile(r"[^\W\d_]+")


def text_scores(text: str, language: str, config: SafetyConfig) -> dict[str, float]:
    """Returns {"flagged_words": ..., "words": ...} of a text, nothing where no word is flagged.

    `language` (ISO 639-1) chooses the words; English ones and those of `safety.word_lists` always count.
    """
    flagged = _lexicons(config.word_lists).count(text.lower(), language)
    return {"flagged_words": float(flagged), "words": float(unigrams(text))} if flagged else {}


def document_scores(texts: Sequence[Text], language: str, config: SafetyConfig) -> dict[str, float]:
    """Returns the scores of a document from its texts, whose own (`text_scores`) are measured: their
    sum, and "explicit" by `safety.text_scorer`, which sees the document's text once."""
    flagged = sum(text.scores.get("flagged_words", 0.0) for text in texts)
    found = {"flagged_words": flagged} if flagged else {}
    if config.text_scorer:
        score = _scorer(config.text_scorer)("\n".join(text.text for text in texts), language)
        found["explicit"] = round(_checked(config.text_scorer, score), DECIMALS)
    return found


def flagged_share(scores: Mapping[str, float], words: str = "words") -> float:
    """Returns the share of flagged words among the words, counted by the score of this name; 0 without any."""
    flagged = scores.get("flagged_words", 0.0)
    return flagged / scores[words] if flagged and scores.get(words) else 0.0


def text_rule(scores: Mapping[str, float], config: SafetyConfig) -> Verdict | None:
    """Returns why a text (or a document, by the same scores) is explicit, or None."""
    flagged, share = scores.get("flagged_words", 0.0), flagged_share(scores)
    if flagged >= config.min_flagged and share > config.max_flagged:
        return TEXT, f"{flagged:.0f} flagged words, {share:.4f} > {config.max_flagged:g}"
    if (score := scores.get("explicit", 0.0)) > config.max_text_score:
        return TEXT, f"{score:g} > {config.max_text_score:g}"
    return None


def image_rule(scores: Mapping[str, float], config: SafetyConfig) -> Verdict | None:
    """Returns why an image with these scores ("nsfw") is explicit, or None."""
    if (score := scores.get("nsfw", 0.0)) > config.max_nsfw:
        return IMAGE, f"{score:g} > {config.max_nsfw:g}"
    return None


def blocked(url: str, config: SafetyConfig) -> Verdict | None:
    """Returns why a canonical URL of a page or a medium is not used, or None."""
    if config.block_lists and (entry := _block_lists(config.block_lists).url(url)):
        return URL, f"{entry.found} ({entry.where})"
    if config.block_hosts and (word := _says_so(urlsplit(url).hostname or "")):
        return URL, f"host name with {word!r}"
    return None


def _says_so(host: str) -> str:
    """Returns the word of a host's name that says what it shows, "" if none does."""
    *_, top = host.rstrip(".").split(".")
    words = _HOST_WORD.findall(host)
    return top if top in _TOP_LEVEL else next((w for w in words if w in _ENGLISH), "")


def measured_by(config: SafetyConfig) -> str:
    """Returns what changes when what `extract` measures does: a line of a word list, another scorer."""
    return f"{_lexicons.current(config.word_lists).digest} {config.text_scorer}"


def decided_by(config: SafetyConfig) -> str:
    """Returns what changes when a line of a block list does: `select` is asked again then."""
    return _block_lists.current(config.block_lists).digest


class _Lexicon:
    """The flagged words: ours with those of the user's files."""

    def __init__(self, paths: Iterable[str]) -> None:
        digest, entries = sha256(), set[str]()
        for path in map(Path, paths):
            try:
                body = path.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"safety.word_lists: {path}: expected a readable UTF-8 file: {error}"
                ) from error
            digest.update(sha256(body.encode()).digest())
            lines = (" ".join(line.split()).lower() for line in body.splitlines())
            entries |= {line for line in lines if line and not line.startswith("#")}
        self.digest = digest.hexdigest()[:16] if entries else ""
        parts = {entry for entry in entries if _UNSPACED.search(entry)}
        words = {entry for entry in entries - parts if _WORD.fullmatch(entry)}
        phrases = [rf"\b{re.escape(entry)}\b" for entry in entries - parts - words]
        self._others = _any_of([*map(re.escape, parts), *phrases])
        self._common = _ENGLISH | words
        self._words = {name: self._common | word_set(more) for name, more in _WORDS.items()}

    def count(self, text: str, language: str) -> int:
        """Returns the number of flagged words of a text in lower case."""
        # For ASCII the same as the pattern, in a third of the time.
        plain = text.encode("ascii").translate(_SIGNS_GONE) if text.isascii() else b""
        found = plain.decode("ascii").split() if plain else _WORD.findall(text)
        words = self._words.get(language, self._common)
        number = 0 if words.isdisjoint(found) else sum(word in words for word in found)
        patterns = filter(None, (_parts(language), self._others))
        return number + sum(len(pattern.findall(text)) for pattern in patterns)


@cache
def _parts(language: str) -> re.Pattern[str] | None:
    start = r"(?<!\w)" if language == "ko" else ""
    return _any_of([f"{start}{part}" for part in word_set(_PARTS.get(language, ""))])


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    found = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))  # the longest first
    return re.compile("|".join(found)) if found else None


def _files(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the lists of paths: files, and the files "domains" and "urls" of folders and those in them."""
    return tuple(file for path in paths for file in _files_of(path))


def _files_of(path: str) -> Sequence[str]:
    if not Path(path).is_dir():
        return [path]
    found = [file for file in Path(path).rglob("*") if file.name in ("domains", "urls")]
    if not found:
        raise ConfigError(
            f"safety.block_lists: {path}: expected files named domains or urls in it, found none"
        )
    return sorted(map(str, found))


_lexicons = ReadOnce(_Lexicon)
_block_lists = ReadOnce(partial(OptOutLists.load, setting="safety.block_lists"), _files)


@cache
def _scorer(name: str) -> TextScorer:
    """Returns the function "package.module:function", imported now."""
    module, _, function = name.partition(":")
    try:
        found: TextScorer = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{name}: expected an importable package.module:function: {error}"
        ) from error
    return found


def _checked(name: str, score: object) -> float:
    if not isinstance(score, int | float) or not math.isfinite(score) or not 0 <= score <= 1:
        raise ConfigError(f"{name}: expected a number from 0 to 1, found {score!r}")
    return float(score)
