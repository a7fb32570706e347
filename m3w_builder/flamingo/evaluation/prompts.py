"""Shots and a query become one sequence: ids, phi, and which picture each tag carries.

    <BOS><image>Output: A cat wearing sunglasses.<EOC><image>Output: Elephants walking.<EOC><image>Output:
    <BOS>Output: A cat wearing sunglasses.<EOC>Output: Elephants walking.<EOC><image>Output:

The second is zero-shot: two examples without their pictures, and without their tags (F2 A.2). The query's
picture is the last medium, whatever stands before it: an invariant asserted in the layout itself.
open_flamingo's zero-shot classification shows the query another picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.evaluation.cases import Case, Form, Media

ZERO_SHOT_EXAMPLES = 2  # text alone, of open-ended tasks; one is "highly detrimental" (F2 A.2)

Switch = Literal["tag_start", "tag_end"]


def asked(form: Form, case: Case) -> str:
    """Returns the prompt of a case up to its answer (F2 B.1.5)."""
    if form == "question":
        return f"Question: {case.question} Answer:"
    if form == "meme":
        return f'is an image with written: "{case.text}" on it. Is it hateful? Answer:'
    return "Output:"


def shown(form: Form, case: Case) -> str:
    """Returns the text of a case as a shot."""
    return f"{asked(form, case)} {case.output}"


# What begins the next example where a model goes on instead of ending with <EOC> (F1 4.4.1).
KEYWORDS = ("<image>", "Output:", "Question:", "Answer:")


def trimmed(text: str) -> str:
    """Returns generated text up to the next prompt keyword, in one line: "a cat Output: a" -> "a cat"."""
    ends = [at for word in KEYWORDS if (at := text.find(word)) >= 0]
    return " ".join(text[: min(ends, default=len(text))].split())


@dataclass(frozen=True, slots=True)
class Layout:
    """A prompt whose pictures are still names."""

    ids: list[int]  # [L]
    phi: list[int]  # [L], 0 = no picture, i = media[i - 1]
    media: tuple[Media, ...]  # in the order of their tags, the query's last
    tags: tuple[int, ...]  # position of each tag's first token

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.phi)
        assert len(self.tags) == len(self.media) > 0
        assert self.phi == sorted(self.phi), "a later token looks at an earlier picture"
        assert self.phi[-1] == len(self.media), "the query looks at another picture than its own"
        assert set(self.phi) - {0} == set(range(1, len(self.media) + 1))


def lay_out(
    form: Form,
    shots: Sequence[Case],
    query: Case,
    tokenizer: Tokenizer,
    *,
    switch: Switch = "tag_start",
    pictures: bool = True,
) -> Layout:
    """Returns the prompt of a query after its shots; without `pictures` the shots are text alone."""
    ids, phi = [tokenizer.bos], [0]
    media, tags = list[Media](), list[int]()
    for case in (*shots, query):
        own = case is query
        if own or pictures:
            tags.append(len(ids))
            media.append(case.media)
            before = 0 if switch == "tag_start" else len(tokenizer.tag) - 1
            phi += [len(media) - 1] * before
            phi += [len(media)] * (len(tokenizer.tag) - before)
            ids += tokenizer.tag
        words = tokenizer.encode(asked(form, case) if own else shown(form, case))
        ids += words if own else [*words, tokenizer.eoc]
        phi += [len(media)] * (len(ids) - len(phi))
    if (
        not shots
    ):  # laid out as a pair was in training: all of it sees the picture, <BOS> too (F1 3.2.2)
        phi = [1] * len(ids)
    layout = Layout(ids, phi, tuple(media), tuple(tags))
    assert layout.media[-1] == query.media
    return layout


def continuations(prompt: str, labels: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Returns the ids of each label after a prompt, closed by <EOC>.

    With its end a label is a whole answer: "crane" does not win because "crane fly" begins with it.
    """
    start = tokenizer.encode(prompt)
    return [
        [*_after(start, tokenizer.encode(f"{prompt} {label}"), label, tokenizer), tokenizer.eoc]
        for label in labels
    ]


def _after(start: list[int], whole: list[int], label: str, tokenizer: Tokenizer) -> list[int]:
    """Returns what follows the prompt's tokens; where the two are spelt otherwise together, the label's own."""
    return whole[len(start) :] if whole[: len(start)] == start else tokenizer.encode(f" {label}")
