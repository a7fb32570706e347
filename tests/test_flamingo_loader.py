"""From a step to its batches: complete epochs, the same batches whoever makes them, counted rejects."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import Pack, dataset, jpeg, page_sample, pair_sample, write  # noqa: E402
from fileserver import serving  # noqa: E402
from test_flamingo_reader import swapped, tar  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import config  # noqa: E402
from m3w_builder.flamingo.data.batch import Batch  # noqa: E402
from m3w_builder.flamingo.data.files import Cache  # noqa: E402
from m3w_builder.flamingo.data.loader import Mixture, Watch, batches, turns  # noqa: E402
from m3w_builder.flamingo.data.reader import Shards, open_source  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.types import KINDS, Kind  # noqa: E402

# Of torch, on a machine with fewer cores than the three workers of a test.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SIZE = 16
PAGES, PAIRS, VIDEOS = 13, 7, 3
BATCH = {"interleaved": 4, "image_text": 5, "video_text": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), PAGES, PAIRS, VIDEOS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def mixture(
    where: object,
    cache: Cache,
    kinds: tuple[Kind, ...] = KINDS,
    *,
    rank: int = 0,
    world: int = 1,
    batch: dict[Kind, int] | None = None,
    examples: dict[str, Any] | None = None,
    **train: Any,
) -> Mixture:
    """Returns the mixture of the datasets of a folder, each under the name of its kind."""
    counts = batch or BATCH
    sets = {k: {"shards": str(where), "kind": k, "batch": counts[k]} for k in kinds}
    table = {"vision": {"image": SIZE, "patch": 8}, "train": train, "datasets": sets}
    run = config.parse({**table, "examples": examples or {}})
    sources = {name: open_source(name, source, cache) for name, source in run.datasets.items()}
    return Mixture(sources, run, Tokenizer.bytes(), rank, world)


def same(one: Batch, other: Batch) -> bool:
    """Says whether two batches are the same to the last bit."""
    names = ("ids", "phi", "positions", "documents", "loss", "frames")
    tensors = all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
    rest = ("times", "keys", "images", "rejected")
    return tensors and all(getattr(one, name) == getattr(other, name) for name in rest)


def equal(one: list[dict[str, Batch]], other: list[dict[str, Batch]]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.keys() == b.keys() and all(same(a[n], b[n]) for n in a) for a, b in pairs)


def keys(found: Iterator[dict[str, Batch]] | list[dict[str, Batch]], name: str) -> list[str]:
    return list(chain.from_iterable(step[name].keys for step in found if name in step))


# One order, whoever reads


@pytest.mark.parametrize("workers", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_every_epoch_holds_each_sample_once_whatever_the_workers(
    folder: Path, cache: Cache, workers: int
) -> None:
    mixed = mixture(folder, cache)
    found = list(batches(mixed, 0, 13, workers))
    for name, size in (("interleaved", PAGES), ("image_text", PAIRS), ("video_text", VIDEOS)):
        read, known = keys(found, name), set(mixed.sources[name].keys)
        epochs = [read[at : at + size] for at in range(0, len(read) - size + 1, size)]
        assert len(epochs) >= 4
        assert all(len(epoch) == size and set(epoch) == known for epoch in epochs)
        assert len(set(map(tuple, epochs))) > 1


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_epoch_holds_each_sample_once_whatever_the_ranks(
    folder: Path, cache: Cache, world: int
) -> None:
    ranks = [mixture(folder, cache, KINDS[:1], rank=r, world=world) for r in range(world)]
    read = [key for step in range(PAGES) for m in ranks for key in m[step]["interleaved"].keys]
    assert len(read) == PAGES * 4 * world
    epochs = [read[at : at + PAGES] for at in range(0, len(read), PAGES)]
    assert all(len(set(epoch)) == PAGES for epoch in epochs)


def test_batches_are_the_same_for_any_number_of_workers(folder: Path, cache: Cache) -> None:
    mixed = mixture(folder, cache)
    none, two, three = (list(batches(mixed, 0, 7, workers)) for workers in (0, 2, 3))
    assert equal(none, two)
    assert equal(none, three)


@pytest.mark.parametrize(("workers", "starts"), [(0, (1, 5, 8)), (2, (4,))])
def test_run_goes_on_at_any_step_as_if_it_had_not_stopped(
    folder: Path, cache: Cache, workers: int, starts: tuple[int, ...]
) -> None:
    through = list(batches(mixture(folder, cache), 0, 9))
    for start in starts:
        resumed = list(batches(mixture(folder, cache), start, 9, workers))
        assert equal(through[start:], resumed)


def test_two_ranks_read_what_one_with_twice_the_batch_does(folder: Path, cache: Cache) -> None:
    twice = mixture(folder, cache, batch={kind: 2 * n for kind, n in BATCH.items()})
    ranks = [mixture(folder, cache, rank=rank, world=2) for rank in (0, 1)]
    for step in range(6):
        one, both = twice[step], [mixed[step] for mixed in ranks]
        for name, batch in one.items():
            halves = [half[name] for half in both]
            assert batch.keys == halves[0].keys + halves[1].keys
            assert batch.images == halves[0].images + halves[1].images
            assert torch.equal(batch.frames, torch.cat([half.frames for half in halves]))
            tokens = [half.ids[half.documents > 0] for half in halves]
            assert sorted(torch.cat(tokens).tolist()) == sorted(
                batch.ids[batch.documents > 0].tolist()
            )


def test_far_batches_are_near_ones_bit_for_bit(folder: Path, cache: Cache) -> None:
    with serving(folder) as server:
        far = list(batches(mixture(server.url, cache), 0, 5, workers=2))
        assert equal(far, list(batches(mixture(folder, cache), 0, 5)))
        assert len(server.asked_for(".tar")) == 4  # each shard is one chunk, fetched once


def test_another_seed_is_another_order(folder: Path, cache: Cache) -> None:
    one, other = (
        keys(list(batches(mixture(folder, cache, seed=seed), 0, 3)), "interleaved")
        for seed in (0, 1)
    )
    assert one != other


def test_pictures_change_from_epoch_to_epoch_and_frames_of_a_clip_alike(
    folder: Path, cache: Cache
) -> None:
    plain = mixture(folder, cache, KINDS[2:], examples={"flip": 0.0, "jitter": 0.0})
    varied = mixture(folder, cache, KINDS[2:], examples={"flip": 0.5, "jitter": 0.0})
    seen: dict[str, set[bool]] = {}
    for step in range(12 * VIDEOS):
        before, after = plain[step]["video_text"], varied[step]["video_text"]
        assert before.keys == after.keys
        flipped = [
            torch.equal(frame.flip(1), other)
            for frame, other in zip(before.frames, after.frames, strict=True)
        ]
        assert len(set(flipped)) == 1
        assert flipped[0] or torch.equal(before.frames, after.frames)
        seen.setdefault(before.keys[0], set()).add(flipped[0])
    assert list(seen.values()) == [{False, True}] * VIDEOS


# Whose turn it is


PAIRED: dict[str, Kind] = {"m3w": "interleaved", "ltip": "image_text", "vtp": "video_text"}


def test_all_datasets_are_due_at_each_step_or_one_after_the_other() -> None:
    assert turns(5, PAIRED, "accumulate", 0) == {"m3w": 5, "ltip": 5, "vtp": 5}
    rounds = [turns(step, PAIRED, "round_robin", 0) for step in range(6)]
    assert rounds == [{"m3w": 0}, {"ltip": 0}, {"vtp": 0}, {"m3w": 1}, {"ltip": 1}, {"vtp": 1}]


@pytest.mark.parametrize("mixing", ["accumulate", "round_robin"])
@pytest.mark.parametrize("first", range(8))
def test_pairs_come_first_and_no_dataset_misses_an_update(mixing: str, first: int) -> None:
    steps = [turns(step, PAIRED, mixing, first) for step in range(first + 30)]
    assert not any("m3w" in due for due in steps[:first])
    for name in PAIRED:
        updates = [due[name] for due in steps if name in due]
        assert updates == list(range(len(updates)))
        assert len(updates) >= 10


def test_pairs_first_needs_pairs(folder: Path, cache: Cache) -> None:
    with pytest.raises(TrainError, match=r"^train.pairs_first = 3: expected a dataset of pairs"):
        mixture(folder, cache, KINDS[:1], pairs_first=3)


# Bad samples and other misfortune


def bad_pairs(path: Path) -> Path:
    """Writes eight pairs of which four are bad, each for a reason of its own."""
    record = {"kind": "image_text", "texts": [None, "A hill."], "images": ["jpg", None]}
    good = json.dumps({**record, "videos": [None, None]}).encode()
    hill = jpeg()
    members = {
        f"{n:02}.{part}": data for n in range(4) for part, data in (("json", good), ("jpg", hill))
    }
    bad = {"10.json": b"{", "10.jpg": hill, "11.json": good, "12.json": good, "12.jpg": b"<html>"}
    return tar(path, {**members, **bad, "13.json": good, "13.jpg": hill[:300]})


def test_bad_samples_leave_gaps_that_are_counted(tmp_path: Path, cache: Cache) -> None:
    where = bad_pairs(tmp_path / "image_text-000000.tar")
    mixed = mixture(where, cache, ("image_text",), batch={"image_text": 4})
    found = [step["image_text"] for step in batches(mixed, 0, 4)]
    assert [len(batch) + sum(batch.rejected.values()) for batch in found] == [4] * 4
    assert Counter(key for batch in found for key in batch.keys) == dict.fromkeys(
        ("00", "01", "02", "03"), 2
    )
    total = sum((Counter(batch.rejected) for batch in found), Counter[str]())
    reasons = ("malformed_sample", "missing_part", "not_an_image", "image_damaged")
    assert total == dict.fromkeys(reasons, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_samples_end_the_run_with_their_reasons(
    tmp_path: Path, cache: Cache, workers: int
) -> None:
    where = bad_pairs(tmp_path / "image_text-000000.tar")
    mixed = mixture(where, cache, ("image_text",), batch={"image_text": 2}, max_rejected=0.4)
    with pytest.raises(TrainError) as error:
        list(batches(mixed, 0, 100, workers))
    said = str(error.value)
    assert said.startswith("datasets.image_text: expected at most 40% of samples rejected")
    assert "found 4 of 8 (" in said
    assert "image_damaged 1" in said
    assert "\n" not in said


def test_shards_with_permuted_pictures_are_rejected_as_a_whole(
    tmp_path: Path, cache: Cache
) -> None:
    pack = Pack()
    made = [swapped(page_sample(pack, number)) for number in range(24) if number % 4]
    write(tmp_path / "interleaved-000000.tar", made, pack)
    mixed = mixture(tmp_path, cache, KINDS[:1], batch={"interleaved": 6}, max_rejected=1.0)
    epoch = [step["interleaved"] for step in batches(mixed, 0, 3)]
    assert [(len(b), dict(b.rejected)) for b in epoch] == [(0, {"misplaced_image": 6})] * 3
    assert epoch[0].frames.shape == (0, SIZE, SIZE, 3)
    mixed = mixture(tmp_path, cache, KINDS[:1], batch={"interleaved": 6})
    with pytest.raises(TrainError, match=r"found 12 of 12 \(misplaced_image 12\)"):
        list(batches(mixed, 0, 1000))


def test_window_of_rejects_begins_anew() -> None:
    def step(bad: int) -> dict[str, Batch]:
        empty = torch.zeros(0)
        return {"m3w": Batch(*[empty] * 6, [], [], [], False, {"missing_part": bad} if bad else {})}

    watch = Watch({"m3w": 10**6}, {"m3w": 100})
    for bad in [90, 90, 90, 90, 90, *[0] * 5] * 3:  # 450 of each 1000
        watch.add(step(bad), 0.5)
    assert watch.rejected == {"m3w": {"missing_part": 1350}}
    with pytest.raises(TrainError, match=r"found 540 of 600 \(missing_part 540\)"):
        [watch.add(step(90), 0.5) for _ in range(7)]


def test_each_rank_needs_a_sample(folder: Path, cache: Cache) -> None:
    with pytest.raises(
        TrainError, match=r"^datasets.video_text: expected a sample for each of 4 ranks"
    ):
        mixture(folder, cache, world=4)


def test_batch_may_be_larger_than_the_dataset(folder: Path, cache: Cache) -> None:
    mixed = mixture(folder, cache, KINDS[2:], batch={"video_text": 7})
    found = Counter(mixed[0]["video_text"].keys)
    assert sorted(found.values()) == [2, 2, 3]


def test_error_in_a_worker_is_one_line(tmp_path: Path, cache: Cache) -> None:
    folder = dataset(tmp_path)
    with serving(folder) as server:
        mixed = mixture(server.url, cache, KINDS[:1])
        for path in folder.glob("interleaved-*.tar"):
            path.unlink()
        with pytest.raises(TrainError) as error:
            list(batches(mixed, 0, 4, workers=2))
    assert str(error.value).endswith(".tar: expected a shard, found none")
    assert "\n" not in str(error.value)


def test_worker_that_is_killed_ends_in_one_line(folder: Path, cache: Cache) -> None:
    stream = batches(mixture(folder, cache, KINDS[:1]), 0, 10**6, workers=2)
    next(stream)
    for pid in workers_of(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(
        TrainError, match=r"^a process that decodes died .*fewer train.workers"
    ) as error:
        list(islice(stream, 1000))
    assert "\n" not in str(error.value)


def test_interrupt_from_the_keyboard_does_not_take_the_workers_away(
    folder: Path, cache: Cache
) -> None:
    stream = batches(mixture(folder, cache, KINDS[:1]), 0, 30, workers=2)
    next(stream)
    for pid in workers_of(os.getpid()):
        os.kill(pid, signal.SIGINT)  # the terminal sends it to all
    assert len(list(stream)) == 29


def test_loader_draws_nothing_from_the_generator_of_the_run(folder: Path, cache: Cache) -> None:
    before = torch.get_rng_state()
    list(batches(mixture(folder, cache), 0, 2))
    assert torch.equal(torch.get_rng_state(), before)


def workers_of(parent: int) -> list[int]:
    """Returns the processes two levels below: of the server that forks the workers (Linux)."""

    def below(pid: int) -> list[int]:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    return [worker for child in below(parent) for worker in below(child)]


def test_mixture_of_shards_opened_by_hand_has_the_papers_shares(folder: Path, cache: Cache) -> None:
    sources = {"pairs": Shards([str(folder / "image_text-000000.tar")], cache)}
    run = config.parse({"vision": {"image": SIZE, "patch": 8}, "train": {"batch": 2}})
    assert len(Mixture(sources, run, Tokenizer.bytes())[0]["pairs"]) == 4


def test_pair_of_pages_is_not_needed(tmp_path: Path, cache: Cache) -> None:
    pack = Pack()
    write(tmp_path / "image_text-000000.tar", [pair_sample(pack, n) for n in range(3)], pack)
    mixed = mixture(tmp_path, cache, ("image_text",))
    assert [len(step["image_text"]) for step in batches(mixed, 0, 2)] == [5, 5]
