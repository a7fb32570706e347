"""The trainer's proof: what holds exactly, what its site and its texts keep apart, and its report."""

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import tiny  # noqa: E402
from fakes import Pack, page_sample, write  # noqa: E402

from benchmarks.proof import exact, language, report, runs, site  # noqa: E402
from benchmarks.proof.drawings import SHAPES, THINGS, draw, encoded  # noqa: E402
from benchmarks.proof.measure import SHOTS, exchanged  # noqa: E402
from benchmarks.proof.pages import NEW_NAMES, UNNAMED, Page, PageKind, Picture, pages  # noqa: E402
from m3w_builder.flamingo.config import Run  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402

REPORT = Path(__file__).parents[1] / "docs" / "train_proof.json"
PHI = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3]])
RUNS = {
    variant: [dict.fromkeys((*report.SHOWN, *report.EVERY), 0.5 + seed / 10) for seed in range(3)]
    for variant in runs.VARIANTS
}


# 1. What holds exactly


def test_closed_gates_leave_the_lm_as_it_was() -> None:
    torch.manual_seed(0)
    ids = tiny.ids(1, 8)
    with torch.no_grad():
        bare = tiny.language("llama")(input_ids=ids, use_cache=False).logits
    model = tiny.flamingo("llama", gate=0.0)
    assert exact.gates_at_zero(model, bare, ids, PHI, tiny.frames(3)) == 0.0


def test_a_picture_changes_what_sees_it_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = tiny.flamingo()
    before, after = exact.unattended(model, tiny.ids(1, 8), PHI, tiny.frames(3))
    others, own = exact.only_its_own(model, PHI, tiny.frames(3))
    assert (before, others) == (0.0, 0.0)
    assert min(after, own) > 0


def test_a_model_that_sees_all_earlier_pictures_is_found_out() -> None:
    torch.manual_seed(0)
    model = tiny.flamingo()
    model.shape = model.shape.model_copy(update={"attend": "all", "attention": "dense"})
    assert exact.only_its_own(model, PHI, tiny.frames(3))[0] > 0


def test_phi_of_the_papers_example() -> None:
    values, text = exact.phi_of_the_paper(Tokenizer.bytes())
    assert values == [0, 1, 2]
    assert text == (
        "<BOS>Cute pics of my pets!<EOC><image>My puppy sitting in the grass.<EOC>"
        "<image> My cat looking very dignified.<EOC><EOS>"
    )


def test_misordered_shards_are_refused_as_a_whole(tmp_path: Path) -> None:
    pack = Pack()
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    some = [page_sample(pack, number) for number in range(48) if number % 4]
    write(right / "interleaved-000000.tar", some, pack)
    shard = exact.misorder(right / "interleaved-000000.tar", wrong / "interleaved-000000.tar")
    found = exact.refused(shard, Run(), Tokenizer.bytes())
    assert found["rejected"] == {"misplaced_image": found["documents"]}
    assert "misplaced_image" in found["training_ends_with"]
    kept = exact.refused(right / "interleaved-000000.tar", Run(), Tokenizer.bytes())
    assert (kept["rejected"], kept["training_ends_with"]) == ({}, "")


# The site and the LM's texts


def some(kind: PageKind, count: int = 300) -> Iterator[Page]:
    return islice(pages(kind, random.Random(0)), count)


def test_no_page_names_what_the_few_shot_task_asks_for() -> None:
    for page in some("naming"):
        shapes = {node.thing.shape for node in page.nodes if isinstance(node, Picture)}
        assert not shapes & set(UNNAMED)
    kinds: tuple[PageKind, ...] = ("story", "naming", "asking")
    texts = [node for kind in kinds for page in some(kind) for node in page.nodes]
    words = {word for text in texts if isinstance(text, str) for word in text.split()}
    assert words.isdisjoint(NEW_NAMES)
    shown = {n.thing.shape for page in some("story") for n in page.nodes if isinstance(n, Picture)}
    assert shown == set(SHAPES)


def test_a_name_stays_with_its_shape_on_a_page_and_changes_from_page_to_page() -> None:
    names = dict[str, set[str]]()
    for page in some("naming"):
        here = dict[str, str]()
        for node, name in zip(page.nodes[::2], page.nodes[1::2], strict=True):
            assert isinstance(node, Picture)
            assert isinstance(name, str)
            assert here.setdefault(node.thing.shape, name) == name
        for shape, name in here.items():
            names.setdefault(shape, set()).add(name)
    assert min(map(len, names.values())) > 20


def test_a_picture_of_a_thing_is_never_the_same_twice_and_the_same_for_equal_dice() -> None:
    dice = random.Random(1)
    files = {encoded(draw(thing, dice)) for thing in THINGS for _ in range(3)}
    assert len(files) == 3 * len(THINGS)
    one, two = (encoded(draw(THINGS[0], random.Random(2))) for _ in range(2))
    assert one == two


def test_texts_of_the_lm_have_a_word_for_everything() -> None:
    dice = random.Random(0)
    shards = (node for page in some("story") for node in page.nodes if isinstance(node, str))
    backend = language.vocabulary(shards)
    for kind in language.KINDS:
        for _ in range(50):
            assert language.UNKNOWN not in backend.encode(kind(dice)).tokens
    assert [backend.decode([i]) for i in backend.encode("<image>").ids] == ["<", "image", ">"]


def test_settling_the_lm_changes_its_scale_alone() -> None:
    torch.manual_seed(0)
    lm = tiny.language("llama")
    with torch.no_grad():
        for weight in lm.parameters():
            weight.mul_(5 if weight.ndim > 1 else 1)
        ids = tiny.ids(2, 8)
        before = lm(input_ids=ids).logits
        language.settle(lm, 0.02)
        assert lm.get_input_embeddings().weight.std().item() == pytest.approx(0.02, rel=1e-4)
        torch.testing.assert_close(lm(input_ids=ids).logits, before, rtol=0.02, atol=0.02)


def test_misordered_pictures_are_none_where_they_were() -> None:
    for count in range(2, 6):
        for seed in range(20):
            found = runs.shifted(list(range(count)), random.Random(seed))
            assert sorted(found) == list(range(count))
            assert all(place != picture for place, picture in enumerate(found))


def test_exchanged_captions_all_differ() -> None:
    texts = [random.Random(i).choice("abc") for i in range(60)]
    assert all(texts[other] != text for other, text in zip(exchanged(texts), texts, strict=True))


@pytest.mark.slow
def test_the_site_passes_our_own_pipeline_whole(tmp_path: Path) -> None:
    counts: dict[PageKind, int] = {"gallery": 1, "story": 2, "naming": 2, "asking": 2, "film": 1}
    finished = site.shards(tmp_path, 5, counts, workers=1)
    rows = [json.loads(line) for line in (finished / "manifest.jsonl").read_text().splitlines()]
    documents = {row["path"].partition("-")[0]: row["documents"] for row in rows if "path" in row}
    assert documents.pop("image_text") >= 9  # a text that a page has three times is no caption
    assert documents == {"interleaved": 6, "video_text": 1}


# The report


def test_the_report_has_every_seed_of_every_figure() -> None:
    resumes = [{"seed": s, "rows_identical": True, "weights_identical": True} for s in range(3)]
    found = report.summary(RUNS, resumes)
    assert found["image_use"]["real"] == {"median": 0.6, "spread": 0.2, "seeds": [0.5, 0.6, 0.7]}
    assert found["resume_identical"]["median"] == 1.0
    assert set(found["ablations"]) == set(report.PAPER)
    for picture in report.pictures(RUNS).values():
        assert picture.startswith("<svg")


def statistics(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every {median, spread, seeds} in a report."""
    if isinstance(value, dict):
        if {"median", "spread", "seeds"} <= value.keys():
            yield value
        for inner in value.values():
            yield from statistics(inner)


@pytest.fixture(scope="module")
def proved() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(REPORT.read_text(encoding="utf-8"))
    return found


def test_published_figures_are_medians_and_spreads_of_all_seeds(proved: dict[str, Any]) -> None:
    seeds = len(proved["settings"]["seeds"])
    assert seeds >= 3
    assert {"real", "shuffled", "swap_followed"} <= proved["image_use"].keys()
    assert set(proved["few_shot"]) == {str(shots) for shots in SHOTS}
    assert set(proved["ablations"]) == set(report.PAPER)
    assert {"command", "machine", "date", "misordered", "last_image"} <= proved.keys()
    found = list(statistics(proved))
    assert len(found) > 50
    for one in found:
        assert len(one["seeds"]) == seeds
        assert {k: v for k, v in report.statistic(one["seeds"]).items() if k != "seeds"} == {
            "median": one["median"],
            "spread": one["spread"],
        }


def test_the_page_says_what_the_report_says(proved: dict[str, Any]) -> None:
    page = REPORT.with_name("trainer.md").read_text(encoding="utf-8")
    assert page == report.into(page, proved)
    for name in ("proof_images.svg", "proof_shots.svg"):
        assert f"images/{name}" in page
        assert (REPORT.parent / "images" / name).is_file()


def test_published_figures_show_what_the_proof_claims(proved: dict[str, Any]) -> None:
    use, shots = proved["image_use"], proved["few_shot"]
    assert use["real"]["median"] > 0.85
    assert max(use["shuffled"]["median"], use["text_only"]["median"]) < 0.15
    assert use["swap_followed"]["median"] > 0.85
    gain = {n: shots[n]["median"] - shots["0"]["median"] for n in ("4", "8")}
    assert min(gain.values()) > 0.2
    alone = proved["pairs_only_few_shot"]["by_shots"]
    assert alone["8"]["median"] - alone["0"]["median"] < gain["8"] / 2
    assert proved["rices"]["median"] > proved["rices"]["random_shots"]["median"]
    assert proved["last_image"]["right"]["median"] > 0.8
    assert proved["resume_identical"]["seeds"] == [1.0] * len(proved["settings"]["seeds"])
    exactly = proved["exact"]
    assert exactly["gates_at_zero"] == 0.0
    assert exactly["phi_of_the_paper"]["phi"] == [0, 1, 2]
    assert exactly["changed_picture"]["logits_before_it"] == 0.0
    assert exactly["changed_picture"]["added_to_tokens_of_others"] == 0.0
    refused = exactly["misordered_on_disk"]
    assert refused["rejected"]["misplaced_image"] > 0.9 * refused["documents"]
