"""CIDEr-D of captions, computed by pycocoevalcap, on words as the COCO evaluation server splits them.

pycocoevalcap's CIDEr is plain Python and is used as it is; its tokenizer is Stanford's, in Java. `words` is
the part of the Penn Treebank rules that captions meet, in Python: no Java is needed, and the words are the
same on every machine. How often it agrees with Stanford's is in docs/evaluation.md.
"""

import re
from collections.abc import Iterator, Sequence

from m3w_builder.errors import TrainError

# What COCO's evaluation drops after tokenisation. Brackets, which it means to drop, stay as -lrb-: its
# list has them in capitals, and the words are in lower case.
_DROPPED = frozenset((*".?!,:;-'`", "--", "...", "''", "``"))
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SILENT = frozenset("\"“”„‟«»‘’‚‛‹›'`–—―…")  # quotes, dashes: dropped under their ASCII names

# A word that keeps its period inside a sentence.
_ABBREVIATIONS = """
    mr mrs ms dr prof rev gen sen rep gov lt sgt capt col maj cmdr hon adm st jr sr vs etc inc ltd co corp dept univ
    jan feb mar apr jun jul aug sep sept oct nov dec ave blvd rd mt ft bros e.g i.e a.m p.m al
"""
_PERIOD_STAYS = frozenset(_ABBREVIATIONS.split())
_SPLIT = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
}
_CLITIC = re.compile(r"(?<=\w)(n['’]t|['’](?:s|m|d|ll|re|ve))$")

_TOKEN = re.compile(
    r"""
    https?://[^\s"'<>()]+ | www\.[^\s"'<>()]+                     # addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | [#@][^\W\d]\w*
    | (?:[^\W\d_]\.){2,}(?:-[^\W_]+)*                             # u.s.a.  u.s.-led
    | [^\W_]+(?:\.[^\W\d_][^\W_]+)+                               # example.org
    | ['’]s\b
    | [-+]?\.?\d+(?:[.,:/]\d+)+(?:-[^\W_]+)*                      # 3,000  4:30  1/2  2.5-metre
    | [-+]?\d+(?!\w)(?:-[^\W_]+)*                                 # 7  3-year-old
    | [^\W_]\w*(?:['’][^\W_]+|&[A-Z][^\W_]*|-[^\W_]+)*(?:/[^\W\d_]+)*   # 80s  dog's  well-known  B&W  and/or
    | -{2,} | [?!]{2,} | [*]{2,}
    | \S
    """,
    re.VERBOSE,
)


def words(caption: str) -> list[str]:
    """Returns the words that count: "A man's dog (wet), isn't it?" -> a man 's dog -lrb- wet -rrb- is n't it."""
    return [word for word in _tokens(" ".join(caption.split())) if word not in _DROPPED]


def _tokens(caption: str) -> Iterator[str]:
    for match in _TOKEN.finditer(caption):
        token = match[0].lower()
        after = caption[match.end() :]
        if token in _BRACKETS:
            yield _BRACKETS[token]
        elif token in _SILENT:
            continue
        elif token in _SPLIT:
            yield from _SPLIT[token]
        elif token in ("'s", "’s"):
            yield "'s"
        elif _keeps_period(token, after):
            yield f"{token}."
        elif clitic := _CLITIC.search(token):
            yield token[: clitic.start()]
            yield clitic[0].replace("’", "'")
        else:
            yield token


def _keeps_period(token: str, after: str) -> bool:
    """Says whether a period belongs to the word before it: Mr., and initials."""
    initial = len(token) == 1 and token.isalpha()
    return after.startswith(".") and (initial or token in _PERIOD_STAYS)


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Returns CIDEr-D of each caption (Vedantam et al. 2015, arXiv 1411.5726), times 100 as papers print it.

    How rare an n-gram is comes from the references of this very set, so scores of subsets do not compare,
    and a set of one has only 0. Raises TrainError where pycocoevalcap is missing.
    """
    try:
        from pycocoevalcap.cider.cider import Cider
    except ModuleNotFoundError as error:
        raise TrainError("CIDEr needs pycocoevalcap: pip install 'm3w-builder[eval]'") from error
    said = {i: [" ".join(words(text))] for i, text in enumerate(predictions)}
    truth = {i: [" ".join(words(text)) for text in texts] for i, texts in enumerate(references)}
    if not any(text for texts in truth.values() for text in texts):
        return [0.0] * len(predictions)
    _, scores = Cider().compute_score(truth, said)
    return [100.0 * float(score) for score in scores]
