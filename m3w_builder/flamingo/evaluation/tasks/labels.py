"""HatefulMemes and ImageNet: one answer of a given set."""

from collections import Counter
from pathlib import Path

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media
from m3w_builder.flamingo.evaluation.tasks.files import (
    Layout,
    lines,
    pictures,
    read_json,
    read_lines,
)

HATEFUL = ("no", "yes")  # labels 0 and 1


def hateful_memes(root: Path, split: str) -> Cases:
    """Returns HatefulMemes with the text of each meme."""
    layout = Layout(root, "HatefulMemes")

    def cases(name: str) -> list[Case]:
        file = layout.need(f"{name}.jsonl")
        found = lines(file, id=int, img=str, text=str)
        if not all(row.get("label") in (0, 1) for row in found):
            raise InputError(
                f'{file}: expected "label" 0 or 1 in every row, found others; --split dev_seen has labels'
            )
        return [
            Case(
                str(row["id"]),
                Media(file.parent / row["img"]),
                (HATEFUL[row["label"]],),
                text=row["text"],
            )
            for row in found
        ]

    return Cases(cases(split), cases("train") if split != "train" else (), HATEFUL)


def imagenet(root: Path, split: str) -> Cases:
    """Returns ImageNet: a folder per wnid in train/ and val/, and a file that names the wnids."""
    layout = Layout(root, "ImageNet")
    names = _names(layout)

    def cases(folder: Path) -> list[Case]:
        classes = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        for path in classes:
            if path.name not in names:
                raise InputError(
                    f"{path}: expected a class that the names file knows, found another"
                )
        return [
            Case(f"{path.name}/{file.stem}", Media(file), (names[path.name],))
            for path in classes
            for file in pictures(path)
        ]

    query = layout.need(split, f"Data/CLS-LOC/{split}")
    support = layout.find("train", "Data/CLS-LOC/train") if split != "train" else None
    found, shown = cases(query), cases(support) if support else ()
    present = {case.output for case in (*found, *shown)}
    return Cases(found, shown, tuple(name for name in names.values() if name in present))


def _names(layout: Layout) -> dict[str, str]:
    """Returns a name per wnid: the first synonym, or all of them where two classes share it (crane)."""
    file = layout.need("LOC_synset_mapping.txt", "imagenet_class_index.json", "words.txt")
    if file.suffix == ".json":  # {"0": ["n01440764", "tench"], ...}
        found = read_json(file)
        pairs = [*found.values()] if isinstance(found, dict) else []
        if not all(isinstance(p, list) and [*map(type, p)] == [str, str] for p in pairs):
            pairs = []
        table = {wnid: [name.replace("_", " ")] for wnid, name in pairs}
    else:
        split = (line.split(maxsplit=1) for line in read_lines(file))
        table = {pair[0]: pair[1].strip().split(", ") for pair in split if len(pair) == 2}
    if not table:
        raise InputError(f"{file}: expected a wnid and its names per class, found none")
    shared = Counter(names[0] for names in table.values())
    return {
        wnid: names[0] if shared[names[0]] == 1 else ", ".join(names)
        for wnid, names in table.items()
    }
