"""VQA accuracy and exact match, on answers normalised as the VQA challenge does.

An answer is right if at least three of the annotators gave it; each annotator is left out once, so that
people can be scored the same way (Antol et al. 2015, arXiv 1505.00468, and visualqa.org/evaluation).
The rules and the contractions are those of the official evaluation code (github.com/GT-Vision-Lab/VQA,
BSD 2-clause), which leaves the answers of unanimous annotators unnormalised; here both sides always are.
"""

import re
from collections.abc import Sequence

ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(value) for value, word in enumerate(_NUMBERS.split())} | {"none": "0"}
# What is written with one of its apostrophes missing gets it back: dont, shouldn'tve, shouldnt've.
_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
CONTRACTIONS = {
    form[: mark.start()] + form[mark.end() :]: form
    for form in _CONTRACTED.split()
    for mark in re.finditer("'", form)
}
CONTRACTIONS["somebody'd"] = "somebodyd"  # so in the official list

_PUNCTUATION = ';/[]"{}()=+\\_->,<@`?!'  # not the apostrophe and the colon
_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")  # a decimal point stays


def normalised(answer: str) -> str:
    """Returns an answer without articles, punctuation and case, numbers as digits.

    "The two dogs." -> "2 dogs"; "dont know" -> "don't know"; "3,000" -> "3000"; "red/blue" -> "red blue".
    """
    text = " ".join(answer.split())
    found = text
    for mark in _PUNCTUATION:
        alone = f"{mark} " in text or f" {mark}" in text or _NUMBER_WITH_COMMA.search(text)
        found = found.replace(mark, "" if alone else " ")
    words = _PERIOD.sub("", found).lower().split()
    numbers = (NUMBERS.get(word, word) for word in words)
    return " ".join(CONTRACTIONS.get(word, word) for word in numbers if word not in ARTICLES)


def accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Returns the mean over annotators of min(n / 3, 1), n = others who gave the prediction: 0..1.

    A single answer, as MSVD-QA has, is compared exactly.
    """
    said = normalised(prediction)
    agree = [normalised(answer) == said for answer in answers]
    if len(agree) == 1:
        return float(agree[0])
    total = sum(agree)
    return sum(min((total - own) / 3, 1.0) for own in agree) / len(agree)
