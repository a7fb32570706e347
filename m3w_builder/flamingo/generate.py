"""Text from a trained model: greedy, up to <EOC>.

The media are seen and resampled once; the text is run again for every token, which is fine for a
caption of a small model and nothing more.
"""

import torch
from torch import Tensor

from m3w_builder.flamingo.images import load
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.tokens import BOS, EOC, EOS, PAD, TAG, decode

NEVER = (BOS, PAD)  # tokens that no text contains


@torch.no_grad()
def generate(
    model: Flamingo, ids: list[int], phi: list[int], media: Tensor, *, limit: int = 64
) -> list[int]:
    """Returns at most `limit` tokens after a prompt, without the <EOC> or <EOS> that ends them.

    New text looks at the prompt's last image.
    """
    new: list[int] = []
    limit = min(limit, model.lm.places.num_embeddings - len(ids))
    while len(new) < limit:
        row = torch.tensor([ids + new])
        looks = torch.tensor([phi + [phi[-1]] * len(new)])
        logits = model(row, looks, media)[0, -1]
        logits[list(NEVER)] = -torch.inf
        token = int(logits.argmax())
        if token in (EOC, EOS):
            break
        new.append(token)
    return new


def caption(model: Flamingo, image: bytes, size: int, *, limit: int = 64) -> str:
    """Returns the model's text for one encoded image; raises MediaError if it is not one."""
    frames = torch.from_numpy(load(image, size))[None]
    ids = [BOS, *TAG]
    with torch.no_grad():
        media = model.see(frames, [1])
    return decode(generate(model, ids, [1] * len(ids), media, limit=limit)).strip()
