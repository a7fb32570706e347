"""What holds exactly, at every size: the first proof, on the proof's own frozen parts.

Also tests (tests/test_train_proof.py): each function returns the largest difference found, or whether it holds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from m3w_builder.flamingo.config import Examples
from m3w_builder.flamingo.data import examples
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.model import Flamingo

# F1 Fig. 6 / F2 Fig. 7.
PETS = {
    "id": "pets",
    "kind": "interleaved",
    "texts": [
        "Cute pics of my pets!",
        None,
        "My puppy sitting in the grass.",
        None,
        " My cat looking very dignified.",
    ],
    "images": [None, "000.jpg", None, "001.jpg", None],
}


@torch.no_grad()
def gates_at_zero(model: Flamingo, ids: Tensor, phi: Tensor, frames: Tensor) -> float:
    """Returns the largest difference between the logits of a fresh model and of its bare LM."""
    logits = model(ids, phi, model.see(frames, [1] * len(frames)))
    return (logits[..., :-1] - model.lm(input_ids=ids).logits[..., :-1]).abs().max().item()


@torch.no_grad()
def unattended(model: Flamingo, ids: Tensor, phi: Tensor, frames: Tensor) -> tuple[float, float]:
    """Returns the largest change of the tokens before the last picture, and of those that see it.

    All but the last picture stay. Tokens before it neither see it nor come after one that does.
    """
    other = frames.clone()
    other[-1] = 255 - other[-1]
    times = [1] * len(frames)
    change = (
        model(ids, phi, model.see(frames, times)) - model(ids, phi, model.see(other, times))
    ).abs()
    seeing = phi == len(frames)
    return change[~seeing].max().item(), change[seeing].max().item()


@torch.no_grad()
def only_its_own(model: Flamingo, phi: Tensor, frames: Tensor) -> float:
    """Returns the largest change of what a bridge adds to tokens whose picture stays, if others change.

    The bridges are asked directly: no self-attention carries anything between tokens.
    """
    worst = 0.0
    times = [1] * len(frames)
    seen = model.see(frames, times)
    for number in range(len(frames)):
        other = frames.clone()
        other[number] = 255 - other[number]
        changed = model.see(other, times)
        for bridge in model.bridges:
            y = torch.randn(*phi.shape, model.eoc_in.shape[0])
            difference = _added(model, bridge, y, phi, seen) - _added(
                model, bridge, y, phi, changed
            )
            worst = max(worst, difference[phi != number + 1].abs().max().item())
    return worst


def _added(
    model: Flamingo, bridge: torch.nn.Module, y: Tensor, phi: Tensor, media: Tensor
) -> Tensor:
    from m3w_builder.flamingo.model import Sight

    looking = Sight(media, phi, model.shape).looking(*phi.shape)
    added: Tensor = bridge(y, media, looking)
    return added


def phi_of_the_paper(tokenizer: Tokenizer) -> tuple[Sequence[int], str]:
    """Returns phi of the paper's example, run by run, and the text it is of."""
    choices = Examples(next_probability=0.0)
    made = examples.example(PETS, choices, tokenizer, examples.draws(0, 0, "pets"))
    runs = [made.phi[0]]
    runs += [b for a, b in zip(made.phi, made.phi[1:], strict=False) if a != b]
    return runs, tokenizer.spell(made.ids)
