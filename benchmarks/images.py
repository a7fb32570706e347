"""One image after its download: milliseconds by step, and which copies the hashes find.

    python -m benchmarks.images [--json]             CPU ms per image, beside Pillow and imagehash
    python -m benchmarks.images --copies FOLDER      recall under each change of real images

Speed: pictures with the spectrum of a photograph (amplitude 1/frequency), which compress like one.
CPU time of this process, median of the rounds; everything is timed in the same rounds.

Copies: every JPEG, PNG and GIF below the folder with sides of at least 128 pixels and at most 3:1 is
changed in each way and hashed again. False matches are counted between images of different sub-folders
(one per site), where no picture is a copy of another.
"""

import argparse
import io
import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import mean, median

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from m3w_builder.config import FetchConfig
from m3w_builder.media import StoredImage, measure_image, pixels
from m3w_builder.media.hashes import distance, perceptual_hashes
from m3w_builder.media.kinds import sniffed
from m3w_builder.media.measure import GREY_SIDE, grey_scores
from m3w_builder.media.strip import strip_jpeg

ROUNDS = 60
BITS = 31, 31, 8  # of PDQ, the firm and the short hash: a copy is what differs in no more
BARE, SAFE = FetchConfig(safety="off"), FetchConfig()


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--json", action="store_true", help="one object instead of a table")
    arguments.add_argument("--copies", type=Path, metavar="FOLDER", help="measure recall instead")
    options = arguments.parse_args(argv)
    warnings.simplefilter("ignore")
    if options.copies:
        print_copies(options.copies)
        return
    found = speed()
    if options.json:
        print(json.dumps(found))
        return
    for name, ms in found.items():
        print(f"{name:44} {ms:8.3f}")


# Speed


def noise(width: int, height: int) -> Image.Image:
    """Returns an RGB picture whose amplitudes fall as 1/frequency."""
    rng = np.random.default_rng(0)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = 1 / np.maximum(np.hypot(y, x), 1 / width)

    def channel() -> np.ndarray:
        turns = np.exp(2j * np.pi * rng.random(amplitude.shape))
        levels = np.fft.irfft2(amplitude * turns, (height, width))
        return (levels - levels.mean()) / levels.std()

    shared = channel()
    layers = [128 + 50 * (shared + 0.3 * channel()) for _ in range(3)]
    return Image.fromarray(np.clip(np.dstack(layers), 0, 255).astype(np.uint8))


def coded(picture: Image.Image, kind: str, **options: int) -> bytes:
    body = io.BytesIO()
    picture.convert("RGB").save(body, kind, **options)
    return body.getvalue()


def speed() -> dict[str, float]:
    """Returns CPU milliseconds by what is done."""
    photo = coded(noise(960, 720), "JPEG", quality=60)
    kind = sniffed(photo)
    with_exif = photo[:2] + b"\xff\xe1\x10\x02" + bytes(4096) + photo[2:]
    small = noise(640, 480)
    others = {k: coded(small, k, quality=85) for k in ("JPEG", "WEBP", "AVIF", "PNG")}

    def scaled() -> Image.Image:
        return pixels.scaled(pixels.opened(photo, kind, 10**8), GREY_SIDE, grey=True)

    grey = scaled()
    work: dict[str, Callable[[], object]] = {
        "measure_image without safety": lambda: measure_image(photo, config=BARE),
        "  walk over the segments": lambda: strip_jpeg(photo),
        "  header and decode to grey at 1/8": scaled,
        "  hashes": lambda: perceptual_hashes(grey),
        "  flatness, entropy, sharpness": lambda: grey_scores(
            pixels.scaled(grey, GREY_SIDE, grey=True)
        ),
        "measure_image of one with EXIF": lambda: measure_image(with_exif, config=BARE),
        "measure_image with opennsfw": lambda: measure_image(photo, config=SAFE),
        "Pillow: decode to RGB": lambda: Image.open(io.BytesIO(photo)).convert("RGB"),
        "sha256": lambda: sha256(photo).digest(),
    }
    for name, body in others.items():
        work[f"measure_image of {name}, 640 x 480"] = lambda b=body: measure_image(b, config=BARE)
    try:
        import imagehash
    except ImportError:
        print("imagehash is not installed: its row is left out", file=sys.stderr)
    else:
        work["Pillow and imagehash.phash"] = lambda: imagehash.phash(
            Image.open(io.BytesIO(photo)).convert("RGB")
        )
    return {"bytes of the JPEG of 960 x 720": float(len(photo)), **cpu_ms(work)}


def cpu_ms(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    times = defaultdict(list)
    for _, (name, step) in product(range(ROUNDS + 1), work.items()):
        start = time.process_time()
        step()
        times[name].append(time.process_time() - start)
    return {name: 1000 * median(found[1:]) for name, found in times.items()}


# Copies


def crop(image: Image.Image, share: float) -> Image.Image:
    """Returns the image without a margin: `share` of its width and of its height are cut off."""
    dx, dy = round(image.width * share / 2), round(image.height * share / 2)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def marked(image: Image.Image, text: str, size: int, opacity: int) -> Image.Image:
    """Returns the image with a white word of a height in pixels laid over its lower middle."""
    veil = Image.new("L", image.size, 0)
    font = ImageFont.load_default(size=max(10, size))
    place = (image.width // 10, image.height - 2 * max(10, size))
    ImageDraw.Draw(veil).text(place, text, fill=opacity, font=font)
    return Image.composite(Image.new("RGB", image.size, "white"), image, veil)


def smaller(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width // factor, image.height // factor), Image.Resampling.LANCZOS)


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    return coded(image, "JPEG", quality=quality)


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 30": lambda image: jpeg(image, 30),
    "half size": lambda image: jpeg(smaller(image, 2)),
    "quarter size, quality 60": lambda image: jpeg(smaller(image, 4), 60),
    "squeezed to 1:1": lambda image: jpeg(image.resize((min(image.size),) * 2)),
    "as PNG": lambda image: coded(image, "PNG"),
    "crop 2 %": lambda image: jpeg(crop(image, 0.02)),
    "crop 5 %": lambda image: jpeg(crop(image, 0.05)),
    "crop 10 %": lambda image: jpeg(crop(image, 0.10)),
    "small watermark": lambda image: jpeg(marked(image, "© example", image.width // 20, 255)),
    "large watermark": lambda image: jpeg(marked(image, "EXAMPLE", image.width // 6, 110)),
    "white border of 4 %": lambda image: jpeg(
        ImageOps.expand(image, round(min(image.size) * 0.04), "white")
    ),
    "brightness +30 %": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "contrast -30 %": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(0.7)),
    "grey": lambda image: jpeg(image.convert("L")),
    "blurred, 2 pixels": lambda image: jpeg(image.filter(ImageFilter.GaussianBlur(2))),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
    "turned by 2 degrees": lambda image: jpeg(image.rotate(2)),
}


def real(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Returns digest -> sub-folder and body of every usable image."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".gif"):
            continue
        body = path.read_bytes()
        width, height = Image.open(io.BytesIO(body)).size
        if min(width, height) >= 128 and max(width, height) <= 3 * min(width, height):
            found[sha256(body).hexdigest()] = path.relative_to(folder).parts[0], body
    return found


def on_white(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body)).convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def print_copies(folder: Path) -> None:
    """Prints a row per change: the share found by each hash, and the mean distances."""
    images = real(folder)
    hashes, qualities, matches = {}, [], defaultdict(list)
    for key, (_, body) in images.items():
        one = measure_image(body, config=BARE)
        hashes[key] = one
        qualities.append(one.scores["pdq_quality"])
        picture = on_white(body)
        for change, changed in CHANGES.items():
            other = measure_image(changed(picture), config=BARE)
            matches[change].append(distances(one, other))
    low = sum(quality < 50 for quality in qualities)
    print(f"{len(images)} images, {low} with a PDQ quality below 50; found (mean bits):\n")
    print("| change | PDQ, 31 bits | firm, 31 bits | 64 bits, 8 bits |\n| --- | --- | --- | --- |")
    for change, found in matches.items():
        cells = [
            f"{100 * mean(pair[n] <= bits for pair in found):.0f} % ({mean(p[n] for p in found):.1f})"
            for n, bits in enumerate(BITS)
        ]
        print(f"| {change} | {' | '.join(cells)} |")
    keys = sorted(images)
    pairs = [
        distances(hashes[a], hashes[b])
        for n, a in enumerate(keys)
        for b in keys[n + 1 :]
        if images[a][0] != images[b][0]
    ]
    false = [sum(pair[n] <= bits for pair in pairs) for n, bits in enumerate(BITS)]
    nearest = [min(pair[n] for pair in pairs) for n in range(len(BITS))]
    print(f"\n{len(pairs):,} pairs of two sites; false matches of PDQ, firm, 64 bits: {false}")
    print(f"the nearest {nearest} bits apart")


def distances(one: StoredImage, other: StoredImage) -> tuple[int, int, int]:
    """Returns in how many bits two pictures differ: PDQ, the firm and the short hash."""
    return (
        distance(one.phash, other.phash),
        distance(one.phash_firm, other.phash_firm),
        distance(one.phash64, other.phash64),
    )


if __name__ == "__main__":
    main()
