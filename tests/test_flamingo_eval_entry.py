"""`m3w eval` on a real, tiny run: results with their settings, shots that matter, one-line errors."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("pycocoevalcap", reason="the extra `eval` is not installed")

from fakes import dataset, jpeg  # noqa: E402

from m3w_builder.cli.evaluate import register  # noqa: E402
from m3w_builder.errors import ConfigError, InputError, TrainError  # noqa: E402
from m3w_builder.flamingo import entry as training  # noqa: E402
from m3w_builder.flamingo.evaluation.cases import Case, Media  # noqa: E402
from m3w_builder.flamingo.evaluation.entry import (  # noqa: E402
    benchmark,
    describe,
    settings,
    template,
    trained,
)
from m3w_builder.flamingo.evaluation.media import frames  # noqa: E402
from m3w_builder.flamingo.evaluation.prompts import lay_out  # noqa: E402
from m3w_builder.flamingo.evaluation.settings import Settings  # noqa: E402
from m3w_builder.flamingo.evaluation.subject import Trained, digest  # noqa: E402
from m3w_builder.flamingo.evaluation.tasks import TASKS  # noqa: E402
from m3w_builder.flamingo.generate import Prompt  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run of one update, with gates that are open enough for pictures to matter."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    shards = dataset(folder / "shards")
    chosen = training.configured(
        str(shards),
        train={"steps": 1, "batch": 2, "threads": 1},
        examples={"length": 128, "pair_length": 64},
        model={"heads": 2, "head": 16, "visual": 32, "visual_layers": 1, "latents": 4},
        lm={"dim": 32, "layers": 2, "heads": 2, "context": 512, "steps": 1, "batch": 2},
        vision={"image": 16, "patch": 8, "dim": 16, "layers": 1, "heads": 2, "steps": 0},
    )
    training.train(chosen, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def subject(run: Path) -> Trained:
    found = trained(run)
    with torch.no_grad():
        for name, weight in found.model.trained():
            if "alpha" in name:
                weight.fill_(0.7)
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Returns a folder of 12 pictures with a caption each."""
    rows = []
    for number in range(12):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg(64, 48, number))
        rows.append({"file_name": f"{number}.jpg", "caption": f"Hill number {number}"})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "photos/captions.jsonl").write_text(lines)
    return tmp_path / "photos"


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Returns a folder of two classes of 4 pictures."""
    for number, name in enumerate(["barn owl", "fox"] * 4):
        (tmp_path / "animals" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "animals" / name / f"{number}.jpg").write_bytes(jpeg(64, 48, number))
    return tmp_path / "animals"


def call(*arguments: object) -> Any:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def prompt(subject: Trained, *pictures: bytes, folder: Path, texts: bool = False) -> Prompt:
    cases = []
    for number, data in enumerate(pictures):
        path = folder / f"{number}.jpg"
        path.write_bytes(data)
        cases.append(Case(str(number), Media(path), (f"Hill {number}",)))
    layout = lay_out("caption", cases[:-1], cases[-1], subject.tokenizer, pictures=not texts)
    seen = subject.see([frames(m, subject.size, subject.colour) for m in layout.media])
    return Prompt(layout.ids, layout.phi, torch.stack(seen))


def test_results_repeat_what_they_hang_on(run: Path, photos: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    chosen = Settings(shots=(0, 2), rices=True, beams=2, limit=6)
    found = benchmark(run, "folder", photos, chosen, rows=rows)
    assert found is not None
    assert found["format"] == "m3w-evaluation/1"
    assert found["task"] == {
        "name": "folder",
        "data": "photos",
        "split": "",
        "form": "caption",
        "metric": "cider",
        "prompt": "Output: {output}",
    }
    assert found["settings"]["shots"] == [0, 2]
    assert found["settings"]["query_cases"] == found["settings"]["support_cases"] == 6
    assert found["settings"]["zero_shot_texts"] == 2
    assert [result["cases"] for result in found["results"]] == [6, 6]
    assert all(result["rejected"] == {} for result in found["results"])
    assert all(len(found["model"][name]) == 64 for name in ("learnt", "encoder"))
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(lines) == 12
    assert all(len(line["shots"]) == 2 for line in lines)
    assert found == benchmark(run, "folder", photos, chosen)
    assert len(list((run / "features").iterdir())) == 2


def test_command_prints_a_line_per_number_of_shots(run: Path, animals: Path) -> None:
    arguments = (run, "--task", "folder", "--data", animals, "--shots", "0,2", "--ensemble", 2)
    found = call(*arguments)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [" 0 shots", " 2 shots"]
    assert all("top1" in line and "4 cases" in line and "agreement" in line for line in lines)
    table = json.loads(call(*arguments, "--json").stdout)
    assert table["settings"]["labels"] == 2
    assert table["results"][1]["answered"]["coverage"] == 100


def test_our_shards_are_evaluated(run: Path) -> None:
    found = benchmark(run, "shards", run.parent / "shards", Settings(shots=(0,), limit=4))
    assert found is not None
    assert found["results"][0]["cases"] == found["settings"]["query_cases"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shots", "0,x"), "--shots: expected numbers with commas, found '0,x'"),
        (("--shots", "-1"), "shots"),
        (("--beams", "0"), "beams"),
        (("--abstain-below", "0.5"), "abstain_below needs ensemble"),
        (("--task", "coco"), "expected dataset_coco.json of the layout of COCO captions"),
        (("--shots", "32"), "expected 32 cases to show before a query, found 6"),
    ],
)
def test_errors_are_one_line(run: Path, photos: Path, arguments: Any, message: str) -> None:
    found = call(run, "--task", "folder", "--data", photos, *arguments)
    assert isinstance(found.exception, ConfigError | InputError)
    assert message in str(found.exception)
    assert "\n" not in str(found.exception)


def test_folder_that_is_no_run_is_one_line(photos: Path) -> None:
    found = call(photos, "--task", "folder", "--data", photos, "--shots", "0")
    assert isinstance(found.exception, TrainError)
    assert "expected a finished training run" in str(found.exception)


def test_template_is_the_papers() -> None:
    assert template(TASKS["vqav2"]) == "Question: {question} Answer: {output}"
    assert template(TASKS["hateful_memes"]) == (
        'is an image with written: "{text}" on it. Is it hateful? Answer: {output}'
    )


def test_likelihood_is_that_of_the_whole_sequence(subject: Trained, tmp_path: Path) -> None:
    model, words = subject.model, subject.tokenizer
    asked = prompt(subject, jpeg(64, 48, 1), jpeg(64, 48, 2), jpeg(64, 48, 3), folder=tmp_path)
    answers = [[*words.encode(text), words.eoc] for text in (" owl", " a red fox", " x")]
    found = subject.likelihood(asked, answers)
    for answer, value in zip(answers, found, strict=True):
        ids = torch.tensor([asked.ids + answer])
        phi = torch.tensor([asked.phi + [asked.phi[-1]] * len(answer)])
        with torch.no_grad():
            logits = model(ids, phi, asked.media)[0].log_softmax(-1)
        start = len(asked.ids)
        direct = sum(float(logits[start + n - 1, token]) for n, token in enumerate(answer))
        assert value == pytest.approx(direct, abs=1e-4)


def test_query_sees_its_picture_whatever_the_shots(subject: Trained, tmp_path: Path) -> None:
    answer = [[*subject.tokenizer.encode(" owl"), subject.tokenizer.eoc]]

    def value(*seeds: int, texts: bool = False) -> float:
        pictures = [jpeg(64, 48, seed) for seed in seeds]
        made = prompt(subject, *pictures, folder=tmp_path, texts=texts)
        return subject.likelihood(made, answer)[0]

    for texts in (False, True):
        assert value(1, 2, 3, texts=texts) != pytest.approx(value(1, 2, 4, texts=texts), abs=1e-5)
    assert value(1, 2, 3) != pytest.approx(value(5, 2, 3), abs=1e-6)  # through the LM
    assert value(1, 2, 3, texts=True) == value(5, 6, 3, texts=True)


def test_prompts_of_different_lengths_do_not_change_each_other(
    subject: Trained, tmp_path: Path
) -> None:
    made = [
        prompt(subject, *(jpeg(64, 48, seed) for seed in range(count)), folder=tmp_path)
        for count in (1, 3, 2)
    ]
    together = subject.generate(made, beams=3, limit=8)
    assert together == [subject.generate([one], beams=3, limit=8)[0] for one in made]


def test_features_are_of_length_one_and_of_videos_too(subject: Trained) -> None:
    media = Media(Path(__file__).parent / "none.jpg")
    assert media.key.endswith("none.jpg")
    pictures = [[frame] * count for count, frame in ((1, _pixels(1)), (4, _pixels(2)))]
    found = subject.pooled(pictures)
    assert found.shape == (2, subject.model.vision.width)
    assert found.norm(dim=-1).tolist() == pytest.approx([1, 1])
    assert torch.allclose(found[1], subject.pooled([[_pixels(2)]])[0], atol=1e-6)


def _pixels(seed: int) -> Any:
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_digest_tells_weights_apart() -> None:
    one = {"a": torch.ones(2), "b": torch.zeros(1, dtype=torch.bfloat16)}
    assert digest(one.items()) == digest(reversed(one.items()))
    assert digest(one.items()) != digest({**one, "a": torch.ones(2) * 2}.items())
    assert digest(one.items()) != digest({**one, "a": torch.ones(2, 1)}.items())


def test_picture_is_described_after_examples(
    subject: Trained, photos: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.jpg"
    new.write_bytes(jpeg(64, 48, 77))
    own = photos / "3.jpg"  # one of the examples: never its own shot
    chosen = Settings(shots=(4,), ensemble=3, limit=6)
    found = describe(subject, [new, own, new], photos, 4, chosen)
    assert [one.image for one in found] == [str(new), str(own), str(new)]
    assert found[0] == found[2]
    assert all(len(one.shots) == 4 for one in found)
    assert "3.jpg" not in found[1].shots
    assert all(one.orders == 3 and one.entropy >= 0 for one in found)
    assert {one.agreement for one in found} <= {1 / 3, 2 / 3, 1.0}
    with pytest.raises(InputError, match="expected 99 other pictures as examples, found 12"):
        describe(subject, [new], photos, 99, chosen)
    new.write_text("no picture")
    with pytest.raises(
        InputError, match=r"new\.jpg: expected a readable image, found not_an_image"
    ):
        describe(subject, [new], photos, 4, chosen)


def test_half_precision_is_evaluated_as_it_was_trained(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = (copy / "config.toml").read_text()
    assert 'precision = "fp32"' in config
    (copy / "config.toml").write_text(config.replace('"fp32"', '"bf16"'))
    half = trained(copy)
    assert next(half.model.lm.parameters()).dtype == torch.bfloat16
    chosen = Settings(shots=(2,), rices=True, limit=4)
    assert describe(half, [photos / "3.jpg"], photos, 2, chosen)[0].agreement == 1
    assert half.digest == trained(run).digest
    assert half.encoder != trained(run).encoder


def test_picture_is_classified_after_examples(
    subject: Trained, animals: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.jpg"
    new.write_bytes(jpeg(64, 48, 77))
    (found,) = describe(subject, [new], animals, 2, Settings(shots=(2,), rices=True, ensemble=2))
    assert found.caption in ("barn owl", "fox")
    assert found.agreement in (0.5, 1.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_settings_name_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="m3w eval: beams"):
        settings(beams=0)
