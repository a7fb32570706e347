"""Generation against the plain way of doing it: every token from a full pass over all before it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import tiny  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import GenerationConfig  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.flamingo.generate import Prompt, generate, likelihood, nucleus  # noqa: E402
from m3w_builder.flamingo.model import Flamingo  # noqa: E402

TOKENIZER = Tokenizer.bytes()
ENDS = (TOKENIZER.eoc, TOKENIZER.eos)
ALL = tiny.BRIDGE.model_copy(update={"attend": "all"})


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> Flamingo:
    return tiny.flamingo()


def prompt(model: Flamingo, text: str = "ab", images: int = 2, seed: int = 0) -> Prompt:
    """Returns <BOS>, then for each image its tag and the text, as few-shot prompts are laid out."""
    with torch.no_grad():
        media = model.see(tiny.frames(images, seed), [1] * images)
    ids, phi = [TOKENIZER.bos], [0]
    for number in range(1, images + 1):
        part = [*TOKENIZER.tag, *TOKENIZER.encode(text)]
        ids += part
        phi += [number] * len(part)
    return Prompt(ids, phi, media)


@torch.no_grad()
def after(model: Flamingo, asked: Prompt, words: Sequence[int]) -> Tensor:
    """Returns the log-probabilities [n + 1, V] of what follows each of the words, in one full pass."""
    ids = torch.tensor([[*asked.ids, *words]])
    phi = torch.tensor([[*asked.phi, *[asked.phi[-1]] * len(words)]])
    return model(ids, phi, asked.media)[0, len(asked.ids) - 1 :].log_softmax(-1)


def greedy(model: Flamingo, asked: Prompt, limit: int) -> str:
    """Returns the likeliest token after the likeliest token, without any cache."""
    words = list[int]()
    while len(words) < limit:
        scores = after(model, asked, words)[-1]
        scores[TOKENIZER.bos] = -torch.inf
        word = int(scores.argmax())
        if word in ENDS:
            break
        words.append(word)
    return TOKENIZER.decode(words)


class Steered(nn.Module):
    """An output embedding that prefers some tokens: by so much more their logits are."""

    def __init__(self, head: nn.Module, more: Tensor) -> None:
        super().__init__()
        self.head, self.more, self.weight = head, more, head.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x) + self.more


def steered(model: Flamingo, more: Mapping[int, float]) -> Flamingo:
    """Returns the model with an LM whose logits of some tokens are more by so much."""
    row = torch.zeros(TOKENIZER.eoc + 1)
    row[list(more)] = torch.tensor(list(more.values()))
    model.lm.set_output_embeddings(Steered(model.lm.get_output_embeddings(), row))
    return model


def preferring(model: Flamingo, *tokens: int) -> Flamingo:
    """Returns the model with an LM that says the first token always, the next one where it must not."""
    return steered(model, {token: 1000.0 - 100 * place for place, token in enumerate(tokens)})


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_kept_keys_give_the_text_of_full_passes(name: str) -> None:
    model = tiny.flamingo(name)
    asked = prompt(model)
    assert generate(model, TOKENIZER, [asked], limit=12) == [greedy(model, asked, 12)]


def test_text_that_follows_sees_all_images_where_the_prompt_does() -> None:
    model = tiny.flamingo(shape=ALL)
    asked = prompt(model, images=3)
    assert generate(model, TOKENIZER, [asked], limit=12) == [greedy(model, asked, 12)]
    words = TOKENIZER.encode("xyz")
    (found,) = likelihood(model, asked, [words])
    assert found == pytest.approx(total(model, asked, words), abs=1e-4)


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_padding_on_the_left_changes_no_text(name: str) -> None:
    model = tiny.flamingo(name)
    asked = [
        prompt(model, "a", 1, seed=1),
        prompt(model, "a long question", 3, seed=2),
        prompt(model, "ab", 2, seed=3),
    ]
    alone = [generate(model, TOKENIZER, [one], limit=10)[0] for one in asked]
    assert generate(model, TOKENIZER, asked, limit=10) == alone


def test_image_decides_what_is_generated(model: Flamingo) -> None:
    texts = {generate(model, TOKENIZER, [prompt(model, seed=s)], limit=12)[0] for s in range(4)}
    assert len(texts) > 1


def total(model: Flamingo, asked: Prompt, words: Sequence[int]) -> float:
    """Returns the log-probability of the words after the prompt, by one full pass."""
    scores = after(model, asked, words)
    return float(sum(scores[i, word] for i, word in enumerate(words)))


def likely(model: Flamingo, asked: Prompt, text: str, limit: int) -> float:
    """Returns the log-probability of a generated text, of its end too where it has one."""
    words = TOKENIZER.encode(text)
    ends = total(model, asked, words)
    if len(words) < limit:
        ends += float(after(model, asked, words)[-1, list(ENDS)].max())
    return ends


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3"])
def test_beams_find_a_text_that_is_at_least_as_likely_as_the_greedy_one(name: str) -> None:
    letters = [i for i in range(TOKENIZER.size) if TOKENIZER.encode(TOKENIZER.decode([i])) == [i]]
    model = steered(tiny.flamingo(name), dict.fromkeys((*letters, TOKENIZER.eoc), 100.0))
    gains = list[float]()
    for seed in range(6):
        asked = prompt(model, seed=seed)
        one, three = (
            generate(model, TOKENIZER, [asked], beams=beams, limit=4)[0] for beams in (1, 3)
        )
        gains.append(likely(model, asked, three, 4) - likely(model, asked, one, 4))
    assert min(gains) > -1e-4
    assert max(gains) > 1e-4


def test_beams_of_a_batch_are_those_of_each_prompt(model: Flamingo) -> None:
    asked = [prompt(model, "a", 1, seed=1), prompt(model, "abcdef", 3, seed=2)]
    alone = [generate(model, TOKENIZER, [one], beams=3, limit=8)[0] for one in asked]
    assert generate(model, TOKENIZER, asked, beams=3, limit=8) == alone


def test_nucleus_follows_the_seed_whatever_the_neighbours(model: Flamingo) -> None:
    asked = [prompt(model, "a", 1, seed=1), prompt(model, "abcdef", 3, seed=2)]

    def drawn(prompts: Sequence[Prompt], *seeds: int) -> list[str]:
        return generate(model, TOKENIZER, prompts, top_p=0.9, limit=8, seeds=seeds)

    first, second = drawn(asked, 5, 6)
    assert drawn(asked[::-1], 6, 5) == [second, first]
    assert drawn(asked[:1], 5) == [first]
    assert len({drawn(asked[:1], seed)[0] for seed in range(8)}) > 4


@given(
    logits=st.lists(st.floats(-5, 5), min_size=2, max_size=8),
    top_p=st.floats(0.01, 1.0),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_nucleus_draws_from_the_fewest_that_have_the_mass(
    logits: list[float], top_p: float, draw: float
) -> None:
    scores, draws = torch.tensor([logits]), torch.tensor([draw], dtype=torch.float64)
    token = int(nucleus(scores, top_p, draws)[0])
    likelier = scores.double().softmax(-1)[0][scores[0] > scores[0, token]]
    assert float(likelier.sum()) < top_p + 1e-9
    assert int(nucleus(scores, 1e-9, draws)[0]) == int(scores[0].argmax())


def test_nucleus_draws_as_often_as_is_likely() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(10_000, -1)
    draws = torch.arange(10_000, dtype=torch.float64) / 10_000
    counts = nucleus(logits, 0.9, draws).bincount(minlength=4) / 10_000
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.3, 0.15, 0]) / 0.95, atol=1e-3, rtol=0)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("options", [{}, {"beams": 3}, {"top_p": 0.9}])
def test_text_ends_before_end_of_chunk(end: int, options: dict[str, Any]) -> None:
    model = preferring(tiny.flamingo(), end)
    assert generate(model, TOKENIZER, [prompt(model)], limit=5, **options) == [""]


@pytest.mark.parametrize("options", [{}, {"beams": 3}, {"top_p": 0.9}])
def test_a_document_is_never_opened_in_the_middle(options: dict[str, Any]) -> None:
    letter = TOKENIZER.encode("x")[0]
    model = preferring(tiny.flamingo(), TOKENIZER.bos, letter)
    assert generate(model, TOKENIZER, [prompt(model)], limit=5, **options) == ["xxxxx"]


def test_at_least_and_at_most_so_many_tokens() -> None:
    letter = TOKENIZER.encode("x")[0]
    model = preferring(tiny.flamingo(), TOKENIZER.eoc, TOKENIZER.eos, letter)
    assert generate(model, TOKENIZER, [prompt(model)], least=3, limit=9) == ["xxx"]


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_text_ends_where_the_context_of_the_lm_does(name: str) -> None:
    model = preferring(tiny.flamingo(name), TOKENIZER.encode("x")[0])
    asked = prompt(model, "x" * 25, 2)  # 65 of 96 tokens
    assert generate(model, TOKENIZER, [asked], limit=64) == ["x" * (96 - len(asked.ids))]
    with pytest.raises(TrainError, match="expected fewer than 96 tokens, found 97"):
        generate(model, TOKENIZER, [prompt(model, "x" * 41, 2)], limit=1)


def test_habits_of_the_lm_are_not_taken_over() -> None:
    letter = TOKENIZER.encode("x")[0]
    lm = tiny.language()
    lm.generation_config = GenerationConfig(
        no_repeat_ngram_size=1, max_length=3, do_sample=True, num_beams=2
    )
    model = preferring(Flamingo(lm, tiny.Cells(), tiny.BRIDGE), letter)
    assert generate(model, TOKENIZER, [prompt(model)], limit=5) == ["xxxxx"]


# Likelihood


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_likelihood_is_that_of_a_full_pass(name: str) -> None:
    model = tiny.flamingo(name)
    asked = prompt(model)
    words = [TOKENIZER.encode(text) for text in ("a", "b", "a cat", "a long name of a thing")]
    words.append([TOKENIZER.encode("a")[0], TOKENIZER.eoc])
    words.append(tiny.ids(len(asked.ids) + 1).tolist())  # a pass as long as the prompt's
    found = likelihood(model, asked, words)
    assert found == pytest.approx([total(model, asked, one) for one in words], abs=1e-4)


def test_likelihoods_of_one_token_are_a_distribution(model: Flamingo) -> None:
    asked = prompt(model)
    every = likelihood(model, asked, [[token] for token in range(TOKENIZER.eoc + 1)])
    assert float(torch.tensor(every).exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_many_candidates_are_scored_as_few_are(model: Flamingo) -> None:
    asked = prompt(model)
    words = [TOKENIZER.encode(f"class {number}") for number in range(150)]
    found = likelihood(model, asked, words)
    assert found[::37] == pytest.approx(likelihood(model, asked, words[::37]), abs=1e-4)


def test_empty_candidate_is_an_error(model: Flamingo) -> None:
    with pytest.raises(TrainError, match="expected at least one token"):
        likelihood(model, prompt(model), [[1], []])


def test_prompt_that_looks_past_its_media_is_refused(model: Flamingo) -> None:
    with pytest.raises(AssertionError):
        Prompt([1], [1], prompt(model).media[:0])
