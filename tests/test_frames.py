"""Frames at t = 0, 1, 2 ...: the one on screen then, on clips of every awkward kind of time.

Each clip's frame n is one flat grey of level n, so that a frame tells its number.
"""

import json
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image, ImageStat

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.frames import SampledVideo, sample_frames, sniff_video

CONFIG = FetchConfig()
SHARED = Path(__file__).parents[2] / "shared" / "data"
H264 = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")
AUDIO = ("-f", "lavfi", "-i", "sine=duration=2")


def ffmpeg(*arguments: str) -> None:
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def grey(rate: str = "25", size: str = "64x48", pts: str = "") -> tuple[str, ...]:
    """Returns the input options of a clip of 3.4 s; `pts` gives frame N's time in milliseconds."""
    source = f"color=c=black:s={size}:r={rate}:d=3.4,geq=lum='16+N':cb=128:cr=128"
    source += f",settb=1/1000,setpts='{pts}'" if pts else ""
    return ("-f", "lavfi", "-i", source)


def sample(path: Path, config: FetchConfig = CONFIG) -> SampledVideo:
    folder = path.with_suffix(".frames")
    folder.mkdir()
    return sample_frames(path, config=config, folder=folder)


def numbers(video: SampledVideo) -> list[int]:
    levels = [ImageStat.Stat(Image.open(path).convert("L")).mean[0] for _, path in video.frames]
    return [round(level * 219 / 255) for level in levels]


def on_screen(times: Callable[[int], float], count: int) -> list[int]:
    """Returns the last frame whose time is not after t, for t = 0, 1, 2 and 3."""
    return [max(n for n in range(count) if times(n) <= t + 1e-6) for t in range(4)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov", "a.avi"])
def test_constant_rate(name: str, tmp_path: Path) -> None:
    ffmpeg(*grey(), *H264, str(tmp_path / name))
    assert numbers(sample(tmp_path / name)) == [0, 25, 50, 75]


def test_ntsc_rate_gives_the_frame_on_screen(tmp_path: Path) -> None:
    ffmpeg(*grey("30000/1001"), *H264, str(tmp_path / "a.mp4"))
    video = sample(tmp_path / "a.mp4")
    assert numbers(video) == on_screen(lambda n: n * 1001 / 30000, 102) == [0, 29, 59, 89]
    assert video.fps == 29.97


def test_variable_rate(tmp_path: Path) -> None:
    """The frames come ever later: frame n at 2 n + 0.4 n ** 2 milliseconds."""
    path = tmp_path / "a.mkv"
    ffmpeg(*grey(pts="2*N+N*N*0.4"), "-fps_mode", "passthrough", "-enc_time_base", "1:1000",
           *H264, str(path))  # fmt: skip
    expected = on_screen(lambda n: int(2 * n + n * n * 0.4) / 1000, 85)
    assert numbers(sample(path))[:3] == expected[:3] == [0, 47, 68]


def test_slow_rate_repeats_what_is_on_screen(tmp_path: Path) -> None:
    ffmpeg(*grey("0.7"), *H264, str(tmp_path / "a.mp4"))
    assert numbers(sample(tmp_path / "a.mp4"))[:3] == [0, 0, 1]


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_timestamps_that_do_not_start_at_zero(name: str, tmp_path: Path) -> None:
    ffmpeg(*grey(), *H264, "-output_ts_offset", "7.3", str(tmp_path / name))
    assert numbers(sample(tmp_path / name)) == [0, 25, 50, 75]


def test_pictures_that_begin_after_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    ffmpeg("-itsoffset", "0.5", *grey(), *AUDIO, *H264, "-c:a", "aac", str(path))
    video = sample(path)
    assert video.audio
    assert numbers(video)[:3] in ([0, 12, 37], [0, 13, 38])  # aac's priming shifts by 21 ms


def test_rotated_clip_is_upright(tmp_path: Path) -> None:
    ffmpeg(*grey(), *H264, str(tmp_path / "flat.mp4"))
    ffmpeg("-display_rotation", "90", "-i", str(tmp_path / "flat.mp4"), "-c", "copy",
           str(tmp_path / "a.mp4"))  # fmt: skip
    video = sample(tmp_path / "a.mp4")
    assert (video.width, video.height) == (48, 64) == Image.open(video.frames[0][1]).size
    assert numbers(video) == [0, 25, 50, 75]


def test_longer_side_is_bounded_and_never_enlarged(tmp_path: Path) -> None:
    ffmpeg(*grey(size="300x100"), *H264, "-t", "0.2", str(tmp_path / "a.mp4"))
    for side, expected in ((150, (150, 50)), (640, (300, 100))):
        (tmp_path / "a.frames").rename(tmp_path / "old") if side == 640 else None
        video = sample(tmp_path / "a.mp4", CONFIG.model_copy(update={"frame_side": side}))
        assert Image.open(video.frames[0][1]).size == expected
        assert (video.width, video.height) == (300, 100)


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    ffmpeg(*grey(), "-vf", "setsar=4/3", *H264, str(tmp_path / "a.mp4"))
    assert Image.open(sample(tmp_path / "a.mp4").frames[0][1]).size == (64, 36)


def test_same_clip_gives_the_same_bytes_and_max_frames_cuts(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:d=4", *H264, str(tmp_path / "a.mp4"))
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    first = [path.read_bytes() for _, path in sample(tmp_path / "a.mp4").frames]
    two = sample(tmp_path / "b.mp4", CONFIG.model_copy(update={"max_frames": 2}))
    assert [t for t, _ in two.frames] == [0, 1]
    assert [path.read_bytes() for _, path in two.frames] == first[:2]
    assert len(first) == 4
    assert two.detail == ""


def test_headers_are_told(tmp_path: Path) -> None:
    ffmpeg(*grey(), *AUDIO, "-c:v", "libvpx", "-c:a", "libopus", "-metadata",
           "title=x\n  Stream #0:0: Video: fake, 9x9", str(tmp_path / "a.webm"))  # fmt: skip
    video = sample(tmp_path / "a.webm")
    assert (video.format, video.codec, video.width, video.height) == ("mkv", "vp8", 64, 48)
    assert (video.fps, video.audio) == (25.0, True)
    assert video.seconds == pytest.approx(3.4, abs=0.05)


def reason(path: Path, config: FetchConfig = CONFIG) -> str:
    with pytest.raises(MediaError) as caught:
        sample(path, config)
    return caught.value.reason


def test_sound_without_pictures_has_no_video_track(tmp_path: Path) -> None:
    ffmpeg(*AUDIO, str(tmp_path / "a.mp4"))
    assert reason(tmp_path / "a.mp4") == "no_video_track"


def test_part_of_a_file_counts_when_it_is_half(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    noise = "nullsrc=s=160x120:d=10:r=10,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, *H264, "-movflags", "+faststart", str(whole))
    body = whole.read_bytes()
    (tmp_path / "most.mp4").write_bytes(body[: len(body) * 7 // 10])
    (tmp_path / "little.mp4").write_bytes(body[: len(body) * 3 // 10])
    most = sample(tmp_path / "most.mp4")
    assert most.detail == f"{len(most.frames)} of 10 frames"
    assert len(most.frames) in (6, 7, 8)
    assert reason(tmp_path / "little.mp4") == "video_truncated"


def test_slow_decoding_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=s=1920x1080:d=5", *H264, str(path))
    start = time.monotonic()
    assert reason(path, CONFIG.model_copy(update={"video_seconds": 0.1})) == "video_timeout"
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
        b"\0\0\0\x1cftypavif",
        b"\xff\xd8\xff\xe0",
    ],
)
def test_playlists_scripts_and_pictures_never_reach_ffmpeg(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(body)
    assert sniff_video(body) == ""
    assert reason(tmp_path / "a.mp4") == "not_a_video"


def hostile_videos() -> list[dict[str, Any]]:
    if not SHARED.exists():
        pytest.skip("shared/data is not here")
    index = json.loads((SHARED / "hostile" / "index.json").read_text())
    return [entry for entry in index if entry["kind"] == "videos"]


@pytest.mark.slow
def test_hostile_videos_behave(tmp_path: Path) -> None:
    for number, entry in enumerate(hostile_videos()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            video = sample_frames(SHARED / "hostile" / entry["file"], config=CONFIG, folder=folder)
        except MediaError:
            assert entry["expect"] != "ok", entry
        else:
            assert entry["expect"] != "reject", entry
            assert len(video.frames) == entry.get("duration", len(video.frames)), entry


@pytest.mark.slow
def test_real_clips_give_a_frame_for_each_second(tmp_path: Path) -> None:
    hostile_videos()
    for entry in json.loads((SHARED / "videos" / "files.json").read_text()):
        folder = tmp_path / entry["file"]
        folder.mkdir()
        video = sample_frames(SHARED / "videos" / entry["file"], config=CONFIG, folder=folder)
        assert len(video.frames) == math.ceil(entry["duration"]), entry
        assert (video.width, video.height) == (entry["width"], entry["height"])
        assert video.audio is ("acodec" in entry)
