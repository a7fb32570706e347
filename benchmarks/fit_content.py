"""Fits the decision trees that tell a page's main content, and measures them on pages they have not seen.

    pip install catboost rapidfuzz
    python benchmarks/fit_content.py MANIFEST... --output m3w_builder/interleave/content.npz
    python benchmarks/fit_content.py MANIFEST... --held-out FOLDER [--folds 5]

MANIFEST is a file that benchmarks/extraction.py reads, with what is true of each page: "nodes" in
order (texts and images), an article's "text", or pieces of text that are content ("with") and that are
not ("without"). What is true becomes one answer per item of our own walk of the page: the share of its
words in the longest common subsequence of page and truth; whether a picture is one of the truth's. An
item the truth does not speak of is left out.

--held-out writes, per manifest, predictions for the scorers where each page was judged by trees fitted
to the pages of other sites: what to expect of pages that nobody has seen. The fit is repeatable: one
seed, sites told apart by host name.

Pages are few, so each is also fitted to in COPIES that lack some of it: a third of the boxes without
content, a seventh of the paragraphs. What a page says as a whole (how much text, how many links) then
varies, and no single trait of a page decides.

Every manifest weighs the same but documentation sites (many pages of one generator), which weigh a
quarter. In it every page weighs about the same, an item of it by its words.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import md5
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import numpy as np
from lxml import etree
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.extraction import predict, read, read_manifest
from m3w_builder.errors import PageError
from m3w_builder.images import addresses
from m3w_builder.interleave import ParsedPage, content, interleave, read_page
from m3w_builder.interleave.blocks import Item, walk
from m3w_builder.interleave.captions import bind
from m3w_builder.interleave.content import is_headline
from m3w_builder.interleave.features import measure
from m3w_builder.interleave.trees import Trees, save
from m3w_builder.types import Image

TREES, DEPTH, RATE, L2 = 300, 6, 0.08, 8.0
COLUMNS = 0.25  # share of the features that each split may choose from: names must not decide alone
SEED = 0
SCALE = 1024  # of a leaf's log-odds as a whole number
PAGE_WEIGHT, ITEM_WEIGHT, MAX_WEIGHT = 12.0, 0.1, 4.0
SITE_SHARE = 0.25
COPIES, COPY_SHARE, DROP_OTHER, DROP_CONTENT = 3, 0.5, 0.35, 0.15
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]|[^\W_]+")


@dataclass
class Example:
    """A page with its answers, one per item: what is true (0 to 1), and what that weighs."""

    row: dict[str, Any]
    parsed: ParsedPage
    truth: NDArray[np.float64]
    weight: NDArray[np.float64]
    features: NDArray[np.float32]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, help="file for the trees, fitted to all pages")
    parser.add_argument("--held-out", type=Path, help="folder for predictions of unseen pages")
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args(argv)
    sets = {path: examples(path) for path in options.manifests}
    for found in sets.values():
        balance(found)
    everything = list(chain.from_iterable(sets.values()))
    print(
        f"{len(everything)} pages, {sum(len(e.truth) for e in everything)} items", file=sys.stderr
    )
    copies = {id(example): [] for example in everything}
    for number in range(COPIES):
        for found in sets.values():
            made = [(e, copy) for e in found if (copy := with_gaps(e, number)) is not None]
            balance([copy for _, copy in made], COPY_SHARE)
            for example, copy in made:
                copies[id(example)].append(copy)
    if options.held_out:
        options.held_out.mkdir(parents=True, exist_ok=True)
        rows = held_out(everything, copies, options.folds)
        for number, (path, found) in enumerate(sets.items()):
            file = options.held_out / f"{number}-{path.parent.name}.jsonl"
            lines = (json.dumps(rows[id(e)], ensure_ascii=False) + "\n" for e in found)
            file.write_text("".join(lines), encoding="utf-8")
            print(file)
    if options.output:
        save(options.output, fit([*everything, *chain.from_iterable(copies.values())]))


def examples(manifest: Path) -> list[Example]:
    """Returns the pages of a manifest with their answers; pages without content have none."""
    found = []
    for row in read_manifest(manifest):
        try:
            parsed = read_page(read(row, manifest.parent))
        except PageError:
            continue
        if parsed.walk.items:
            found.append(_example(row, parsed))
    return found


def _example(row: dict[str, Any], parsed: ParsedPage) -> Example:
    lead = parsed.lead.image.url if parsed.lead else ""
    return Example(row, parsed, *answers(row, parsed), measure(parsed.walk, parsed.title, lead))


def answers(row: dict[str, Any], parsed: ParsedPage) -> tuple[NDArray, NDArray]:
    """Returns what a manifest row says of each item of its page, and what each answer weighs."""
    items = parsed.walk.items
    truth, weight = np.zeros(len(items)), np.zeros(len(items))
    if "with" in row:
        for i, item in enumerate(items):
            said = {kind for kind in ("with", "without") for piece in row[kind] if _in(piece, item)}
            if len(said) == 1:
                truth[i], weight[i] = "with" in said, 1.0
        return truth, weight
    nodes = row.get("nodes")
    text = row["text"] if nodes is None else "\n".join(n["text"] for n in nodes if n["type"] == "text")  # fmt: skip
    shares, words = common(items, text)
    total = max(30.0, float((words * (shares > 0.5)).sum()))
    required, neutral = _pictures(row)
    for i, item in enumerate(items):
        if item.text and words[i] and (nodes is not None or item.role != "caption"):
            truth[i] = shares[i]
            if item.role == "heading" and is_headline(item.text, parsed.titles):
                continue  # whether a page's own headline is part of it is not for the trees to say
            weight[i] = min(MAX_WEIGHT, PAGE_WEIGHT * words[i] / total + ITEM_WEIGHT)
        elif isinstance(item.media, Image) and nodes is not None:
            shown = {key for url in addresses(item.element, parsed.base) for key in _keys(url)}
            truth[i] = not shown.isdisjoint(required)
            weight[i] = 1.0 if truth[i] or shown.isdisjoint(neutral) else 0.0
    return truth, weight


def _in(piece: str, item: Item) -> bool:
    return " ".join(piece.split()) in " ".join(item.text.split()) if item.text else False


def common(items: Sequence[Item], text: str) -> tuple[NDArray, NDArray]:
    """Returns for each item the share of its words that are in the truth in their place, and how many it has."""
    from rapidfuzz.distance import LCSseq

    numbers: dict[str, int] = {}
    page, owner = [], []
    for i, item in enumerate(items):
        for word in _WORD.findall(item.text):
            page.append(numbers.setdefault(word.casefold(), len(numbers)))
            owner.append(i)
    truth = [numbers.setdefault(word.casefold(), len(numbers)) for word in _WORD.findall(text)]
    hit = np.zeros(len(page))
    for step in LCSseq.opcodes(page, truth):
        if step.tag == "equal":
            hit[step.src_start : step.src_end] = 1
    words = np.bincount(owner, minlength=len(items)).astype(float)
    return np.bincount(owner, hit, len(items)) / np.maximum(1, words), words


def _pictures(row: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Returns the keys of the pictures that the truth has, and of those it does not judge."""
    required: set[str] = set()
    neutral = {key for url in row.get("optional_images", ()) for key in _keys(url)}
    for node in row.get("nodes", ()):
        if node["type"] == "image":
            urls = [node.get("src") or "", *node.get("srcs", ())]
            keys = {key for url in urls for key in _keys(url)}
            (neutral if node.get("optional") else required).update(keys)
    return required, neutral


def _keys(url: str) -> Iterable[str]:
    parts = urlsplit(url)
    address = f"{parts.hostname}{parts.path}"
    whole = f"{address}?{parts.query}"
    return (address, whole) if re.search(r"\.\w{3,4}$", parts.path) else (whole,)


def with_gaps(example: Example, number: int) -> Example | None:
    """Returns a copy of an article's or a news page's example that lacks parts; None for documentation."""
    if is_documentation(example.row):
        return None
    parsed, chance = example.parsed, random.Random(f"{example.row['id']} {number}").random
    content = np.append(0, np.cumsum((example.truth > 0.5) & (example.weight > 0)))
    root = deepcopy(parsed.root)
    twins = dict(zip(parsed.root.iter(), root.iter(), strict=True))
    for box in parsed.walk.boxes:
        holds, size = content[box.end] - content[box.start], box.end - box.start
        goes = chance() < (DROP_OTHER if not holds else DROP_CONTENT if holds == size <= 2 else 0)
        element = twins[box.element]
        parent = element.getparent()
        if goes and box.tag not in ("html", "body") and parent is not None:
            _cut(element, parent)
    found = walk(root, parsed.base, parsed.declared)
    bind(found, root)
    return _example(example.row, replace(parsed, root=root, walk=found)) if found.items else None


def _cut(element: etree._Element, parent: etree._Element) -> None:
    """Removes an element and leaves the text after it."""
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)


def is_documentation(row: dict[str, Any]) -> bool:
    """Tells whether a manifest is of a documentation site: many pages of one generator."""
    return "site" in row and "family" not in row


def balance(found: Sequence[Example], share: float = 1.0) -> None:
    """Scales the weights of a manifest's items to its share."""
    if found and is_documentation(found[0].row):
        share *= SITE_SHARE
    total = sum(float(example.weight.sum()) for example in found) or 1.0
    for example in found:
        example.weight *= 4000 * share / total


def site(row: dict[str, Any]) -> str:
    """Returns the site of a page: the name in its manifest, else its host without subdomains."""
    if "family" in row:
        return str(row["family"])
    host = urlsplit(row.get("url") or "").hostname or row["id"]
    parts = host.removeprefix("www.").split(".")
    short = len(parts) < 3 or len(parts[-2]) > 3  # example.com, and not example.co.uk
    return str(row.get("site") or ".".join(parts[-2 if short else -3 :]))


def held_out(
    found: Sequence[Example], copies: Mapping[int, Sequence[Example]], folds: int
) -> dict[int, dict[str, Any]]:
    """Returns the scorers' row of each example, judged by trees that were fitted to other sites."""
    rows = {}
    fold = [int(md5(site(e.row).encode()).hexdigest(), 16) % folds for e in found]
    for k in sorted(set(fold)):
        others = [e for e, f in zip(found, fold, strict=True) if f != k]
        trees = fit([*others, *(copy for e in others for copy in copies[id(e)])])
        with patch.object(content, "_model", lambda trees=trees: trees):
            for example in (e for e, f in zip(found, fold, strict=True) if f == k):
                rows[id(example)] = {"id": example.row["id"], **judged(example.parsed)}
    return rows


def judged(parsed: ParsedPage) -> dict[str, Any]:
    """Returns the scorers' row of a page."""
    try:
        return predict((parsed, interleave(parsed)))
    except PageError:
        return predict(None)


def fit(found: Sequence[Example]) -> Trees:
    """Returns trees fitted to the examples."""
    from catboost import CatBoostClassifier, Pool

    truth = np.concatenate([e.truth for e in found])
    weight = np.concatenate([e.weight for e in found])
    features = np.concatenate([e.features.T for e in found])
    asked = weight > 0
    model = CatBoostClassifier(
        iterations=TREES, depth=DEPTH, learning_rate=RATE, l2_leaf_reg=L2, rsm=COLUMNS,
        loss_function="CrossEntropy", border_count=64, random_seed=SEED, verbose=0,
        allow_writing_files=False,
    )  # fmt: skip
    model.fit(Pool(features[asked], truth[asked], weight=weight[asked]))
    return _tables(model)


def _tables(model: Any) -> Trees:
    """Returns CatBoost's oblivious trees as tables with whole-number entries."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        model.save_model(f"{folder}/model.json", format="json")
        stored = json.loads(Path(folder, "model.json").read_text())
    columns = [f["feature_index"] for f in stored["features_info"]["float_features"]]
    tests = [_padded(tree["splits"]) for tree in stored["oblivious_trees"]]
    leaves = [_padded_leaves(tree) for tree in stored["oblivious_trees"]]
    scale, (bias,) = stored["scale_and_bias"]
    return Trees(
        np.array([[columns[t["float_feature_index"]] for t in tree] for tree in tests]).T,
        np.array([[t["border"] for t in tree] for tree in tests], np.float32).T,
        np.round(np.array(leaves) * scale * SCALE).astype(np.int32),
        round(bias * SCALE),
    )


def _padded(splits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return splits + [{**splits[0], "border": 3e38}] * (DEPTH - len(splits))


def _padded_leaves(tree: dict[str, Any]) -> list[float]:
    """A tree with fewer tests has fewer leaves: the tests that never hold lead to none."""
    return list(tree["leaf_values"]) + [0.0] * (2**DEPTH - len(tree["leaf_values"]))


if __name__ == "__main__":
    main()
