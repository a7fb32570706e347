"""Our own Flamingo as captioner and matcher: from a checkpoint folder, drawn by seeds, likelier where it fits."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from flamingo_runs import small  # noqa: E402
from PIL import Image  # noqa: E402

from m3w_builder.capfilt.plugins import Settings, captions, matches, models, plugin  # noqa: E402
from m3w_builder.config import parse  # noqa: E402
from m3w_builder.errors import ConfigError  # noqa: E402
from m3w_builder.flamingo import checkpoint, vision  # noqa: E402
from m3w_builder.flamingo import lm as language  # noqa: E402
from m3w_builder.flamingo.checkpoint import Frozen  # noqa: E402
from m3w_builder.flamingo.data.images import fit as fitted  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.flamingo.generate import nucleus  # noqa: E402
from m3w_builder.flamingo.model import Flamingo  # noqa: E402

NAME = "m3w_builder.flamingo.capfilt"
SETTINGS = Settings(
    captions=2, top_p=0.9, temperature=1.0, prompt="a ", min_length=8, max_length=16
)
RED, BLUE = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (30, 40), "blue")


RUN = small()
TOKENS = Tokenizer.bytes()
HEAD = [TOKENS.bos, *TOKENS.tag]


def fresh() -> tuple[Frozen, Flamingo]:
    """Returns small parts that speak bytes, and the model of them."""
    lm = language.builtin(RUN.lm, TOKENS.size)
    parts = Frozen(language.frozen(lm), TOKENS, vision.load(RUN.vision))
    return parts, Flamingo(parts.lm, parts.vision, RUN.model)


def written(folder: Path, learn: Callable[[Flamingo], None] = lambda _: None) -> Path:
    """Returns the folder of a run whose model has been taught by `learn`."""
    parts, model = fresh()
    vision.save(folder / checkpoint.VISION, parts.vision, RUN.vision)
    learn(model)
    # The LM's own modules again, without the bridges around them, for its own folder.
    lm = language.builtin(RUN.lm, TOKENS.size)
    bare = {n.replace(".known", ""): w for n, w in model.lm.state_dict().items()}
    lm.load_state_dict(bare)
    language.save(folder / checkpoint.LM, lm, TOKENS)
    prints = Frozen(lm, TOKENS, parts.vision).fingerprints()
    checkpoint.save(folder, dict(model.trained()), RUN, prints)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run that has learnt two captions: of red and of blue."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("runs") / "a run", _learn)


def _learn(model: Flamingo) -> None:
    model.lm.requires_grad_(True)  # for a test in seconds, all of it learns
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    pixels = [fitted(image, RUN.vision.image) for image in (RED, BLUE)]
    frames = torch.stack([torch.from_numpy(picture) for picture in pixels])
    rows = [[*HEAD, *TOKENS.encode(text), TOKENS.eoc] for text in ("a red rose", "a blue sea")]
    ids = torch.tensor(rows)
    phi = torch.tensor([[1], [2]]).expand_as(ids)
    for _ in range(150):
        logits = model(ids, phi, model.see(frames, [1, 1]))
        loss = torch.nn.functional.cross_entropy(
            logits[:, len(HEAD) - 1 : -1].flatten(0, 1), ids[:, len(HEAD) :].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    model.lm.requires_grad_(False)


def made(run: Path, name: str, arguments: str = ""):
    verb = "caption" if name == "Captioner" else "match"
    found = plugin(f"{NAME}:{name}?checkpoint={quote(str(run))}{arguments}", verb)
    found.load()
    return found


def test_captions_are_what_was_learnt_without_the_prompt(run: Path) -> None:
    captioner = made(run, "Captioner")
    settings = replace(SETTINGS, top_p=1e-9)
    assert captions(captioner, [BLUE, RED], settings, [1, 2]) == [
        ["blue sea"] * 2,
        ["red rose"] * 2,
    ]


def test_draws_are_of_the_seed_and_not_of_the_batch(run: Path) -> None:
    captioner = made(run, "Captioner")
    wild = replace(SETTINGS, top_p=1.0, temperature=3.0)
    both = captions(captioner, [RED, BLUE], wild, [1, 2])
    assert [captions(captioner, [i], wild, [s])[0] for i, s in ((RED, 1), (BLUE, 2))] == both
    (other,) = captions(captioner, [RED], wild, [3])
    assert len({*both[0], *other}) == 4  # each caption of an image is drawn anew


def test_caption_has_at_least_and_at_most_so_many_bytes(run: Path) -> None:
    captioner = made(run, "Captioner")
    settings = replace(SETTINGS, min_length=12, max_length=12, top_p=0.5, captions=1)
    ((text,),) = captions(captioner, [RED], settings, [1])
    assert text.startswith("red rose")
    assert 8 < len(text.encode()) <= 12
    long = replace(settings, min_length=0, max_length=4)
    assert captions(captioner, [RED], long, [1]) == [["red"]]  # four bytes, "red "


def test_caption_longer_than_the_context_is_cut(run: Path) -> None:
    captioner = made(run, "Captioner")
    settings = replace(SETTINGS, min_length=800, max_length=800, captions=1)
    ((text,),) = captions(captioner, [RED], settings, [1])
    assert len(text) <= RUN.lm.context


@pytest.mark.parametrize("relative", ["", "&relative=yes"])
def test_text_scores_higher_with_its_own_image(run: Path, relative: str) -> None:
    matcher = made(run, "Matcher", relative)
    fit, misfit, other, wrong = matches(
        matcher,
        [RED, RED, BLUE, BLUE],
        ["a red rose", "a blue sea", "a blue sea", "a red rose"],
    )
    assert fit > misfit
    assert other > wrong


def test_score_is_the_mean_log_likelihood_and_not_a_matter_of_the_batch(run: Path) -> None:
    matcher = made(run, "Matcher")
    texts = ["a red rose", "a", "a text that is much longer than the others are" * 3, "x" * 900]
    together = matches(matcher, [RED] * 4, texts)
    alone = [matches(matcher, [RED], [text])[0] for text in texts]
    assert together == pytest.approx(alone, abs=1e-5)
    assert all(score <= 0 for score in together)
    model, tokenizer, _ = checkpoint.load(run)
    ids = torch.tensor([[*HEAD, *tokenizer.encode("a red rose"), tokenizer.eoc]])
    frames = torch.from_numpy(fitted(RED, RUN.vision.image))[None]
    with torch.no_grad():
        logits = model(ids, torch.ones_like(ids), model.see(frames, [1]))
    head = len(HEAD)
    expected = -torch.nn.functional.cross_entropy(logits[0, head - 1 : -1], ids[0, head:])
    assert together[0] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_gpu_says_what_the_cpu_says(run: Path) -> None:
    pairs = [RED, BLUE], ["a red rose", "a red rose"]
    here, there = (made(run, "Matcher", f"&device={device}") for device in ("cpu", "cuda"))
    assert matches(there, *pairs) == pytest.approx(matches(here, *pairs), abs=1e-3)
    there = made(run, "Captioner", "&device=cuda")
    settings = replace(SETTINGS, top_p=1e-9, captions=1)
    assert captions(there, [BLUE, RED], settings, [1, 2]) == [["blue sea"], ["red rose"]]


def test_nucleus_draws_from_the_likeliest_alone_in_proportion() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    draws = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000

    def drawn(top_p: float) -> dict[int, int]:
        return dict(Counter(nucleus(logits.expand(1000, -1), top_p, draws).tolist()))

    assert drawn(1.0) == {0: 500, 1: 300, 2: 150, 3: 50}
    assert drawn(0.9) == {0: 526, 1: 316, 2: 158}
    assert drawn(0.5) == {0: 1000}
    assert drawn(0.51) == {0: 625, 1: 375}


def test_one_checkpoint_for_both_is_warned_about(run: Path, tmp_path: Path) -> None:
    def warnings(captioner: Path, matcher: Path) -> int:
        one, other = (quote(str(folder)) for folder in (captioner, matcher))
        table = {
            "captioner": f"{NAME}:Captioner?checkpoint={one}",
            "matcher": f"{NAME}:Matcher?checkpoint={other}&relative=yes",
        }
        return len(models(parse({"capfilt": table}).capfilt).warnings())

    torch.manual_seed(1)
    written(tmp_path / "two")
    assert warnings(run, run) == 1
    assert warnings(run, tmp_path / "two") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("&relative=1", "relative: expected yes or no, found 1"),
        ("&speed=5", "expected arguments among: checkpoint, device, relative; "),
        ("&device=abacus", "capfilt: "),
    ],
)
def test_wrong_argument_is_one_line(run: Path, arguments: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        made(run, "Matcher", arguments)
    assert "\n" not in str(caught.value)


def test_folder_without_a_run_is_one_line_before_any_work(tmp_path: Path, run: Path) -> None:
    with pytest.raises(ConfigError, match="expected the folder of a finished training run"):
        plugin(f"{NAME}:Captioner?checkpoint={quote(str(tmp_path))}", "caption")
    with pytest.raises(ConfigError, match="expected arguments among: checkpoint, device"):
        plugin(f"{NAME}:Captioner", "caption")
    broken = tmp_path / "broken"
    for file in run.rglob("*.*"):
        (broken / file.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
        (broken / file.relative_to(run)).write_bytes(file.read_bytes()[:-3])
    found = plugin(f"{NAME}:Captioner?checkpoint={quote(str(broken))}", "caption")
    with pytest.raises(ConfigError, match="expected a finished training run"):
        found.load()
