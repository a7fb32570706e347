"""Frames at 1 per second: CPU seconds of ours, of video2dataset's way and of a bare decode; and whose are exact.

    python -m benchmarks.frames [VIDEO...] [--rounds 3] [--json] [--exact]

Without paths all clips of ../shared/data/videos. CPU seconds are user and system time of this process
and its children, the best of the rounds; the three ways take turns in each round.

- ours: `m3w_builder.frames.sample_frames` with the default configuration: JPEGs of at most 640 pixels;
- bare: ffmpeg decodes the video track to nothing, in one thread, the whole of it (of a longer video
  than we store, as many seconds as we do): no exact method can be faster, since which frame is on
  screen is known only when its predecessors are decoded;
- video2dataset: its FrameSubsampler(1), which runs `fps=1` into a re-encoded mp4; its pictures still
  have to be decoded.

What is right comes from a full decode of its own (`full_decode`): the frame of t is the last one whose
time from the start of the container is not after t. --exact compares the pictures, too: the luma of
each JPEG with that frame of the full decode, scaled alike, as a peak signal-to-noise ratio.
"""

import argparse
import json
import math
import re
import resource
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from m3w_builder.config import FetchConfig
from m3w_builder.frames import SampledVideo, sample_frames

VIDEOS = Path(__file__).parents[2] / "shared" / "data" / "videos"
CONFIG = FetchConfig()
SCALE = "bicubic+accurate_rnd+full_chroma_int+bitexact"
HALF_MICROSECOND = 5e-7  # ffmpeg prints the start of a container in microseconds
ONE_THREAD = ("-threads", "1", "-filter_threads", "1")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    arguments.add_argument("--rounds", type=int, default=3, help="the best of so many is taken")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--exact", action="store_true", help="compare the pictures, too")
    args = arguments.parse_args(argv)
    videos = args.videos or sorted(p for p in VIDEOS.glob("*") if p.suffix != ".json")
    missing = [str(path) for path in videos if not path.is_file()]
    if missing or not videos:
        arguments.error(f"expected video files, found none at {', '.join(missing) or VIDEOS}")
    rows = [row(path, args.rounds, args.exact) for path in videos]
    found = {**summary(rows), "videos": rows}
    print(json.dumps(found) if args.json else table(found))


def row(path: Path, rounds: int, exact: bool) -> dict[str, Any]:
    """Returns what was measured of one video; CPU times in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sampled: list[SampledVideo] = []
        other = folder / "fps1.mp4"

        def ours() -> None:
            made = folder / f"ours{len(sampled)}"
            made.mkdir()
            sampled.append(sample_frames(path, config=CONFIG, folder=made))

        ways: dict[str, Callable[[], object]] = {
            "ours_cpu_s": ours,
            "bare_cpu_s": lambda: bare_decode(path),
            "video2dataset_cpu_s": lambda: video2dataset_way(path, other),
        }
        cpu = dict.fromkeys(ways, math.inf)
        for _ in range(rounds):
            for way, work in ways.items():
                cpu[way] = min(cpu[way], cpu_seconds(work))
        video = sampled[0]
        times = full_decode(path)
        theirs = [int(line) for line in (folder / "fps1.frames").read_text().split()]
        right = [on_screen(times, t) for t, _ in video.frames]
        found = {
            "file": path.name,
            "seconds": video.seconds,
            "codec": video.codec,
            "width": video.width,
            "height": video.height,
            "frames": len(video.frames),
            "decoded_frames": len(times),
            "right_instants": _equal(video.sources, right),
            **{name: round(seconds, 4) for name, seconds in cpu.items()},
            "ours_over_bare": round(cpu["ours_cpu_s"] / cpu["bare_cpu_s"], 3),
            "video2dataset_over_ours": round(cpu["video2dataset_cpu_s"] / cpu["ours_cpu_s"], 3),
            "video2dataset_frames": len(theirs),
            "video2dataset_right_instants": _equal(theirs, right),
            "video2dataset_late_s": round(_late(theirs, times), 3),
        }
        if exact:
            found["psnr_db"] = round(min(psnr(path, video)), 1)
        return found


def _equal(numbers: Sequence[int], right: Sequence[int]) -> int:
    return sum(n == m for n, m in zip(numbers, right, strict=False))


def _late(numbers: Sequence[int], times: Sequence[float]) -> float:
    """Returns by how many seconds frames are late on average: their own time less the one they stand for."""
    late = [times[n] - times[on_screen(times, t)] for t, n in enumerate(numbers) if n < len(times)]
    return float(np.mean(late)) if late else 0.0


def cpu_seconds(work: Callable[[], object]) -> float:
    """Returns the user and system time that the work takes, here and in child processes."""
    before = _cpu()
    work()
    return _cpu() - before


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs ffmpeg; a damaged video is no error here."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *arguments]
    return subprocess.run(command, capture_output=True, check=False)


def bare_decode(path: Path) -> None:
    """Decodes a video track to nothing."""
    limit = ("-t", str(CONFIG.max_frames))
    ffmpeg(*ONE_THREAD, "-i", f"file:{path}", *limit, "-map", "0:V:0", "-f", "null", "-")


def video2dataset_way(path: Path, output: Path) -> None:
    """Writes an mp4 of 1 frame per second as video2dataset 1.3's FrameSubsampler does."""
    numbers = ("-stats_enc_pre:v", str(output.with_suffix(".frames")), "-stats_enc_pre_fmt", "{ni}")
    ffmpeg(
        "-i",
        f"file:{path}",
        "-filter_complex",
        "[0:v]fps=1[v]",
        "-map",
        "[v]",
        *numbers,
        str(output),
    )


def full_decode(path: Path) -> list[float]:
    """Returns the time of every frame of a video, in seconds from the start of the container.

    From a decode without any filter whose time stamps are left as they are (`-copyts`).
    """
    source = (*ONE_THREAD, "-copyts", "-i", f"file:{path}", "-map", "0:V:0")
    done = ffmpeg(
        *source, "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-"
    )
    lines = done.stdout.decode().splitlines()
    units = [line.split()[-1] for line in lines if line.startswith("#tb 0:")]
    if not units:
        return []
    numerator, denominator = map(int, units[0].split("/"))
    start = re.search(
        r"^  Duration: .*?, start: (-?[\d.]+)", done.stderr.decode("utf-8", "replace"), re.M
    )
    shift = float(start[1]) if start else 0.0
    stamps = (int(line.split(",")[2]) for line in lines if line and line[0] != "#")
    return [stamp * numerator / denominator - shift for stamp in stamps]


def on_screen(times: Sequence[float], t: float) -> int:
    """Returns the number of the frame that is on screen at t; the times ascend."""
    return max(bisect_right(times, t + HALF_MICROSECOND) - 1, 0)


def psnr(path: Path, video: SampledVideo) -> list[float]:
    """Returns for each stored frame the luma PSNR in dB against the full decode's frame on screen then."""
    times = full_decode(path)
    numbers = [on_screen(times, t) for t, _ in video.frames]
    with Image.open(video.frames[0][1]) as first:
        width, height = first.size
    wanted = set(numbers)
    whole = width * height * 3 // 2  # bytes of a 4:2:0 frame; its luma comes first
    lumas = {n: raw[: width * height] for n, raw in _raw(path, width, height, whole) if n in wanted}
    pairs = zip(video.frames, numbers, strict=True)
    return [_psnr(_luma(file), lumas[n]) for (_, file), n in pairs]


def _raw(path: Path, width: int, height: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yields number and 4:2:0 samples of every frame of a full decode, scaled."""
    scale = f"scale={width}:{height}:flags={SCALE},format=yuvj420p"
    source = (
        *ONE_THREAD,
        "-v",
        "quiet",
        "-nostdin",
        "-i",
        f"file:{path}",
        "-map",
        "0:V:0",
        "-vf",
        scale,
    )
    command = [get_ffmpeg_exe(), *source, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield from enumerate(iter(partial(process.stdout.read, size), b""))


def _luma(jpeg: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(jpeg) as picture:
        picture.draft("L", picture.size)  # the JPEG's own Y, not one computed from RGB
        return np.asarray(picture)


def _psnr(stored: np.ndarray[Any, np.dtype[np.uint8]], raw: bytes) -> float:
    right = np.frombuffer(raw, np.uint8).reshape(stored.shape)
    error = float(np.mean((stored.astype(float) - right) ** 2))
    return 10 * math.log10(255**2 / error) if error else 99.0


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the sums over all videos and their ratios."""
    names = ("ours_cpu_s", "bare_cpu_s", "video2dataset_cpu_s")
    sums = {name: round(sum(row[name] for row in rows), 3) for name in names}
    counts = ("frames", "right_instants", "video2dataset_frames", "video2dataset_right_instants")
    return {
        **sums,
        "ours_over_bare": round(sums["ours_cpu_s"] / sums["bare_cpu_s"], 3),
        "video2dataset_over_ours": round(sums["video2dataset_cpu_s"] / sums["ours_cpu_s"], 3),
        **{name: sum(row[name] for row in rows) for name in counts},
    }


def table(found: dict[str, Any]) -> str:
    """Returns the results as a Markdown table."""
    lines = [
        "| clip | seconds, codec, size | frames | right | PSNR, dB | ours, CPU s | bare decode | ours / bare "
        "| video2dataset, CPU s | its frames: right, late by |",
        "|" + " --- |" * 10,
    ]
    for one in found["videos"]:
        what = f"{one['seconds']:.2f} {one['codec']} {one['width']}x{one['height']}"
        lines.append(
            f"| {one['file']} | {what} | {one['frames']} | {one['right_instants']} | {one.get('psnr_db', '-')} "
            f"| {one['ours_cpu_s']:.3f} | {one['bare_cpu_s']:.3f} | {one['ours_over_bare']:.2f} "
            f"| {one['video2dataset_cpu_s']:.3f} | {one['video2dataset_right_instants']} of "
            f"{one['video2dataset_frames']}, {one['video2dataset_late_s']:.2f} s |"
        )
    lines.append(
        f"| all | | {found['frames']} | {found['right_instants']} | | {found['ours_cpu_s']:.2f} "
        f"| {found['bare_cpu_s']:.2f} | {found['ours_over_bare']:.2f} | {found['video2dataset_cpu_s']:.2f} "
        f"| {found['video2dataset_right_instants']} of {found['video2dataset_frames']} |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
