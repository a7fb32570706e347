"""COCO, Flickr30k and VATEX: several people's sentences about a picture or a clip."""

from collections import defaultdict
from pathlib import Path

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media
from m3w_builder.flamingo.evaluation.tasks.files import Layout, Row, rows, texts, video


def coco(root: Path, split: str) -> Cases:
    """Returns COCO's captions: test or val of Karpathy's split, or val2014 or train2014 as COCO has them."""
    layout = Layout(root, "COCO captions")
    if split in ("val2014", "train2014"):
        other = "train2014" if split == "val2014" else "val2014"
        there = layout.find(f"captions_{other}.json")
        return Cases(_coco(layout, split), _coco(layout, other) if there else ())
    if not layout.find("dataset_coco.json") and layout.find("captions_val2014.json"):
        raise InputError(
            f"{root}: expected dataset_coco.json, Karpathy's split, found captions_val2014.json:"
            " ask for COCO's own by --split val2014"
        )
    return _karpathy(layout, "dataset_coco.json", split, "val2014")


def flickr30k(root: Path, split: str) -> Cases:
    """Returns Flickr30k's captions in Karpathy's split."""
    layout = Layout(root, "Flickr30k")
    return _karpathy(layout, "dataset_flickr30k.json", split, "flickr30k-images")


def vatex(root: Path, split: str) -> Cases:
    """Returns VATEX's English captions; `split` as in the names of its files: public_test_english, validation."""
    layout = Layout(root, "VATEX")
    folder = layout.need("videos")

    def cases(file: Path) -> list[Case]:
        return [
            Case(
                row["videoID"],
                Media(video(folder, row["videoID"]), "video"),
                texts(file, row, "enCap"),
            )
            for row in rows(file, videoID=str, enCap=list)
        ]

    names = {
        "test": ("public_test_english_v1.1", "public_test_english_v1.0"),
        "val": ("validation_v1.0",),
    }
    wanted = names.get(split, (split,))
    query = cases(layout.need(*(f"vatex_{name}.json" for name in wanted)))
    training = layout.find("vatex_training_v1.0.json")
    return Cases(query, cases(training) if training else ())


def _karpathy(layout: Layout, name: str, split: str, home: str) -> Cases:
    """Returns a split and the one of training of a file of Karpathy's.

    Its images have a filename, a split, sentences, and of COCO a filepath; else they lie in `home`.
    """
    file, support = layout.need(name), "train"
    found = defaultdict[str, list[Case]](list)
    folders = dict[str, Path]()
    for row in rows(file, "images", filename=str, split=str, sentences=list):
        if row["split"] not in (split, support):
            continue
        sub = row.get("filepath") or home
        if sub not in folders:
            folders[sub] = layout.need(*_places(sub))
        media = Media(folders[sub] / row["filename"])
        key = str(row.get("cocoid", row["filename"]))
        found[row["split"]].append(Case(key, media, texts(file, row, "sentences", "raw")))
    if not found[split]:
        raise InputError(f"{file}: expected images of the split {split!r}, found none")
    return Cases(found[split], found[support] if split != support else ())


def _places(name: str) -> tuple[str, ...]:
    """Returns where a folder of pictures may lie: as the archive has it, or under images/."""
    alias = {"flickr30k-images": ("flickr30k_images", "images")}.get(name, ())
    return (name, *alias)


def _coco(layout: Layout, year: str) -> list[Case]:
    """Returns one of COCO's own files (images: id, file_name; annotations: image_id, caption)."""
    file = layout.need(f"captions_{year}.json")
    folder = layout.need(year)
    said = defaultdict[int, list[str]](list)
    for row in rows(file, "annotations", image_id=int, caption=str):
        said[row["image_id"]] += texts(file, row, "caption")
    images: list[Row] = rows(file, "images", id=int, file_name=str)
    return [
        Case(str(row["id"]), Media(folder / row["file_name"]), tuple(said[row["id"]]))
        for row in images
        if said[row["id"]]
    ]
