"""What the fit takes for true: the answers of three kinds of manifests, and the trees made of them."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import fit_content
from benchmarks.fit_content import Example, answers, balance, is_documentation, site
from m3w_builder.interleave import ParsedPage, read_page
from m3w_builder.interleave.features import NAMES, measure
from m3w_builder.interleave.trees import Trees, load
from m3w_builder.types import Page

URL = "https://news.ex.com/a/p.html"
ONE = "The old stone bridge was opened to walkers on Friday morning."
TWO = "The smith says that it took her two winters to forge the railing."
OTHER = "Subscribe to our newsletter and never miss a story again."
BODY = (
    f"<h1>The bridge opens</h1><p>{ONE}</p><figure><img src=/i-300x200.jpg><figcaption>The bridge in fog"
    f"</figcaption></figure><p>{TWO}</p><img src=/icon.png><p>{OTHER}</p>"
)


def page(body: str = BODY, title: str = "The bridge opens") -> ParsedPage:
    html = f"<html><head><title>{title}</title></head><body>{body}</body></html>"
    return read_page(Page(URL, html.encode()))


def said(row: dict[str, Any], parsed: ParsedPage) -> dict[str, tuple[float, bool]]:
    """Returns for each item, by text or file name, what is true of it and whether that counts."""
    truth, weight = answers(row, parsed)
    names = [
        item.text or item.media.url.rpartition("/")[2]
        for item in parsed.walk.items
        if item.text or item.media
    ]
    return {name: (float(t), bool(w)) for name, t, w in zip(names, truth, weight, strict=True)}


def test_pieces_that_are_content_and_pieces_that_are_not() -> None:
    row = {
        "with": ["stone bridge  was\nopened", "forge"],
        "without": ["newsletter", "nothing of this page"],
    }
    found = said(row, page())
    assert {name: answer for name, (answer, counts) in found.items() if counts} == {
        ONE: 1,
        TWO: 1,
        OTHER: 0,
    }


def test_an_item_with_pieces_of_both_kinds_is_not_judged() -> None:
    assert said({"with": ["stone"], "without": ["Friday"]}, page())[ONE] == (0, False)


@pytest.fixture
def alignment() -> None:
    pytest.importorskip("rapidfuzz")


@pytest.mark.usefixtures("alignment")
def test_an_articles_text_judges_texts_but_no_pictures_and_captions() -> None:
    found = said({"text": f"{ONE}\n{TWO}"}, page())
    for text, content in ((ONE, True), (TWO, True), (OTHER, False)):
        share, counts = found[text]
        assert counts
        assert (share > 0.9) is content  # a word of it may be found in the headline
    for name in ("i-300x200.jpg", "icon.png", "The bridge in fog"):
        assert not found[name][1]


@pytest.mark.usefixtures("alignment")
def test_the_pages_own_headline_is_not_judged() -> None:
    assert not said({"text": f"The bridge opens\n{ONE}"}, page())["The bridge opens"][1]
    assert said({"text": f"The bridge opens\n{ONE}"}, page(title="Another"))[
        "The bridge opens"
    ] == (1, True)


@pytest.mark.usefixtures("alignment")
def test_nodes_judge_pictures_and_captions_too() -> None:
    nodes = [
        {"type": "text", "text": ONE},
        {"type": "image", "src": "https://news.ex.com/i-300x200.jpg"},
        {"type": "text", "text": "The bridge in fog", "role": "caption"},
        {"type": "text", "text": TWO},
    ]
    found = said({"nodes": nodes}, page())
    assert found["i-300x200.jpg"] == (1, True)
    assert found["The bridge in fog"] == (1, True)
    assert found["icon.png"] == (0, True)


@pytest.mark.usefixtures("alignment")
@pytest.mark.parametrize("where", ["optional", "listed"])
def test_a_picture_that_the_truth_leaves_open_is_not_judged(where: str) -> None:
    icon = "https://news.ex.com/icon.png"
    nodes = [{"type": "text", "text": ONE}]
    if where == "optional":
        row = {"nodes": [*nodes, {"type": "image", "src": icon, "optional": True}]}
    else:
        row = {"nodes": nodes, "optional_images": [icon]}
    assert said(row, page())["icon.png"] == (0, False)
    assert said(row, page())["i-300x200.jpg"] == (0, True)


@pytest.mark.usefixtures("alignment")
@pytest.mark.parametrize(
    ("truth", "shares"),
    [
        ("a b c d e f", [1, 1, 1]),
        ("A B, c! D e f", [1, 1, 1]),  # words, not how they are written
        ("a b e f", [1, 0, 1]),
        ("a x c d", [0.5, 1, 0]),
        ("c d a b", [1, 0, 0]),  # in their place: one of the two
        ("", [0, 0, 0]),
    ],
)
def test_the_share_of_words_that_stand_in_the_truth(truth: str, shares: list[float]) -> None:
    items = page("<p>a b<p>c d<p>e f").walk.items
    found, words = fit_content.common(items, truth)
    assert words.tolist() == [2, 2, 2]
    if truth == "c d a b":
        assert sorted(found.tolist()) == [0, 0, 1]
    else:
        assert found.tolist() == shares


@pytest.mark.usefixtures("alignment")
def test_ideographs_are_words() -> None:
    found, words = fit_content.common(page("<p>日本語の文<p>広告").walk.items, "日本の文")
    assert words.tolist() == [5, 2]
    assert found.tolist() == [pytest.approx(0.8), 0]


@pytest.mark.usefixtures("alignment")
def test_a_page_weighs_about_the_same_whatever_its_length() -> None:
    sums = []
    for count in (5, 50):
        texts = [f"{ONE} Number {n} of them." for n in range(count)]
        parsed = page("".join(f"<p>{text}</p>" for text in texts))
        sums.append(answers({"text": " ".join(texts)}, parsed)[1].sum())
    assert sums[1] < 2 * sums[0]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"url": "https://www.herald.com/p"}, "herald.com"),
        ({"url": "https://sport.news.herald.com/p"}, "herald.com"),
        ({"url": "https://www.herald.co.uk/p"}, "herald.co.uk"),
        ({"url": "https://a.herald.com/p", "family": "guardian"}, "guardian"),
        ({"url": "http://127.0.0.1/p", "site": "gimp"}, "gimp"),
        ({"url": "", "id": "page-1"}, "page-1"),
    ],
)
def test_pages_of_one_site_are_judged_together(row: dict[str, str], name: str) -> None:
    assert site(row) == name


def example(
    row: dict[str, Any], weights: list[float], truths: list[float] | None = None
) -> Example:
    truth = np.array(truths or [1.0] * len(weights))
    return Example(row, page(), truth, np.array(weights), np.zeros((1, len(weights)), np.float32))


def test_every_manifest_weighs_the_same_and_documentation_a_quarter() -> None:
    few, many = [example({}, [1.0, 1.0])], [example({}, [5.0] * 9) for _ in range(7)]
    manual = [example({"site": "manual"}, [1.0, 1.0, 1.0])]
    for found in (few, many, manual):
        balance(found)
    sums = [sum(e.weight.sum() for e in found) for found in (few, many, manual)]
    assert sums == pytest.approx([sums[0], sums[0], sums[0] / 4])


@pytest.mark.parametrize(
    ("row", "manual"), [({}, False), ({"site": "a"}, True), ({"site": "a", "family": "b"}, False)]
)
def test_documentation_is_many_pages_of_one_site(row: dict[str, str], manual: bool) -> None:
    assert is_documentation(row) is manual


def copies(number: int = 0, body: str = BODY) -> list[str] | None:
    row = {"id": "a", "with": [ONE, TWO], "without": [OTHER]}
    parsed = page(body)
    made = Example(row, parsed, *answers(row, parsed), measure(parsed.walk, parsed.title, ""))
    copy = fit_content.with_gaps(made, number)
    return [item.text for item in copy.parsed.walk.items if item.text] if copy else None


def test_a_copy_lacks_parts_and_makes_up_none() -> None:
    whole = [item.text for item in page().walk.items if item.text]
    made = [found for number in range(12) if (found := copies(number)) is not None]
    assert made
    assert all([text for text in whole if text in found] == found for found in made)
    assert any(len(found) < len(whole) for found in made)
    assert len({tuple(found) for found in made}) > 1


def test_a_copy_is_the_same_each_time_and_leaves_its_page_alone() -> None:
    assert [copies(number) for number in range(5)] == [copies(number) for number in range(5)]


def test_an_item_with_most_of_the_content_is_never_cut() -> None:
    body = f"<div class=page><p>{ONE}</p><p>{TWO}</p><p>{ONE} Again.</p></div><p>{OTHER}</p>"
    kept = [text for number in range(12) for text in copies(number, body) or ()]
    assert sum(OTHER in text for text in kept) < 12
    assert any(ONE in text for text in kept)


def manifest(folder: Path) -> Path:
    """Writes twelve pages of two sites, told apart by what their paragraphs are called."""
    rows = []
    for number in range(12):
        text = f"{ONE} {TWO} This was page {number}."
        body = (
            f"<p class=story>{text}</p>" * 3
            + f"<div class=sidebar><p>{OTHER} ({number})</p></div>" * 3
        )
        (folder / f"{number}.html").write_text(
            f"<title>Page {number}</title>{body}", encoding="utf-8"
        )
        url = f"https://{'herald' if number % 2 else 'gazette'}.com/{number}"
        rows.append(
            {
                "id": str(number),
                "html": f"{number}.html",
                "url": url,
                "with": [text],
                "without": [OTHER],
            }
        )
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("catboost")
    monkeypatch.setattr(fit_content, "TREES", 10)


@pytest.mark.usefixtures("quick")
def test_fitted_trees_tell_the_content_of_the_pages_they_were_fitted_to(tmp_path: Path) -> None:
    path, output = manifest(tmp_path), tmp_path / "trees.npz"
    fit_content.main([str(path), "--output", str(output)])
    trees = load(output)
    assert trees.features.shape == (fit_content.DEPTH, 10)
    assert trees.features.max() < len(NAMES)
    for found in fit_content.examples(path):
        scores = trees.score(found.features)
        assert ((scores > 0) == (found.truth > 0.5))[found.weight > 0].all()
    first = output.read_bytes()
    fit_content.main([str(path), "--output", str(output)])
    assert output.read_bytes() == first


@pytest.mark.usefixtures("quick")
def test_a_page_is_judged_by_trees_that_never_saw_its_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def fit(found: list[Example]) -> Trees:
        seen.append({site(e.row) for e in found})
        return real(found)

    real = fit_content.fit
    monkeypatch.setattr(fit_content, "fit", fit)
    fit_content.main([str(manifest(tmp_path)), "--held-out", str(tmp_path / "out"), "--folds", "2"])
    (file,) = (tmp_path / "out").iterdir()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [str(number) for number in range(12)]
    assert seen == [{"herald.com"}, {"gazette.com"}] or seen == [{"gazette.com"}, {"herald.com"}]
