"""A question about a picture and what people answer, and the two sets a benchmark gives: query and support."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["caption", "question", "class", "meme"]
MediaKind = Literal["image", "video"]
Metric = Literal["cider", "vqa_accuracy", "top1", "roc_auc"]


@dataclass(frozen=True, slots=True)
class Media:
    """A picture or a video and where its bytes are."""

    path: Path
    kind: MediaKind = "image"
    spans: tuple[
        tuple[int, int], ...
    ] = ()  # (offset, length) of each frame in a shard; () = the file

    @property
    def key(self) -> str:
        """Returns what tells it from other media."""
        return f"{self.path}@{self.spans[0][0]}" if self.spans else str(self.path)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to ask; as a shot also one to show."""

    id: str
    media: Media
    references: tuple[
        str, ...
    ] = ()  # captions, or what annotators answered; of a closed set its label
    question: str = ""
    text: str = ""  # written in the picture (HatefulMemes alone is given it: F2 B.1.5)

    @property
    def output(self) -> str:
        """Returns what a shot says: the answer most people gave, the first of equally frequent ones."""
        return Counter(self.references).most_common(1)[0][0] if self.references else ""


@dataclass(frozen=True, slots=True)
class Cases:
    """What is asked, and what shots are taken from."""

    query: Sequence[Case]
    support: Sequence[Case]
    labels: tuple[str, ...] = ()  # of a closed set


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: how it is asked, how it is scored, where a copy of it has what."""

    name: str
    form: Form
    metric: Metric
    load: Callable[[Path, str], Cases]  # folder, split of the query
    split: str  # that the paper evaluates on
    queries: int = (
        0  # cases that are asked unless told otherwise, of a closed set per class; 0 = all
    )
    support: int = 2048  # shots are drawn from so many, of classification per class (F2 B.1.4)

    @property
    def closed(self) -> bool:
        """Says whether the answer is one of a given set."""
        return self.form in ("class", "meme")
