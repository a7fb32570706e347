"""Batches: short examples share a row, nothing is lost, and no example sees its neighbour."""

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import numpy as np  # noqa: E402
import tiny  # noqa: E402
from fakes import picture  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from m3w_builder.flamingo.config import Examples  # noqa: E402
from m3w_builder.flamingo.data.batch import Batch, Loaded, collate, pack  # noqa: E402
from m3w_builder.flamingo.data.examples import example  # noqa: E402
from m3w_builder.flamingo.data.images import load  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402

SIZE, LENGTH = 8, 64
BYTES = Tokenizer.bytes()
PLAIN = Examples(next_probability=0.0, space_probability=0.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def loaded(key: str, *items: str | int, choices: Examples = PLAIN) -> Loaded:
    """Returns an example with its pictures: a number is a medium of as many frames, all random."""
    names = [
        [f"{place:03}.{t:05}.jpg" for t in range(item)] if isinstance(item, int) else None
        for place, item in enumerate(items)
    ]
    record = {
        "id": key,
        "kind": "interleaved",
        "texts": [item if isinstance(item, str) else None for item in items],
        "videos": names,
    }
    one = example(record, choices, BYTES, random.Random(0))
    dice = np.random.default_rng(list(key.encode()))
    return one, [
        [dice.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in tag.parts] for tag in one.tags
    ]


def batch(*members: Loaded, **options: Any) -> Batch:
    return collate(members, size=SIZE, length=LENGTH, pad=BYTES.eos, **options)


FOUR = [
    loaded("a", "Cat:", 1, "a cat."),
    loaded("b", 1, "A dog and", 3, "its puppy, moving."),
    loaded("c", 2, "x" * 20),
    loaded("d", "Birds", 1, "b", 1, "c", 1, "d"),
]


def at(whole: Batch, number: int) -> tuple[int, slice]:
    """Returns where example `number` of FOUR lies in the batch: its row and its columns."""
    ids = FOUR[number][0].ids
    for row, line in enumerate(whole.ids.tolist()):
        for start in range(len(line) - len(ids) + 1):
            here = slice(start, start + len(ids))
            if line[here] == ids and len(set(whole.documents[row, here].tolist())) == 1:
                return row, here
    raise AssertionError(f"example {number} is lost")


def test_every_example_is_whole_with_places_of_its_own() -> None:
    whole, before = batch(*FOUR), 0
    assert whole.keys == ["a", "b", "c", "d"]
    assert len(whole) == 4
    for number, (one, _) in enumerate(FOUR):
        place = at(whole, number)
        looks = [image + before if image else 0 for image in one.phi]
        assert whole.phi[place].tolist() == looks
        assert whole.positions[place].tolist() == list(range(len(one.ids)))
        assert whole.loss[place].tolist() == one.loss
        before += len(one.tags)
    assert int((whole.documents > 0).sum()) == sum(len(one.ids) for one, _ in FOUR)


def test_media_keep_the_order_of_the_examples_and_of_their_tags() -> None:
    whole = batch(*FOUR)
    frames = [frame for _, media in FOUR for medium in media for frame in medium]
    assert whole.times == [1, 1, 3, 2, 1, 1, 1]
    assert torch.equal(whole.frames, torch.from_numpy(np.stack(frames)))
    assert whole.images == [one.images for one, _ in FOUR]


def test_padding_has_no_image_no_example_and_no_loss() -> None:
    whole = batch(*FOUR)
    padding = whole.documents == 0
    assert padding.any()
    assert set(whole.ids[padding].tolist()) == {BYTES.eos}
    for field in (whole.phi, whole.positions, whole.loss):
        assert not field[padding].any()


def test_first_token_of_an_example_never_counts() -> None:
    whole = batch(*FOUR)
    first = (whole.positions == 0) & (whole.documents > 0)
    assert int(first.sum()) == 4
    assert not whole.loss[first].any()


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom"])
@pytest.mark.parametrize("attend", ["last", "all"])
def test_packed_examples_have_the_logits_that_each_has_alone(name: str, attend: str) -> None:
    model = tiny.flamingo(name, tiny.BRIDGE.model_copy(update={"attend": attend}))
    whole = batch(*FOUR)
    assert len(whole.ids) < len(FOUR)
    with torch.no_grad():
        media = model.see(whole.frames, whole.times)
        logits = model(whole.ids, whole.phi, media, whole.positions, whole.documents)
        for number, member in enumerate(FOUR):
            own = batch(member)
            alone = model(own.ids, own.phi, model.see(own.frames, own.times))
            torch.testing.assert_close(logits[at(whole, number)], alone[0], atol=1e-5, rtol=1e-4)


def test_tag_i_carries_image_i_though_members_lie_the_other_way() -> None:
    members = {"b.jpg": picture(40, 30, 1), "a.jpg": picture(40, 30, 2)}
    record: dict[str, Any] = {
        "id": "0a",
        "kind": "interleaved",
        "texts": ["One.", None, "Two.", None],
        "images": [None, "b.jpg", None, "a.jpg"],
    }
    one = example(record, PLAIN, BYTES, random.Random(0))
    media = [[load(members[part], SIZE) for part in tag.parts] for tag in one.tags]
    whole = batch((one, media))
    assert whole.images == [["0a.b.jpg", "0a.a.jpg"]]
    assert int(whole.phi[0, one.tags[0].start]) == 1
    assert torch.equal(whole.frames[0], torch.from_numpy(load(members["b.jpg"], SIZE)))


def test_batch_of_rejected_samples_alone_counts_them_and_passes_the_model() -> None:
    none = batch(rejected={"undecodable": 3})
    assert len(none) == 0
    assert none.rejected == {"undecodable": 3}
    assert none.ids.shape == none.loss.shape == (0, 0)
    assert none.frames.shape == (0, SIZE, SIZE, 3)
    assert (none.times, none.keys, none.images) == ([], [], [])
    model = tiny.flamingo()
    media = model.see(none.frames, none.times)
    logits = model(none.ids, none.phi, media, none.positions, none.documents, none.loss)
    assert logits.shape == (0, BYTES.eoc + 1)


def test_example_whose_window_has_no_image_passes() -> None:
    texts = batch(loaded("a", "x" * 200, 1, choices=Examples(length=32, window="any")))
    assert texts.times == []
    assert texts.frames.shape == (0, SIZE, SIZE, 3)
    assert not texts.phi.any()


def test_to_moves_every_tensor() -> None:
    moved = batch(*FOUR).to("meta")
    tensors = [getattr(moved, name) for name in Batch.__slots__]
    kinds = {t.device.type for t in tensors if isinstance(t, torch.Tensor)}
    assert kinds == {"meta"}
    assert moved.keys == ["a", "b", "c", "d"]


# Packing

LENGTHS = st.lists(st.integers(1, 20), max_size=40)


@given(LENGTHS)
def test_rows_hold_every_example_once_and_no_more_than_fits(lengths: list[int]) -> None:
    rows = pack(lengths, 16)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(lengths[i] for i in row) <= 16 or len(row) == 1


@given(LENGTHS)
def test_no_two_rows_would_fit_into_one(lengths: list[int]) -> None:
    sums = [sum(lengths[i] for i in row) for row in pack(lengths, 16)]
    assert all(sums[i] + sums[j] > 16 for i in range(len(sums)) for j in range(i))


def test_packing_is_first_fit_of_the_longest_first() -> None:
    assert pack([3, 9, 4, 7, 9], 16) == [[1, 3], [4, 2, 0]]
    assert pack([16, 17, 1], 16) == [[1], [0], [2]]
    assert pack([], 16) == []
