"""Every benchmark's published layout, as a tiny copy that the test writes; and what a missing file says."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import dataset, jpeg

from m3w_builder.errors import InputError, MediaError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media
from m3w_builder.flamingo.evaluation.media import frames, middle
from m3w_builder.flamingo.evaluation.settings import Settings
from m3w_builder.flamingo.evaluation.splits import disjoint
from m3w_builder.flamingo.evaluation.tasks import TASKS, load, named

GREY = (0.5, 0.5, 0.5)


def put(root: Path, files: dict[str, Any]) -> Path:
    """Writes files: JSON, JSON Lines and text by suffix, None for a picture."""
    for number, (name, content) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.write_bytes(jpeg(64, 48, number))
        elif name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        elif name.endswith(".json"):
            path.write_text(json.dumps(content))
        else:
            path.write_text(content)
    return root


def karpathy(folder: str, rows: dict[str, str]) -> dict[str, Any]:
    images = [
        {
            "filepath": folder,
            "filename": name,
            "split": split,
            "cocoid": number,
            "sentences": [{"raw": f"A {name}."}, {"raw": f"One {name}."}],
        }
        for number, (name, split) in enumerate(rows.items())
    ]
    return {"images": images, "dataset": "coco"}


def coco_captions(year: str, first: int) -> dict[str, Any]:
    names = [f"COCO_{year}_{first + n:012d}.jpg" for n in range(2)]
    return {
        "images": [{"id": first + n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [
            {"id": 10 * n + k, "image_id": first + n, "caption": f"Caption {k} of {first + n}."}
            for n in range(2)
            for k in range(2)
        ],
    }


def vqa(year: str, first: int, prefix: str, answers: str) -> dict[str, Any]:
    asked = [
        {"image_id": first, "question": f"What is {n}?", "question_id": 10 * first + n}
        for n in range(2)
    ]
    said = [
        {
            "question_id": row["question_id"],
            "image_id": first,
            "answers": [{"answer": "a cat" if k else "dog", "answer_id": k} for k in range(10)],
        }
        for row in asked
    ]
    return {
        f"{prefix}_{year}_questions.json": {"questions": asked},
        f"{answers}_{year}_annotations.json": {"annotations": said},
        f"{year}/COCO_{year}_{first:012d}.jpg": None,
    }


def coco_karpathy(root: Path) -> Path:
    table = karpathy("val2014", {"a.jpg": "test", "b.jpg": "train", "c.jpg": "val"})
    return put(root, {"dataset_coco.json": table, "val2014/a.jpg": None, "val2014/b.jpg": None})


def coco_plain(root: Path) -> Path:
    files: dict[str, Any] = {}
    for year, first in (("val2014", 1), ("train2014", 5)):
        table = coco_captions(year, first)
        files[f"annotations/captions_{year}.json"] = table
        files |= {f"{year}/{image['file_name']}": None for image in table["images"]}
    return put(root, files)


def flickr30k(root: Path) -> Path:
    table = karpathy("", {"1.jpg": "test", "2.jpg": "train"})
    for image in table["images"]:
        del image["filepath"], image["cocoid"]
    files = {"flickr30k-images/1.jpg": None, "flickr30k-images/2.jpg": None}
    return put(root, {"dataset_flickr30k.json": table, **files})


def vatex(root: Path) -> Path:
    def rows(name: str) -> list[dict[str, Any]]:
        return [{"videoID": f"{name}_000001_000011", "enCap": ["A dance.", "People dance."]}]

    return put(
        root,
        {
            "vatex_public_test_english_v1.1.json": rows("q"),
            "vatex_training_v1.0.json": rows("s"),
            "videos/q_000001_000011.mp4": "not a video",
            "videos/s_000001_000011.webm": "not a video",
        },
    )


def vqav2(root: Path) -> Path:
    names = "v2_OpenEnded_mscoco", "v2_mscoco"
    return put(root, vqa("val2014", 3, *names) | vqa("train2014", 7, *names))


def okvqa(root: Path) -> Path:
    names = "OpenEnded_mscoco", "mscoco"
    return put(root, vqa("val2014", 3, *names) | vqa("train2014", 7, *names))


def textvqa(root: Path) -> Path:
    def rows(first: int) -> dict[str, Any]:
        row = {"question": "What is 0?", "image_id": f"im{first}", "question_id": first}
        return {"data": [{**row, "answers": ["dog", *["a cat"] * 9]}]}

    return put(
        root,
        {
            "TextVQA_0.5.1_val.json": rows(1),
            "TextVQA_0.5.1_train.json": rows(2),
            "train_images/im1.jpg": None,
            "train_images/im2.jpg": None,
        },
    )


def vizwiz(root: Path) -> Path:
    def rows(split: str) -> list[dict[str, Any]]:
        answers = [
            {"answer": "a cat" if n else "dog", "answer_confidence": "yes"} for n in range(10)
        ]
        row = {"image": f"VizWiz_{split}_00000000.jpg", "question": "What is 0?"}
        return [{**row, "answers": answers, "answer_type": "other", "answerable": 1}]

    return put(
        root,
        {
            "Annotations/val.json": rows("val"),
            "Annotations/train.json": rows("train"),
            "val/VizWiz_val_00000000.jpg": None,
            "train/VizWiz_train_00000000.jpg": None,
        },
    )


def msvd_qa(root: Path) -> Path:
    def rows(number: int) -> list[dict[str, Any]]:
        return [{"answer": "a cat", "id": number, "question": "What is 0?", "video_id": number}]

    return put(
        root,
        {
            "test_qa.json": rows(1301),
            "train_qa.json": rows(1),
            "video/vid1301.avi": "not a video",
            "video/vid1.avi": "not a video",
        },
    )


def msvd_clips(root: Path) -> Path:
    msvd_qa(root)
    (root / "video").rename(root / "YouTubeClips")
    (root / "YouTubeClips/vid1301.avi").rename(root / "YouTubeClips/-4wsuPCjDBc_5_15.avi")
    (root / "YouTubeClips/vid1.avi").rename(root / "YouTubeClips/xyz_0_9.avi")
    return put(root, {"youtube_mapping.txt": "-4wsuPCjDBc_5_15 vid1301\nxyz_0_9 vid1\n"})


def hateful_memes(root: Path) -> Path:
    def row(number: int, label: int) -> dict[str, Any]:
        return {"id": number, "img": f"img/{number:05d}.png", "label": label, "text": "when you"}

    return put(
        root,
        {
            "test_seen.jsonl": [row(1, 1)],
            "train.jsonl": [row(2, 0)],
            "img/00001.png": None,
            "img/00002.png": None,
        },
    )


def imagenet(root: Path) -> Path:
    names = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane, tower crane\nn01443537 goldfish\n"
    return put(
        root,
        {
            "LOC_synset_mapping.txt": names,
            "val/n01440764/ILSVRC2012_val_00000293.JPEG": None,
            "val/n03126707/ILSVRC2012_val_00000001.JPEG": None,
            "train/n01440764/n01440764_18.JPEG": None,
            "train/n02012849/n02012849_1.JPEG": None,
        },
    )


LAYOUTS: dict[str, tuple[str, Callable[[Path], Path], str, str]] = {
    # name of the copy -> task, what writes it, the first query's output, the file that names it
    "coco_karpathy": ("coco", coco_karpathy, "A a.jpg.", "dataset_coco.json"),
    "flickr30k": ("flickr30k", flickr30k, "A 1.jpg.", "dataset_flickr30k.json"),
    "vatex": ("vatex", vatex, "A dance.", "vatex_public_test_english_v1.1.json"),
    "vqav2": ("vqav2", vqav2, "a cat", "v2_mscoco_val2014_annotations.json"),
    "okvqa": ("okvqa", okvqa, "a cat", "OpenEnded_mscoco_val2014_questions.json"),
    "textvqa": ("textvqa", textvqa, "a cat", "TextVQA_0.5.1_val.json"),
    "vizwiz": ("vizwiz", vizwiz, "a cat", "Annotations/val.json"),
    "msvd_qa": ("msvd_qa", msvd_qa, "a cat", "test_qa.json"),
    "msvd_clips": ("msvd_qa", msvd_clips, "a cat", "youtube_mapping.txt"),
    "hateful_memes": ("hateful_memes", hateful_memes, "yes", "test_seen.jsonl"),
    "imagenet": ("imagenet", imagenet, "tench", "LOC_synset_mapping.txt"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_copy_in_its_published_layout_is_read(name: str, tmp_path: Path) -> None:
    task, write, output, _ = LAYOUTS[name]
    found = load(named(task, tmp_path), write(tmp_path))
    first = found.query[0]
    assert first.output == output
    assert first.media.path.exists()
    assert found.support
    assert found.support[0].media.path.exists()
    assert not {c.media.key for c in found.query} & {c.media.key for c in found.support}
    if TASKS[task].form == "question":
        assert first.question == "What is 0?"


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_file_is_named_with_its_layout(name: str, tmp_path: Path) -> None:
    task, write, _, file = LAYOUTS[name]
    write(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(InputError) as error:
        load(named(task, tmp_path), tmp_path)
    assert Path(file).name in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_pictures_are_named(name: str, tmp_path: Path) -> None:
    task, write, _, _ = LAYOUTS[name]
    found = load(named(task, tmp_path), write(tmp_path))
    shutil.rmtree(tmp_path / found.query[0].media.path.relative_to(tmp_path).parts[0])
    with pytest.raises(InputError, match="expected"):
        load(named(task, tmp_path), tmp_path)


def test_coco_without_karpathys_split_takes_val_and_train(tmp_path: Path) -> None:
    found = load(named("coco", tmp_path), coco_plain(tmp_path), "val2014")
    assert [case.id for case in found.query] == ["1", "2"]
    assert found.query[0].references == ("Caption 0 of 1.", "Caption 1 of 1.")
    assert [case.id for case in found.support] == ["5", "6"]
    with pytest.raises(InputError, match="by --split val2014"):
        load(named("coco", tmp_path), tmp_path)


def test_archives_may_be_unpacked_in_folders_of_their_own(tmp_path: Path) -> None:
    vqav2(tmp_path)
    for kind in ("questions", "annotations"):
        (tmp_path / kind).mkdir()
        for path in tmp_path.glob(f"*_{kind}.json"):
            path.rename(tmp_path / kind / path.name)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2014").rename(tmp_path / "images/val2014")
    assert load(named("vqav2", tmp_path), tmp_path).query[0].media.path.is_file()


def test_classes_that_share_a_name_are_told_apart(tmp_path: Path) -> None:
    found = load(named("imagenet", tmp_path), imagenet(tmp_path))
    assert found.labels == ("tench", "crane", "crane, tower crane")  # those with pictures
    assert found.query[1].output == "crane, tower crane"


def test_memes_without_labels_are_refused(tmp_path: Path) -> None:
    hateful_memes(tmp_path)
    put(tmp_path, {"test_seen.jsonl": [{"id": 1, "img": "img/00001.png", "text": "x"}]})
    with pytest.raises(InputError, match='expected "label" 0 or 1'):
        load(named("hateful_memes", tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ('{"images": 3}', 'expected a list of objects under "images", found a number'),
        ('{"images": [3]}', "expected an object as row 1, found a number"),
        ('{"images": [{"split": "test"}]}', 'expected "filename" as a text in row 1, found none'),
        ('{"images": [{"filename": 7}]}', 'expected "filename" as a text in row 1, found a number'),
        (
            '{"images": [{"filename": "a", "split": "test", "sentences": [{"raw": 7}]}]}',
            'expected texts under "sentences"',
        ),
        ('{"images": []}', "expected images of the split 'test'"),
    ],
)
def test_malformed_annotations_are_one_line(content: str, message: str, tmp_path: Path) -> None:
    coco_karpathy(tmp_path)
    (tmp_path / "dataset_coco.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load(named("coco", tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("imagenet", "LOC_synset_mapping.txt", "n01440764\n", "expected a wnid and its names"),
        ("imagenet", "LOC_synset_mapping.txt", "n1 a\n", "expected a class that the names file"),
        ("msvd_clips", "youtube_mapping.txt", "a b c\n", "expected lines of a clip and its number"),
        ("msvd_clips", "youtube_mapping.txt", "a vid7\n", "expected vid1301 in youtube_mapping"),
        ("hateful_memes", "train.jsonl", "{}\n{", "expected a JSON object per line"),
        ("vqav2", "v2_mscoco_val2014_annotations.json", '{"annotations": []}', "expected cases of"),
        ("vatex", "vatex_training_v1.0.json", "[1]", "expected an object as row 1"),
    ],
)
def test_malformed_files_are_one_line(
    name: str, file: str, content: str, message: str, tmp_path: Path
) -> None:
    task, write, _, _ = LAYOUTS[name]
    write(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load(named(task, tmp_path), tmp_path)
    assert "\n" not in str(error.value)


def test_names_of_classes_may_come_as_json(tmp_path: Path) -> None:
    imagenet(tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    index = {
        "0": ["n01440764", "tench"],
        "1": ["n02012849", "crane"],
        "2": ["n03126707", "crane_2"],
    }
    put(tmp_path, {"imagenet_class_index.json": index})
    assert load(named("imagenet", tmp_path), tmp_path).labels == ("tench", "crane", "crane 2")
    put(tmp_path, {"imagenet_class_index.json": {"0": "tench"}})
    with pytest.raises(InputError, match="expected a wnid and its names per class"):
        load(named("imagenet", tmp_path), tmp_path)


def test_case_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    msvd_qa(tmp_path)
    row = {"answer": "x", "id": 4, "question": "q", "video_id": 1301}
    put(tmp_path, {"test_qa.json": [row, row]})
    with pytest.raises(InputError, match="expected each case of msvd_qa once, found 4 2 times"):
        load(named("msvd_qa", tmp_path), tmp_path)


def test_unknown_task_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--task: expected one of coco, flickr30k"):
        named("cocoa", tmp_path)


def test_any_folder_with_captions(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.jpg", "caption": "A hill."},
        {"file_name": "b.jpg", "captions": ["A lake.", "Water."]},
        {"file_name": "a.jpg", "caption": "A green hill."},
    ]
    put(tmp_path, {"captions.jsonl": rows, "a.jpg": None, "b.jpg": None})
    task = named("folder", tmp_path)
    found = load(task, tmp_path)
    assert (task.form, task.metric) == ("caption", "cider")
    assert [case.references for case in found.query] == [
        ("A hill.", "A green hill."),
        ("A lake.", "Water."),
    ]


def test_any_folder_with_a_csv(tmp_path: Path) -> None:
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("image", "caption"), ("a.jpg", 'A "hill", green'), ("b.mp4", "x")]
        )
    put(tmp_path, {"a.jpg": None})
    found = load(named("folder", tmp_path), tmp_path)
    assert found.query[0].output == 'A "hill", green'
    assert found.query[1].media.kind == "video"
    (tmp_path / "captions.csv").write_text("name,caption\na.jpg,x\n")
    with pytest.raises(InputError, match="expected file_name or image or file or path in row 1"):
        load(named("folder", tmp_path), tmp_path)


def test_any_folder_with_questions(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "question": "How many?", "answer": "2"}] * 2
    put(tmp_path, {"questions.jsonl": rows, "a.jpg": None})
    task = named("folder", tmp_path)
    found = load(task, tmp_path)
    assert (task.form, task.metric) == ("question", "vqa_accuracy")
    assert len({case.id for case in found.query}) == 2


def test_any_folder_with_a_folder_per_class(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"red_fox/1.jpg": None, "red_fox/2.png": None, "owl/1.jpg": None, "owl/note.txt": "x"},
    )
    task = named("folder", tmp_path)
    found = load(task, tmp_path)
    assert (task.form, task.metric, task.support) == ("class", "top1", 32)
    assert found.labels == ("owl", "red fox")
    assert [case.output for case in found.query] == ["owl", "red fox", "red fox"]


def test_folder_of_nothing_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected captions\.jsonl, captions\.csv"):
        named("folder", tmp_path)
    with pytest.raises(InputError, match="expected a folder of pictures, found none"):
        named("folder", tmp_path / "nowhere")


def test_our_own_shards_are_captioning(tmp_path: Path) -> None:
    root = dataset(tmp_path / "shards")
    found = load(named("shards", root), root)
    assert [case.media.kind for case in found.query] == ["image"] * 5 + ["video"] * 2
    assert all(len(case.references) == 1 and case.references[0] for case in found.query)
    picture, clip = found.query[0], found.query[-1]
    assert len(frames(picture.media, 32, GREY)) == 1
    assert [f.shape for f in frames(clip.media, 32, GREY)] == [(32, 32, 3)] * 4
    pairs = load(named("shards", root), root, "image_text")
    assert len(pairs.query) == 5


@pytest.mark.skipif(
    not (Path(__file__).parents[2] / "shared/data/videos/tour.mp4").exists(),
    reason="the clips of ../shared are not here",
)
def test_video_gives_thirty_frames_at_three_a_second() -> None:
    clip = Path(__file__).parents[2] / "shared/data/videos/tour.mp4"  # 11.33 s
    found = frames(Media(clip, "video"), 64, GREY)
    assert len(found) == 30
    assert found[0].shape == (64, 64, 3)
    assert found[0].dtype == "uint8"


def test_middle_of_a_longer_clip_is_shown() -> None:
    assert list(middle(range(34))) == list(range(2, 32))
    assert list(middle(range(7))) == list(range(7))


def test_unreadable_media_have_a_reason(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="missing_media"):
        frames(Media(tmp_path / "no.jpg"), 32, GREY)
    with pytest.raises(MediaError, match="missing_media"):
        frames(Media(Path("a\0.jpg")), 32, GREY)
    (tmp_path / "cut.tar").write_bytes(b"123")
    with pytest.raises(MediaError, match="truncated_shard"):
        frames(Media(tmp_path / "cut.tar", "image", ((0, 9),)), 32, GREY)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(MediaError, match="not_an_image"):
        frames(Media(tmp_path / "text.jpg"), 32, GREY)
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(MediaError, match="not_a_video"):
        frames(Media(tmp_path / "text.avi", "video"), 32, GREY)


def cases(count: int, labels: int = 1, each: int = 1) -> list[Case]:
    return [
        Case(f"{n}/{k}", Media(Path(f"{n}.jpg")), (f"label {n % labels}",))
        for n in range(count)
        for k in range(each)
    ]


def test_set_without_support_is_parted_by_pictures() -> None:
    task, settings = TASKS["folder"], Settings(shots=(4,))
    found = disjoint(Cases(cases(40, each=3), ()), task, settings)
    assert len(found.query) == len(found.support) == 60
    assert not {c.media.key for c in found.query} & {c.media.key for c in found.support}
    turned = disjoint(Cases(cases(40, each=3)[::-1], ()), task, settings)
    assert {c.id for c in turned.query} == {c.id for c in found.query}
    other = disjoint(Cases(cases(40, each=3), ()), task, Settings(shots=(4,), seed=1))
    assert {c.id for c in other.query} != {c.id for c in found.query}


def test_classes_are_parted_and_sampled_each_by_itself(tmp_path: Path) -> None:
    put(tmp_path, {"owl/1.jpg": None})
    task = named("folder", tmp_path)
    settings = Settings(shots=(0,), queries=2, support=3)
    found = disjoint(Cases(cases(40, labels=4), (), ("a",)), task, settings)
    assert sorted(c.output for c in found.query) == [f"label {n // 2}" for n in range(8)]
    assert sorted(c.output for c in found.support) == [f"label {n // 3}" for n in range(12)]


def test_support_never_holds_a_picture_that_is_asked_about() -> None:
    both = cases(10)
    found = disjoint(Cases(both[:4], both), TASKS["coco"], Settings(shots=(2,)))
    assert [c.id for c in found.support] == [c.id for c in both[4:]]


def test_more_shots_than_there_are_is_an_error() -> None:
    with pytest.raises(InputError, match="expected 32 cases to show before a query, found 5"):
        disjoint(Cases(cases(10), ()), TASKS["coco"], Settings(shots=(0, 32)))
    with pytest.raises(InputError, match="expected 2 cases to show before a query, found 0"):
        disjoint(Cases(cases(1), ()), TASKS["coco"], Settings(shots=(0,)))
