"""Prompts, shots and whole evaluations with a scripted model that says which picture each tag shows it."""

import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("pycocoevalcap", reason="the extra `eval` is not installed")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from PIL import Image  # noqa: E402

from m3w_builder.errors import InputError, TrainError  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.flamingo.evaluation.ask import Evaluation, agreed, dispersed  # noqa: E402
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media, Task  # noqa: E402
from m3w_builder.flamingo.evaluation.prompts import (  # noqa: E402
    Layout,
    asked,
    continuations,
    lay_out,
    trimmed,
)
from m3w_builder.flamingo.evaluation.run import evaluate  # noqa: E402
from m3w_builder.flamingo.evaluation.settings import Settings  # noqa: E402
from m3w_builder.flamingo.evaluation.shots import Features, drawn, nearest, orders  # noqa: E402
from m3w_builder.flamingo.evaluation.sights import Sights, features  # noqa: E402
from m3w_builder.flamingo.evaluation.splits import disjoint  # noqa: E402
from m3w_builder.flamingo.evaluation.tasks import TASKS, named  # noqa: E402
from m3w_builder.flamingo.generate import Prompt  # noqa: E402

TOKENS = Tokenizer.bytes()
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 40, 220),
    "grey": (99, 99, 99),
}


def case(name: str, *references: str, **fields: Any) -> Case:
    return Case(name, Media(Path(f"{name}.png")), references or (f"A {name}.",), **fields)


def colour_of(latent: "torch.Tensor") -> str:
    """Returns the colour a medium's latents stand for: its mean colour, which `Scripted.see` keeps."""
    mean = latent.flatten().tolist()
    return min(COLOURS, key=lambda name: math.dist(mean, COLOURS[name]))


@dataclass
class Scripted:
    """A model that names the picture its last token sees, and keeps every prompt it was given."""

    bias: dict[str, float] = field(default_factory=dict)  # added to a label's log-likelihood
    endless: bool = False  # goes on with the next example instead of ending
    context: int | None = None
    tokenizer: Tokenizer = TOKENS
    size: int = 8
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    switch: Any = "tag_start"
    digest: str = "d" * 64
    encoder: str = "e" * 64
    prompts: list[str] = field(default_factory=list)
    looks: list[list[str]] = field(default_factory=list)  # colours behind the tags of each prompt
    seen: int = 0
    pooled_media: int = 0

    def see(self, media: Sequence[Sequence[Any]]) -> list[Any]:
        self.seen += len(media)
        return [torch.tensor(np.mean(frames, axis=(0, 1, 2)))[None] for frames in media]

    def pooled(self, media: Sequence[Sequence[Any]]) -> Any:
        self.pooled_media += len(media)
        means = torch.tensor(np.array([np.mean(f, axis=(0, 1, 2)) for f in media])).float() - 100
        return means / means.norm(dim=-1, keepdim=True)

    def generate(self, prompts: Sequence[Prompt], *, beams: int, limit: int) -> list[str]:
        assert beams == 3
        answers = [f" a {self._asked(prompt)} thing" for prompt in prompts]
        return [text + "Output: more" if self.endless else text for text in answers]

    def likelihood(self, prompt: Prompt, continuations: Sequence[Sequence[int]]) -> list[float]:
        sight = self._asked(prompt)
        labels = [TOKENS.decode(ids).strip() for ids in continuations]
        assert all(ids[-1] == TOKENS.eoc for ids in continuations)
        first = self.looks[-1][0]
        return [
            -float(label != sight) + self.bias.get(label, 0) * (first == "red") for label in labels
        ]

    def _asked(self, prompt: Prompt) -> str:
        assert len(prompt.ids) == len(prompt.phi)
        self.prompts.append(TOKENS.spell(prompt.ids))
        self.looks.append([colour_of(latent) for latent in prompt.media])
        return colour_of(prompt.media[prompt.phi[-1] - 1])


def paint(path: Path, colour: str, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = tuple(max(0, min(255, c + shade)) for c in COLOURS[colour])
    Image.new("RGB", (8, 8), pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder of 8 pictures of each of three colours, a class each."""
    for colour in ("red", "green", "blue"):
        for n in range(8):
            paint(tmp_path / "data" / colour / f"{n}.png", colour, n)
    return tmp_path / "data"


def classes(folder: Path) -> tuple[Task, Cases]:
    task = named("folder", folder)
    return task, task.load(folder, "")


def captions(folder: Path) -> tuple[Task, Cases]:
    _, found = classes(folder)
    every = [Case(c.id, c.media, (f"a {c.output} thing",)) for c in found.query]
    return TASKS["coco"], Cases(every, ())


# prompts


def test_few_shot_prompt_is_the_papers() -> None:
    shots = [case("cat", "A cat wearing sunglasses."), case("elephants", "Elephants walking.")]
    layout = lay_out("caption", shots, case("dog"), TOKENS)
    assert TOKENS.spell(layout.ids) == (
        "<BOS><image>Output: A cat wearing sunglasses.<EOC><image>Output: Elephants walking.<EOC>"
        "<image>Output:"
    )
    assert [m.path.name for m in layout.media] == ["cat.png", "elephants.png", "dog.png"]
    first, second = (layout.ids.index(TOKENS.eoc, at) for at in (0, layout.tags[1]))
    assert layout.phi == [
        0,
        *[1] * first,
        *[2] * (second - first),
        *[3] * (len(layout.ids) - 1 - second),
    ]


def test_zero_shot_prompt_has_two_texts_and_the_querys_picture_alone() -> None:
    shots = [case("cat", "A cat."), case("owl", "An owl.")]
    layout = lay_out("caption", shots, case("dog"), TOKENS, pictures=False)
    assert TOKENS.spell(layout.ids) == "<BOS>Output: A cat.<EOC>Output: An owl.<EOC><image>Output:"
    assert [m.path.name for m in layout.media] == ["dog.png"]
    assert set(layout.phi[: layout.tags[0]]) == {0}
    assert set(layout.phi[layout.tags[0] :]) == {1}


@pytest.mark.parametrize(
    ("form", "one", "expected"),
    [
        ("question", case("a", "2", question="How many?"), "Question: How many? Answer: 2"),
        ("class", case("a", "red fox"), "Output: red fox"),
        (
            "meme",
            case("a", "yes", text="when you"),
            'is an image with written: "when you" on it. Is it hateful? Answer: yes',
        ),
    ],
)
def test_prompt_of_each_form(form: Any, one: Case, expected: str) -> None:
    layout = lay_out(form, [one], case("q"), TOKENS)
    assert TOKENS.spell(layout.ids).startswith(f"<BOS><image>{expected}<EOC><image>")
    assert asked(form, one) == expected[: -len(one.output) - 1]


def test_last_token_of_a_tag_may_switch_phi() -> None:
    layout = lay_out("caption", [case("a")], case("b"), TOKENS, switch="tag_end")
    for number, tag in enumerate(layout.tags, 1):
        inside = layout.phi[tag : tag + len(TOKENS.tag)]
        assert inside == [number - 1] * (len(TOKENS.tag) - 1) + [number]


@given(st.integers(0, 6), st.booleans(), st.sampled_from(["tag_start", "tag_end"]))
def test_each_tag_carries_its_own_picture(count: int, pictures: bool, switch: Any) -> None:
    shots = [case(f"s{n}", "<image> <EOC> Output:") for n in range(count)]
    layout = lay_out("caption", shots, case("q"), TOKENS, switch=switch, pictures=pictures)
    expected = [*(s.media for s in shots if pictures), case("q").media]
    assert list(layout.media) == expected
    for number, tag in enumerate(layout.tags, 1):
        assert tuple(layout.ids[tag : tag + len(TOKENS.tag)]) == TOKENS.tag
        assert layout.phi[tag + len(TOKENS.tag)] == number
    assert layout.phi[-1] == len(expected)


def test_query_that_looks_at_another_picture_cannot_be_made() -> None:
    media = (case("a").media, case("b").media)
    with pytest.raises(AssertionError, match="another picture than its own"):
        Layout([1, 2, 3], [0, 1, 2], (*media, case("c").media), (1, 2, 2))
    with pytest.raises(AssertionError):
        Layout([1, 2], [0, 1], media, (1,))


def test_continuation_is_spelt_as_in_a_shot_and_ends() -> None:
    words = Tokenizer.trained(["Output: red fox Output: owl " * 20], 300)
    for label, ids in zip(
        ("red fox", "owl"), continuations("Output:", ("red fox", "owl"), words), strict=True
    ):
        assert ids[-1] == words.eoc
        assert words.encode("Output:") + ids[:-1] == words.encode(f"Output: {label}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a cat Output: a dog", "a cat"),
        (" two\nQuestion: how", "two"),
        ("yes<image>Output: no", "yes"),
        (" a  red\n thing ", "a red thing"),
        ("Answer: x", ""),
    ],
)
def test_text_without_end_is_trimmed_at_the_next_keyword(text: str, expected: str) -> None:
    assert trimmed(text) == expected


# shots


def test_drawn_shots_follow_seed_and_case_alone() -> None:
    support = [case(f"s{n}") for n in range(50)]
    first = [c.id for c in drawn(0, case("q"), support)]
    assert first == [c.id for c in drawn(0, case("q"), support)]
    assert sorted(first) == sorted(c.id for c in support)
    assert first != [c.id for c in drawn(1, case("q"), support)]
    assert first != [c.id for c in drawn(0, case("r"), support)]


def test_a_picture_is_never_its_own_shot() -> None:
    support = [case("a"), Case("other question", case("a").media, ("x",)), case("b")]
    assert [c.id for c in drawn(0, case("a"), support)] == ["b"]
    same = Features(torch.eye(3), torch.ones(3, dtype=torch.bool))
    assert nearest(case("a"), torch.ones(3), support, same) == [2]


def test_nearest_are_the_most_similar_first_and_the_unreadable_never() -> None:
    support = [case(f"s{n}") for n in range(4)]
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8], [0.0, 1.0]])
    known = torch.tensor([True, True, True, False])
    assert nearest(case("q"), torch.tensor([0.0, 1.0]), support, Features(vectors, known)) == [
        1,
        2,
        0,
    ]


@given(st.integers(1, 9), st.integers(2, 8))
def test_orders_are_different_and_all_there_are_where_few(shots: int, count: int) -> None:
    examples = [case(f"s{n}") for n in range(shots)]
    found = orders(examples, count, 0, case("q"))
    assert len(set(found)) == len(found) == min(count, math.factorial(shots))
    assert all(sorted(c.id for c in order) == sorted(c.id for c in examples) for order in found)


def test_media_are_seen_once_though_they_are_shots_of_many(tmp_path: Path) -> None:
    model = Scripted()
    sights = Sights(model, kept=1)
    one, two = (Media(paint(tmp_path / f"{c}.png", c)) for c in ("red", "blue"))
    for media in (one, two, one):
        sights.want(media)
    assert sights.get([two, one]).shape == (2, 1, 3)
    sights.want(one)
    sights.get([one])
    assert model.seen == 2
    sights.forget()  # `two` goes: it was not asked for last
    sights.want(one)
    sights.want(two)
    sights.get([one, two])
    assert model.seen == 3


def test_frames_do_not_pile_up_before_they_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3w_builder.flamingo.evaluation.sights.WAITING", 3)
    model = Scripted()
    sights = Sights(model)
    media = [Media(paint(tmp_path / f"{n}.png", "red", n)) for n in range(5)]
    for number, one in enumerate(media, 1):
        sights.want(one)
        assert model.seen == 3 * (number // 3)
    assert len(sights.get(media)) == model.seen == 5


def test_features_are_computed_once_for_an_encoder(tmp_path: Path) -> None:
    cases = [
        Case(f"{c}{k}", Media(paint(tmp_path / f"{c}.png", c)), ("x",))
        for c in ("red", "blue")
        for k in range(2)
    ]
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    cases.append(Case("bad", Media(bad), ("x",)))
    model = Scripted()
    cache = tmp_path / "cache"
    first = features(model, cases, cache, lambda *_: None)
    assert first.known.tolist() == [True] * 4 + [False]
    assert torch.equal(first.vectors[0], first.vectors[1])
    assert model.pooled_media == 2
    again = features(model, cases, cache, lambda *_: None)
    assert model.pooled_media == 2
    assert torch.equal(again.vectors, first.vectors)
    features(Scripted(encoder="f" * 64), cases, cache, lambda *_: None)
    assert len(list(cache.iterdir())) == 2
    (cache / next(cache.iterdir()).name).write_bytes(b"cut")
    for _ in range(2):
        assert torch.equal(features(model, cases, cache, lambda *_: None).vectors, first.vectors)


# whole evaluations


@pytest.mark.parametrize("shots", [0, 1, 4])
@pytest.mark.parametrize("rices", [False, True])
def test_query_sees_its_own_picture_in_classification(
    folder: Path, shots: int, rices: bool
) -> None:
    model = Scripted()
    task, found = classes(folder)
    (result,), (rows,) = evaluate(model, task, found, Settings(shots=(shots,), rices=rices))
    assert result["top1"] == 100
    assert result["cases"] == len(rows) == 12
    assert all(len(colours) == shots + 1 for colours in model.looks)
    assert all(text.count("<image>") == shots + 1 for text in model.prompts)


@pytest.mark.parametrize("shots", [0, 1, 4])
def test_query_sees_its_own_picture_in_captioning(folder: Path, shots: int) -> None:
    model = Scripted(endless=True)
    task, found = captions(folder)
    (result,), (rows,) = evaluate(model, task, found, Settings(shots=(shots,)))
    assert {row["prediction"] for row in rows} == {f"a {c} thing" for c in ("red", "green", "blue")}
    assert all(row["prediction"] == row["references"][0] for row in rows)
    assert result["cider"] > 100
    if shots == 0:  # two texts, no picture but the query's
        assert all(text.count("Output:") == 3 for text in model.prompts)
        assert all(text.count("<image>") == 1 for text in model.prompts)
        assert all(len(colours) == 1 for colours in model.looks)


def test_shots_show_the_pictures_of_their_texts(folder: Path) -> None:
    model = Scripted()
    task, found = captions(folder)
    evaluate(model, task, found, Settings(shots=(8,)))
    for text, colours in zip(model.prompts, model.looks, strict=True):
        told = [part.split("Output: a ")[1].split()[0] for part in text.split("<image>")[1:-1]]
        assert told == colours[:-1]


def test_rices_takes_pictures_like_the_querys_the_nearest_next_to_it(folder: Path) -> None:
    model = Scripted()
    task, found = classes(folder)
    _, (rows,) = evaluate(model, task, found, Settings(shots=(4,), rices=True))
    assert all(colours == [colours[-1]] * 5 for colours in model.looks)
    by_id = {c.id: c for c in found.query}
    for row in rows:
        pictures = [
            np.asarray(Image.open(by_id[i].media.path))[0, 0] for i in (*row["shots"], row["id"])
        ]
        far = [math.dist(picture, pictures[-1]) for picture in pictures[:-1]]
        assert far[-1] == min(far)


def test_result_does_not_hang_on_the_batch_or_the_order_of_the_copy(folder: Path) -> None:
    task, found = captions(folder)
    turned = Cases(found.query[::-1], ())
    one = evaluate(Scripted(), task, found, Settings(shots=(2,), batch=1))
    many = evaluate(Scripted(), task, found, Settings(shots=(2,), batch=7))
    assert one == many
    other = evaluate(Scripted(), task, turned, Settings(shots=(2,)))
    key = lambda row: row["id"]  # noqa: E731
    predictions = [[r["prediction"] for r in sorted(t[1][0], key=key)] for t in (one, other)]
    assert predictions[0] == predictions[1]


def test_ensemble_averages_orders_and_tells_how_far_they_agree(folder: Path) -> None:
    model = Scripted(bias={"grey": 5.0, "blue": 2.0})  # where the first shot is red
    task, found = classes(folder)
    settings = Settings(shots=(4,), ensemble=6, abstain_below=0.9)
    (result,), (rows,) = evaluate(model, task, found, settings)
    assert len(model.prompts) == 6 * 12
    assert {row["agreement"] for row in rows} > {1.0}
    assert all((row["entropy"] == 0) == (row["agreement"] == 1) for row in rows)
    sure = [row for row in rows if row["agreement"] >= 0.9]
    assert [row["answered"] for row in rows] == [row in sure for row in rows]
    assert result["answered"]["coverage"] == pytest.approx(100 * len(sure) / 12)
    right = [row["score"] for row in sure]
    assert result["answered"]["score"] == pytest.approx(sum(right) / len(right))


def test_texts_of_several_orders_vote(folder: Path) -> None:
    class Moody(Scripted):
        def generate(self, prompts: Sequence[Prompt], *, beams: int, limit: int) -> list[str]:
            super().generate(prompts, beams=beams, limit=limit)
            return [f" a {colours[0]} thing" for colours in self.looks[-len(prompts) :]]

    task, found = captions(folder)
    settings = Settings(shots=(3,), ensemble=6, abstain_below=0.6, batch=4)
    (result,), (rows,) = evaluate(Moody(), task, found, settings)
    assert {row["agreement"] for row in rows} <= {1 / 3, 2 / 3, 1.0}
    assert [row["answered"] for row in rows] == [row["agreement"] > 0.6 for row in rows]
    assert result["answered"]["coverage"] == pytest.approx(
        100 * sum(row["answered"] for row in rows) / len(rows)
    )


def test_most_frequent_text_is_the_answer() -> None:
    row = agreed(["a", "b", "b", "c"])
    assert (row["prediction"], row["agreement"]) == ("b", 0.5)
    assert row["entropy"] == pytest.approx(1.5 * math.log(2))
    assert agreed(["x", "y"])["prediction"] == "x"


def test_dispersion_of_known_scores() -> None:
    row = dispersed(["a", "b"], [[-1.0, -2.0], [-3.0, -1.0], [-1.0, -1.5], [-1.0, -4.0]])
    assert row["prediction"] == "a"
    assert row["scores"] == {"a": -1.5, "b": -2.125}
    assert row["agreement"] == 0.75
    assert row["entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert dispersed(["a", "b"], [[-1.0, -1.0]])["prediction"] == "a"


def test_memes_are_scored_by_the_margin_of_yes(tmp_path: Path) -> None:
    def meme(name: str, colour: str, label: str) -> Case:
        media = Media(paint(tmp_path / f"{name}.png", colour))
        return Case(name, media, (label,), text=f"text of {name}")

    query = [meme("a", "red", "yes"), meme("b", "blue", "no"), meme("c", "green", "yes")]
    support = [meme(f"s{n}", "grey", "no") for n in range(4)]

    class Judge(Scripted):
        def likelihood(self, prompt: Prompt, continuations: Sequence[Sequence[int]]) -> list[float]:
            hateful = {"red": 0.9, "blue": 0.2, "green": 0.1}[self._asked(prompt)]
            return [math.log(1 - hateful), math.log(hateful)]  # no, yes

    model = Judge()
    cases = Cases(query, support, ("no", "yes"))
    (result,), (rows,) = evaluate(model, TASKS["hateful_memes"], cases, Settings(shots=(0,)))
    assert result["roc_auc"] == 50
    assert result["accuracy"] == pytest.approx(200 / 3)
    assert 'written: "text of a" on it' in model.prompts[0]
    assert model.prompts[0].count("<image>") == 1  # close-ended: no examples (F2 A.2)
    assert rows[0]["scores"]["yes"] == pytest.approx(math.log(0.9))


def test_bad_pictures_are_counted_and_passed_over_as_shots(folder: Path) -> None:
    task, found = captions(folder)
    for number, one in enumerate(found.query):
        if number % 3 == 0:
            one.media.path.write_bytes(b"no picture")
    settings = Settings(shots=(2,))
    (result,), (rows,) = evaluate(Scripted(), task, found, settings)
    bad = {one.id for one in found.query[::3]}
    assert result["rejected"] == {"not_an_image": sum(row["id"] in bad for row in rows)}
    assert result["cases"] + result["rejected"]["not_an_image"] == len(rows) == 12
    assert not any(bad & set(row.get("shots", [])) for row in rows)
    assert all(len(row["shots"]) == 2 for row in rows if "rejected" not in row)


def test_case_without_a_reference_is_counted_and_never_shown(folder: Path) -> None:
    task, found = captions(folder)
    some = [
        Case(c.id, c.media, () if n % 4 == 0 else c.references) for n, c in enumerate(found.query)
    ]
    (result,), (rows,) = evaluate(Scripted(), task, Cases(some, ()), Settings(shots=(3,)))
    silent = {c.id for c in some if not c.references}
    assert result["rejected"] == {"no_reference": len(silent & {row["id"] for row in rows})}
    assert not silent & {shot for row in rows for shot in row.get("shots", [])}


def test_prompt_beyond_the_context_is_rejected_never_cut(folder: Path) -> None:
    task, found = captions(folder)
    with pytest.raises(InputError, match=r"found none \(prompt_too_long 12\)"):
        evaluate(Scripted(context=100), task, found, Settings(shots=(4,)))
    (result,), _ = evaluate(Scripted(context=100), task, found, Settings(shots=(0,)))
    assert result["cases"] == 12


def test_folder_without_one_readable_picture_is_an_error(folder: Path) -> None:
    task, found = captions(folder)
    for one in found.query:
        one.media.path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"expected cases that can be asked, found none \(empty_body 12\)"
    ):
        evaluate(Scripted(), task, found, Settings(shots=(0,)))


def test_missing_cider_is_told_before_anything_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap.cider.cider", None)
    model = Scripted()
    with pytest.raises(TrainError, match="CIDEr needs pycocoevalcap"):
        evaluate(model, *captions(folder), Settings(shots=(0,)))
    assert not model.prompts


def test_abstaining_without_an_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="abstain_below needs ensemble >= 2"):
        Settings(abstain_below=0.5)


def _rank(rank: int, world: int, folder: str, out: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=world)
    task, found = captions(Path(folder))
    results = evaluate(Scripted(), task, found, Settings(shots=(0, 2), rices=True))
    Path(out, f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def test_ranks_ask_each_case_once(folder: Path) -> None:
    paint(folder / "red" / "8.png", "red", 9)
    task, found = captions(folder)
    chosen = disjoint(found, task, Settings(shots=(2,)))
    whole = [*Evaluation(Scripted(), task, chosen, Settings()).at(2, chosen.query)]
    assert len(whole) == 13  # not a multiple of the ranks
    parts = [
        [*Evaluation(Scripted(), task, chosen, Settings()).at(2, chosen.query[rank::4])]
        for rank in range(4)
    ]
    assert [len(part) for part in parts] == [4, 3, 3, 3]
    assert [parts[number % 4][number // 4] for number in range(13)] == whole


@pytest.mark.slow
def test_processes_come_to_the_result_of_one(folder: Path, tmp_path: Path) -> None:
    import torch.multiprocessing as processes

    for colour in ("red", "blue"):  # 11 to ask: not a multiple of the ranks
        paint(folder / colour / "8.png", colour, 9)
    context = processes.start_processes(
        _rank, (2, str(folder), str(tmp_path)), nprocs=2, start_method="spawn", join=True
    )
    assert context is None
    alone = json.loads(
        json.dumps(evaluate(Scripted(), *captions(folder), Settings(shots=(0, 2), rices=True)))
    )
    both = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert both == [alone, alone]
    assert len({row["id"] for row in alone[1][0]}) == len(alone[1][0])


def test_shuffling_the_support_does_not_change_what_a_picture_is(folder: Path) -> None:
    task, found = classes(folder)
    support = list(found.query)
    random.Random(0).shuffle(support)
    (result,), _ = evaluate(
        Scripted(), task, Cases(found.query[:9], support, found.labels), Settings(shots=(2,))
    )
    assert result["top1"] == 100
