"""How well each image fits its text: cosine similarities by CLIP, over finished image-text shards.

    pip install open_clip_torch
    python examples/clip_alignment.py SHARD... --weights FILE [--model ViT-B-32] > alignment.jsonl

One line per pair: {"id": ..., "sha256": ..., "clip": ...}. The weights are yours: no package ships any.
"""

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from m3w_builder.errors import ConfigError, M3WError
from m3w_builder.samples import pair_text
from m3w_builder.shards import open_index

Similarity = Callable[[Image.Image, str], float]


def clip(model: str, weights: Path) -> Similarity:
    """Returns the similarity (-1 to 1) of an image and a text; raises ConfigError without CLIP."""
    try:
        import open_clip
        import torch
    except ImportError as error:
        raise ConfigError(f"expected open_clip: pip install open_clip_torch ({error})") from error
    if not weights.is_file():
        raise ConfigError(f"{weights}: expected a file with the weights of {model}")
    network, _, prepare = open_clip.create_model_and_transforms(model, pretrained=str(weights))
    tokens = open_clip.get_tokenizer(model)
    network.eval()

    @torch.no_grad()
    def similarity(image: Image.Image, text: str) -> float:
        one = network.encode_image(prepare(image.convert("RGB"))[None], normalize=True)
        other = network.encode_text(tokens([text]), normalize=True)
        return float((one * other).sum())

    return similarity


def aligned(shard: Path, similarity: Similarity) -> Iterator[dict[str, Any]]:
    """Yields a row for each image-text pair of a shard; other samples have none."""
    with open_index(shard) as index:
        for key in index:
            record = index.record(key)
            if record["kind"] != "image_text":
                continue
            parts = index.parts(key)
            text = pair_text(record)
            for name, info in zip(record["images"], record["info"], strict=True):
                if name:
                    image = Image.open(io.BytesIO(parts[name]))
                    row = {"id": key, "sha256": info["sha256"]}
                    yield {**row, "clip": round(similarity(image, text), 4)}


def main() -> None:
    """Prints a row per pair."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("shards", type=Path, nargs="+", metavar="SHARD")
    arguments.add_argument("--weights", type=Path, required=True)
    arguments.add_argument("--model", default="ViT-B-32", help="as open_clip names it")
    options = arguments.parse_args()
    try:
        similarity = clip(options.model, options.weights)
        for shard in options.shards:
            for row in aligned(shard, similarity):
                print(json.dumps(row))
    except M3WError as error:
        sys.exit(f"clip_alignment: {error}")


if __name__ == "__main__":
    main()
