"""Decontamination: what is found of evaluation sets, what is found wrongly, and what it costs.

    python -m benchmarks.decontamination MANIFEST... --images FOLDER [--json]

Texts. The pages of the manifests (as benchmarks/extraction.py reads them) are split by domain. Paragraphs of
one half are the evaluation texts; documents of the other half are unrelated to them: what they hold of
them is listed, since no rule tells a quotation from a false match. Recall: a paragraph is put into such a
document as it is, or with a share of its words replaced by words of other pages.

Images. All usable images of the folder (as benchmarks/images.py chooses them) are the evaluation set; every
changed copy is looked up.

Time: CPU of this process, per document of real length and per image, against sets of 1 k, 10 k and 100 k
items (images also 1 M): runs of 8 to 20 words from the pages of the first half, random hashes.
"""

import argparse
import json
import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.extraction import read, read_manifest
from benchmarks.images import CHANGES, on_white, real
from m3w_builder.config import Config, DecontaminateConfig
from m3w_builder.decontaminate import Benchmark, Item, Sight
from m3w_builder.decontaminate.items import Picture, measured
from m3w_builder.extract import extract
from m3w_builder.near.hamming import shows_enough

SIZES = (1_000, 10_000, 100_000)
OVERLAPS = (0.8, 0.5, 0.0)
EDITS = (0.0, 0.02, 0.05, 0.1, 0.2)  # share of the words replaced
PLANTED = 300
Document = list[str]  # its texts


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST")
    arguments.add_argument("--images", type=Path, required=True, metavar="FOLDER")
    arguments.add_argument("--json", action="store_true", help="one object")
    options = arguments.parse_args(argv)
    theirs, ours = halves(options.manifests)
    found = {
        "unrelated": unrelated(theirs, ours),
        "planted": planted(theirs, ours),
        "images": images(options.images),
        "ms": times(theirs, ours),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(f"\n{name}")
        for key, value in values.items():
            print(f"  {key:28} {value}")


def halves(manifests: Sequence[Path]) -> tuple[list[Document], list[Document]]:
    """Returns the documents of the domains of each half, by a hash of the domain."""
    found: tuple[list[Document], list[Document]] = ([], [])
    for manifest in manifests:
        for row in read_manifest(manifest):
            page = read(row, manifest.parent)
            documents, _ = extract(page, Config())
            domain = ".".join((urlsplit(page.url).hostname or row["id"]).split(".")[-2:])
            half = found[sha256(domain.encode()).digest()[0] % 2]
            half += [
                [t.text for t in d.texts] for d in documents if d.kind == "interleaved" and d.texts
            ]
    return found


def text_set(texts: Sequence[str], overlap: float = 0.8) -> Benchmark:
    items = [Item("texts", str(number), text=text) for number, text in enumerate(texts)]
    return Benchmark(items, DecontaminateConfig(min_text_overlap=overlap))


def unrelated(theirs: Sequence[Document], ours: Sequence[Document]) -> dict[str, Any]:
    """Returns how many documents hold a paragraph of the other half, by threshold, and which."""
    texts = [text for document in theirs for text in document]
    found: dict[str, Any] = {"documents": len(ours), "paragraphs": len(texts)}
    for overlap in OVERLAPS:
        sets = text_set(texts, overlap)
        found["different, too short"] = sets.short_texts
        matches = [m for document in ours for m in sets.text_matches("\n".join(document))]
        found[f"overlap {overlap:.1f}"] = len(matches)
        found[f"texts at {overlap:.1f}"] = sorted({texts[int(m.item)][:70] for m in matches})[:12]
    return found


def planted(theirs: Sequence[Document], ours: Sequence[Document]) -> dict[str, Any]:
    """Returns the share of paragraphs found in a document they were put into, by edits and threshold."""
    draw = random.Random(0)
    texts = [t for d in theirs for t in d if 13 <= len(t.split()) <= 60]
    texts = draw.sample(texts, PLANTED)
    words = [word for document in ours for text in document for word in text.split()]
    found = {}
    for overlap in OVERLAPS:
        sets = text_set(texts, overlap)
        for edits in EDITS:
            hits = 0
            for number, text in enumerate(texts):
                changed = [
                    draw.choice(words) if draw.random() < edits else word for word in text.split()
                ]
                host = ours[number % len(ours)]
                whole = "\n".join([*host[:2], " ".join(changed).upper(), *host[2:]])
                hits += bool(sets.text_matches(whole))
            found[f"overlap {overlap:.1f}, edits {edits:.0%}"] = round(hits / PLANTED, 3)
    return found


def images(folder: Path) -> dict[str, Any]:
    """Returns the share of changed copies found, of the images that show enough to be matched by their look."""
    bodies = {key: body for key, (_, body) in real(folder).items()}
    items = [measured(Picture("images", key, body)) for key, body in sorted(bodies.items())]
    sets = Benchmark(items, DecontaminateConfig())
    clear = {item.name for item in items if shows_enough(item.phash_firm, item.pdq_quality)}
    found: dict[str, Any] = {
        "images": len(items),
        "that show enough": len(clear),
    }
    for change, changed in CHANGES.items():
        right = 0
        for key in clear:
            copy = measured(Picture("", "", changed(on_white(bodies[key]))))
            seen = copy.phash, copy.pdq_quality, copy.phash_firm
            right += bool(sets.image((copy.sha256,), *seen))
        found[change] = round(right / len(clear), 3)
    return found


def times(theirs: Sequence[Document], ours: Sequence[Document]) -> dict[str, Any]:
    """Returns CPU ms per document and per image, by the size of the evaluation set."""
    draw = random.Random(0)
    documents = ["\n".join(document) for document in ours]
    words = [text.split() for document in theirs for text in document]
    words = [text for text in words if len(text) >= 20]
    found: dict[str, Any] = {
        "words per document": round(mean(len(d.split()) for d in documents)),
    }
    for size in SIZES:
        texts = []
        for _ in range(size):
            run, length = draw.choice(words), draw.randint(8, 20)
            start = draw.randint(0, len(run) - length)
            texts.append(" ".join(run[start : start + length]))
        begun = process_time()
        sets = text_set(texts)
        built = process_time() - begun
        sets.text_matches("ü")  # the table of punctuation is made
        begun = process_time()
        for document in documents:
            sets.text_matches(document)
        spent = process_time() - begun
        found[f"document, {size:,} texts"] = round(1e3 * spent / len(documents), 3)
        found[f"building, {size:,} texts, s"] = round(built, 2)
    for size in (*SIZES, 10 * SIZES[-1]):
        hashes = [f"{draw.getrandbits(256):064x}" for _ in range(size)]
        items = [Item("images", str(n), sha256=h, phash_firm=h) for n, h in enumerate(hashes)]
        sets = Benchmark(items, DecontaminateConfig())
        digits = [f"{draw.getrandbits(256):064x}" for _ in range(256)]
        sights = [Sight(("0" * 64,), "", 100.0, firm) for firm in digits]
        begun = process_time()
        sets.image_matches(sights)
        found[f"image, {size:,} hashes"] = round(1e3 * (process_time() - begun) / len(sights), 4)
        begun = process_time()
        for sight in sights[:64]:
            sets.image_matches([sight])
        found[f"image alone, {size:,} hashes"] = round(1e3 * (process_time() - begun) / 64, 4)
    return found


if __name__ == "__main__":
    main()
