"""Shards to batches: what a bad sample does, the same order every time, ragged images."""

import io
import json
import random
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import dataset, picture  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo.data import Batch, Dataset, collate, find  # noqa: E402
from m3w_builder.flamingo.examples import Choices, example  # noqa: E402
from m3w_builder.flamingo.images import load  # noqa: E402
from m3w_builder.flamingo.tokens import PAD, TAG, spell  # noqa: E402
from m3w_builder.types import Kind  # noqa: E402

SIZE = 16
PLAIN = Choices(next_probability=0.0, space_probability=0.0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"))


def first(folder: Path, kind: Kind, batch: int = 4, seed: int = 0) -> Batch:
    one = Dataset(kind, find(folder)[kind], seed=seed)
    return next(one.batches(batch, Choices(), SIZE))


def write_pairs(path: Path, samples: dict[str, dict[str, bytes]]) -> Path:
    """Writes a shard of raw members by key."""
    with tarfile.open(path, "w") as tar:
        for key, members in samples.items():
            for name, data in members.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def pair(text: str = "A hill.") -> bytes:
    record = {"kind": "image_text", "texts": [None, text], "images": ["jpg", None]}
    return json.dumps({**record, "videos": [None, None]}).encode()


def test_our_shards_become_batches_of_every_kind(shards: Path) -> None:
    pages, pairs, videos = (first(shards, k) for k in ("interleaved", "image_text", "video_text"))
    assert len(pages.times) == int(pages.phi.max())
    assert sum(pages.times) == len(pages.frames)
    assert pairs.times == [1, 1, 1, 1]
    assert videos.times == [4, 4, 4, 4]
    assert videos.frames.shape == (16, SIZE, SIZE, 3)


def test_padding_has_no_image_and_no_loss(shards: Path) -> None:
    batch = first(shards, "image_text")
    padded = batch.ids == PAD
    assert padded.any()
    assert not batch.phi[padded].any()
    assert not batch.loss[padded].any()


def test_same_seed_gives_the_same_batches(shards: Path) -> None:
    one, again = first(shards, "interleaved", seed=3), first(shards, "interleaved", seed=3)
    assert one.keys == again.keys
    assert torch.equal(one.ids, again.ids)
    assert torch.equal(one.phi, again.phi)
    assert torch.equal(one.frames, again.frames)


def test_epoch_holds_every_sample_once_in_its_own_order(shards: Path) -> None:
    pairs = Dataset("image_text", find(shards)["image_text"])
    stream = pairs.examples(Choices(), SIZE)
    epochs = [[made.key for made, _ in islice(stream, 5)] for _ in range(3)]
    assert [len(set(keys)) for keys in epochs] == [5, 5, 5]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert len({tuple(keys) for keys in epochs}) > 1


def test_tag_i_carries_image_i_though_members_lie_the_other_way() -> None:
    colours = {name: picture(40, 30, seed) for seed, name in enumerate(("000.jpg", "001.jpg"))}
    record: dict[str, Any] = {
        "id": "0a",
        "kind": "interleaved",
        "texts": ["One.", None, "Two.", None],
        "images": [None, "001.jpg", None, "000.jpg"],
    }
    made = example(record, PLAIN, random.Random(0))
    loaded = [[load(colours[part], SIZE) for part in tag.parts] for tag in made.tags]
    batch = collate([(made, loaded)], SIZE)
    start = batch.ids[0].tolist().index(TAG[0], 1)
    assert int(batch.phi[0, start]) == 1
    assert torch.equal(batch.frames[0], torch.from_numpy(load(colours["001.jpg"], SIZE)))


def test_phi_counts_the_media_of_the_whole_batch(shards: Path) -> None:
    batch = first(shards, "interleaved")
    highest = 0
    for row in batch.phi:
        seen = sorted(set(row.tolist()) - {0})
        assert seen == list(range(highest + 1, highest + 1 + len(seen)))
        highest = seen[-1] if seen else highest


def test_bad_samples_are_counted_once_by_reason_and_left_out(tmp_path: Path) -> None:
    hill = picture(40, 30)
    shard = write_pairs(
        tmp_path / "image_text-000000.tar",
        {
            "0a": {"json": pair(), "jpg": hill},
            "0b": {"json": pair(), "jpg": b"<html>"},
            "0c": {"json": b"{", "jpg": hill},
            "0d": {"json": pair()},
            "0e": {"json": b"[]", "jpg": hill},
        },
    )
    pairs = Dataset("image_text", [shard])
    assert next(pairs.batches(3, PLAIN, SIZE)).keys == ["0a", "0a", "0a"]  # three epochs
    assert pairs.reasons() == {"undecodable": 1, "malformed_sample": 2, "missing_part": 1}


def test_shard_cut_in_the_middle_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    members = {f"{i:02x}": {"json": pair(), "jpg": picture(200, 150, i)} for i in range(8)}
    shard = write_pairs(tmp_path / "image_text-000000.tar", members)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2 + 100])
    pairs = Dataset("image_text", [shard])
    assert len(set(next(pairs.batches(8, PLAIN, SIZE)).keys)) in (3, 4, 5)
    assert pairs.reasons().get("damaged_shard", 0) + pairs.reasons().get("missing_part", 0) == 1


def test_dataset_without_a_usable_sample_is_an_error_not_a_loop(tmp_path: Path) -> None:
    shard = write_pairs(tmp_path / "image_text-000000.tar", {"0a": {"json": pair(), "jpg": b"x"}})
    with pytest.raises(TrainError, match=r"image_text-000000.tar: .* found none \(undecodable 1\)"):
        next(Dataset("image_text", [shard]).batches(1, PLAIN, SIZE))
    empty = write_pairs(tmp_path / "image_text-000001.tar", {})
    with pytest.raises(TrainError, match="the shards are empty"):
        next(Dataset("image_text", [empty]).batches(1, PLAIN, SIZE))


def test_missing_dataset_is_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="found none"):
        find(tmp_path)
    (tmp_path / "interleaved-000000.tar").touch()
    assert set(find(tmp_path)) == {"interleaved"}
    with pytest.raises(TrainError, match=r"found no video_text-\*.tar"):
        find(tmp_path, ("interleaved", "video_text"))


def test_texts_are_full_rows_without_tags(shards: Path) -> None:
    words = Dataset("text", [path for paths in find(shards).values() for path in paths])
    rows = list(islice(words.texts(100), 20))
    assert {len(row) for row in rows} == {100}
    assert "<image>" not in "".join(map(spell, rows))
    assert "Starlings above the roofs" in "".join(map(spell, rows))
