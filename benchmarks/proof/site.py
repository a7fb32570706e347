"""The proof's crawl and its shards: pages as saved HTML with their pictures, then `m3w build`.

Two sites from two seeds: what is learnt from, and what is held out. Every number below is part of the
proof's settings; equal settings give equal bytes, so a finished folder is used again.
"""

import html
import random
import subprocess
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from rich.console import Console

from benchmarks.proof.drawings import SIDE, draw, encoded
from benchmarks.proof.pages import Clip, Page, PageKind, Picture, pages
from m3w_builder.config import parse
from pipelines.build import Build, build

# Pages of each kind. A gallery has twelve pictures, a naming page five, a film one clip.
LEARNT: Mapping[PageKind, int] = {
    "gallery": 200,
    "story": 250,
    "naming": 700,
    "asking": 350,
    "film": 120,
}
HELD_OUT: Mapping[PageKind, int] = {"gallery": 40, "asking": 150, "film": 60}

# Rules that are meant for the web would refuse nearly all of it: one-word texts, 60 alternative texts
# for thousands of pictures of 64 pixels, drawings that look alike.
CONFIG = {
    "fetch": {"network": False, "safety": "off"},
    "rules": {
        "text_rules": False,
        "languages": [],
        "min_alt_unigrams": 1,
        "min_image_side": SIDE,
        "min_pair_side": 0,
    },
    "corpus": {"max_images_per_text": 0},
    "dedup": {"min_jaccard": 1.0, "min_joint_jaccard": 1.0, "image_distance": 0},
    "write": {"shard_bytes": 2**21, "title": "Drawn shapes"},
}


def shards(folder: Path, seed: int, counts: Mapping[PageKind, int], workers: int = 2) -> Path:
    """Returns the folder of finished shards of a site; builds what is not there yet."""
    finished = folder / "shards"
    if not (finished / "manifest.jsonl").exists():
        write(folder / "site", seed, counts)
        build(
            Build(
                inputs=[str(folder / "site")],
                output=finished,
                config=parse(dict(CONFIG), "benchmarks/proof"),
                work=folder / "work",
                beam_args=[f"--workers={workers}"],
            ),
            Console(stderr=True),
        )
    return finished


def write(folder: Path, seed: int, counts: Mapping[PageKind, int]) -> None:
    """Writes a site: for each page its HTML file, its pictures and clips beside it."""
    for kind, count in counts.items():
        rng = random.Random(f"{seed}/{kind}")
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(islice(pages(kind, rng), count)):
            lines = list(_shown(page, folder, f"{kind}/{number:05}", rng))
            title = f"<title>{kind} {number}</title>"
            text = f"<!DOCTYPE html><html lang=en><head>{title}</head><body><main>\n"
            body = text + "\n".join(lines) + "\n</main></body></html>\n"
            (folder / f"{kind}/{number:05}.html").write_text(body, encoding="utf-8")


def _shown(page: Page, folder: Path, name: str, rng: random.Random) -> Iterator[str]:
    for place, node in enumerate(page.nodes):
        file = f"{name}-{place}"
        source = file.rpartition("/")[2]
        if isinstance(node, str):
            yield f"<p>{html.escape(node)}</p>"
        elif isinstance(node, Picture):
            (folder / f"{file}.jpg").write_bytes(encoded(draw(node.thing, rng)))
            alt = f' alt="{html.escape(node.alt)}"' if node.alt else ""
            yield f'<p><img src="{source}.jpg"{alt} width="{SIDE}" height="{SIDE}"></p>'
        else:
            film(folder / f"{file}.mp4", node, rng)
            words = html.escape(node.caption)
            yield f'<video controls src="{source}.mp4" title="{words}"></video>'


def film(path: Path, clip: Clip, rng: random.Random) -> None:
    """Writes a clip of one second a thing, in H.264: each second is a drawing of its own."""
    frames = np.stack([np.asarray(draw(thing, rng)) for thing in clip.things])
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", "1", "-i", "-"),
        *("-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", "-bitexact", str(path)),
    ]
    subprocess.run(command, input=frames.tobytes(), check=True)
