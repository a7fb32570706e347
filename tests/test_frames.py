"""Frames at t = 0, 1, 2 ...: the one on screen then, on clips of every awkward kind of time.

Each clip's frame n is one flat grey of level n, so that a frame tells its number.
"""

import json
import math
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image, ImageStat

from benchmarks.frames import full_decode, on_screen, psnr
from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.frames import SampledVideo, _command, _run, sample_frames, sniff_video

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


def right(times: Callable[[int], float], count: int) -> list[int]:
    """Returns the last frame whose time is not after t, for t = 0, 1, 2 and 3."""
    return [max(n for n in range(count) if times(n) <= t + 1e-6) for t in range(4)]


def assert_right(path: Path, count: int) -> SampledVideo:
    """Asserts that a clip gives so many frames, each the one that a full decode has on screen then.

    `sources` says which frame ffmpeg took; the grey levels say so too, whatever ffmpeg says.
    """
    video = sample(path)
    times = full_decode(path)
    expected = [on_screen(times, t) for t in range(count)]
    assert [t for t, _ in video.frames] == list(range(count))
    assert list(video.sources) == expected
    return video


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov", "a.avi"])
def test_constant_rate(name: str, tmp_path: Path) -> None:
    ffmpeg(*grey(), *H264, str(tmp_path / name))
    assert numbers(sample(tmp_path / name)) == [0, 25, 50, 75]


def test_ntsc_rate_gives_the_frame_on_screen(tmp_path: Path) -> None:
    ffmpeg(*grey("30000/1001"), *H264, str(tmp_path / "a.mp4"))
    video = sample(tmp_path / "a.mp4")
    assert numbers(video) == right(lambda n: n * 1001 / 30000, 102) == [0, 29, 59, 89]
    assert video.fps == 29.97


def test_variable_rate(tmp_path: Path) -> None:
    """The frames come ever later: frame n at 2 n + 0.4 n ** 2 milliseconds."""
    path = tmp_path / "a.mkv"
    ffmpeg(*grey(pts="2*N+N*N*0.4"), "-fps_mode", "passthrough", "-enc_time_base", "1:1000",
           *H264, str(path))  # fmt: skip
    expected = right(lambda n: int(2 * n + n * n * 0.4) / 1000, 85)
    assert numbers(sample(path))[:3] == expected[:3] == [0, 47, 68]


def test_variable_rate_in_mp4(tmp_path: Path) -> None:
    ffmpeg(*grey(pts="2*N+N*N*0.4"), "-fps_mode", "passthrough", "-enc_time_base", "1:1000",
           *H264, "-bf", "2", str(tmp_path / "a.mp4"))  # fmt: skip
    assert numbers(assert_right(tmp_path / "a.mp4", 4)) == [0, 47, 68, 84]


def test_three_frames_a_second(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    ffmpeg(*grey(), *H264, str(clip))
    folder = tmp_path / "frames"
    folder.mkdir()
    found = sample_frames(clip, config=CONFIG, folder=folder, rate=3)
    assert [t for t, _ in found.frames] == list(range(11))  # 0, 1/3 ... 10/3 of 3.4 s
    assert numbers(found) == [int(25 * t / 3) for t in range(11)]


def test_folder_of_any_name(tmp_path: Path) -> None:
    """ffmpeg reads patterns, options and protocols into names of files."""
    folder = tmp_path / "50%d 'a' http:b,c=d[0:v] \\ é"
    folder.mkdir()
    ffmpeg(*grey(), *H264, str(tmp_path / "a.mp4"))
    (tmp_path / "a.mp4").rename(folder / "%03d.mp4")
    assert numbers(sample(folder / "%03d.mp4")) == [0, 25, 50, 75]


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
    assert (video.format, video.codec, video.width, video.height) == ("webm", "vp8", 64, 48)
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
    ("body", "why"),
    [
        (b"", "not_a_video"),
        (b"<html><body><video src=a.mp4>", "not_a_video"),  # a player's page
        (b"\0\0\0\x1cftypavif", "not_a_video"),
        (b"\xff\xd8\xff\xe0", "not_a_video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "video_playlist"),
        (b"\xef\xbb\xbf\r\n#extm3u\n", "video_playlist"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "video_playlist"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", "video_playlist"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', "video_playlist"),
        (b"[playlist]\nFile1=http://127.0.0.1/\n", "video_playlist"),
        (b"[Reference]\nRef1=http://127.0.0.1/\n", "video_playlist"),
        (b'<ASX version="3.0"><entry><ref href="http://127.0.0.1/"/>', "video_playlist"),
        (b"<smil><body><video src='file:///etc/passwd'/>", "video_playlist"),
        (b"RTSPtext\nrtsp://127.0.0.1/\n", "video_playlist"),
    ],
)  # fmt: skip
def test_playlists_scripts_and_pictures_never_reach_ffmpeg(
    body: bytes, why: str, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(body)
    with pytest.raises(MediaError, match=why):
        sniff_video(body)
    assert reason(tmp_path / "a.mp4") == why


# -- nothing but the one file


def box(kind: bytes, *parts: bytes) -> bytes:
    """Returns an ISO base media box (ISO/IEC 14496-12, 4.2)."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def inside(body: bytes, *kinds: bytes) -> tuple[int, int]:
    """Returns where the innermost of nested boxes starts and ends."""
    start, end = 0, len(body)
    for kind in kinds:
        while body[start + 4 : start + 8] != kind:
            start += struct.unpack(">I", body[start : start + 4])[0]
        end = start + struct.unpack(">I", body[start : start + 4])[0]
        start += 8 + (8 if kind == b"dref" else 0)
    return start - 8 - (8 if kinds[-1] == b"dref" else 0), end


def with_reference(movie: bytes, reference: bytes) -> bytes:
    """Returns a movie whose first track says that its samples are in another file.

    The `url ` entry of the data reference box is replaced; the sizes of the boxes around it follow.
    `moov` must be the last box, so that no offset changes.
    """
    path = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    start, end = inside(movie, *path)
    new = box(b"dref", struct.pack(">II", 0, 1), reference)
    grown = bytearray(movie[:start] + new + movie[end:])
    for depth in range(1, len(path)):
        at, _ = inside(movie, *path[:depth])
        size = struct.unpack(">I", movie[at : at + 4])[0] + len(new) - (end - start)
        grown[at : at + 4] = struct.pack(">I", size)
    return bytes(grown)


def alias(name: str) -> bytes:
    """Returns a QuickTime alias record to an absolute path (the form that ffmpeg's demuxer reads)."""
    path, folder = name.encode(), str(Path(name).parent).encode()
    file = Path(name).name.encode()
    record = bytes(4 + 2 + 2 + 2)  # application, size, version, kind
    record += bytes([1]) + b"V".ljust(27, b"\0") + bytes(4 + 2 + 2 + 4)
    record += bytes([len(file)]) + file.ljust(63, b"\0") + bytes(4 + 4 + 4 + 4)
    record += struct.pack(">hh", -1, -1) + bytes(16)
    for kind, text in ((2, path), (18, path), (0, folder)):
        record += struct.pack(">hH", kind, len(text)) + text + bytes(len(text) % 2)
    record += struct.pack(">hH", -1, 0)
    return box(b"alis", struct.pack(">I", 0), record)


def test_movie_whose_samples_are_in_another_file_gets_none_of_it(tmp_path: Path) -> None:
    """A QuickTime reference movie: its index is whole, its samples are said to be in secret.mov."""
    secret, path = tmp_path / "secret.mov", tmp_path / "a.mov"
    ffmpeg(*grey(), *H264, str(secret))
    whole = secret.read_bytes()
    start, end = inside(whole, b"mdat")
    emptied = whole[: start + 8] + bytes(end - start - 8) + whole[end:]
    opened = with_reference(emptied, alias(str(secret)))
    path.write_bytes(opened)
    read = (get_ffmpeg_exe(), "-v", "error", "-enable_drefs", "1", "-use_absolute_path", "1",
            "-i", str(path), "-frames:v", "1", "-f", "framecrc", "-")  # fmt: skip
    careless = subprocess.run(read, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert b"#dimensions 0: 64x48" in careless.stdout  # so a careless ffmpeg does read the secret
    assert reason(path) in ("no_frames", "video_damaged")


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.avi", "a%03d.jpg", "a.sdp", "a.txt"])
@pytest.mark.parametrize("kind", ["hls", "dash", "concat", "sdp", "rmra"])
def test_what_names_other_files_gets_nothing(kind: str, name: str, tmp_path: Path) -> None:
    """Neither the listening socket nor the secret file is touched, whatever the file is called."""
    secret = tmp_path / "secret.ts"
    ffmpeg(*grey(), *H264, str(secret))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        inner = f"http://127.0.0.1:{port}/inner.ts"
        body = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\nfile://{secret}\n#EXTINF:3,\n{inner}\n",
            "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{inner}</BaseURL></Period></MPD>',
            "concat": f"ffconcat version 1.0\nfile '{secret}'\nfile '{inner}'\n",
            "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
        }.get(kind, "").encode()  # fmt: skip
        if kind == "rmra":  # QuickTime File Format, "Reference Movies"
            rdrf = box(
                b"rdrf",
                struct.pack(">I", 0),
                b"url ",
                struct.pack(">I", len(inner)),
                inner.encode(),
            )
            body = box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", box(b"rmra", box(b"rmda", rdrf)))
        (tmp_path / name).write_bytes(body)
        assert reason(tmp_path / name) in ("video_playlist", "no_video_track", "video_damaged")
        with pytest.raises(TimeoutError):
            listener.accept()
    assert not list(tmp_path.glob("*.frames/*.jpg"))


def test_demuxer_that_opens_names_has_no_protocol_for_it(tmp_path: Path) -> None:
    """Even with the recognition and the list of demuxers out of the way: `fd` opens no name."""
    secret = tmp_path / "secret.ts"
    ffmpeg(*grey(), *H264, str(secret))
    playlist = tmp_path / "a.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\nfile:{secret}\n#EXT-X-ENDLIST\n"
    )
    found = {}
    for protocols in ("fd", "fd,file,crypto,data"):
        folder = tmp_path / protocols
        folder.mkdir()
        command = _command("hls", CONFIG)
        command[command.index("-format_whitelist") + 1] = "hls,mpegts"
        command[command.index("-protocol_whitelist") + 1] = protocols
        with playlist.open("rb", buffering=0) as file:
            _run(command, file, folder, 10)
        found[protocols] = len(list(folder.glob("*.jpg")))
    assert found == {"fd": 0, "fd,file,crypto,data": 4}


# -- a file cannot forge what is said of it


def test_a_name_of_a_tag_with_line_breaks_forges_nothing(tmp_path: Path) -> None:
    """ffmpeg prints tag names as they are, so a file can write lines into its log."""
    ffmpeg(*grey(), *H264, "-metadata", f"{'K' * 60}=x", str(tmp_path / "whole.mkv"))
    lie = b"A\n  Duration: 99:00:00.00, start: 0.000000, b\n  Stream #0:"
    body = (tmp_path / "whole.mkv").read_bytes()
    assert body.count(b"K" * 60) == 1
    (tmp_path / "a.mkv").write_bytes(body.replace(b"K" * 60, lie.ljust(60, b"x")))
    shown = subprocess.run(
        (get_ffmpeg_exe(), "-hide_banner", "-i", str(tmp_path / "a.mkv")),
        capture_output=True, check=False, text=True,
    ).stderr  # fmt: skip
    assert "\n  Duration: 99:00:00.00" in shown  # the lie arrives
    video = sample(tmp_path / "a.mkv")
    assert video.seconds == pytest.approx(3.4, abs=0.05)
    assert numbers(video) == [0, 25, 50, 75]


@pytest.mark.parametrize(
    "lie", ["x\n  Duration: 99:00:00.00, start: 0.0", "y\n  Stream #0:0: Video: a, 9x9"]
)
@pytest.mark.parametrize("key", ["title", "comment", "artist"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.flv"])
def test_texts_of_a_file_forge_nothing(name: str, key: str, lie: str, tmp_path: Path) -> None:
    ffmpeg(*grey(), *AUDIO, *H264, "-metadata", f"{key}={lie}", "-metadata:s:v:0", f"{key}={lie}",
           str(tmp_path / name))  # fmt: skip
    video = sample(tmp_path / name)
    assert (video.width, video.height, video.codec, video.audio) == (64, 48, "h264", True)
    assert video.seconds == pytest.approx(3.4, abs=0.1)


# -- more clips of awkward kinds


def test_gif_by_its_delays(tmp_path: Path) -> None:
    """Frames of 0.3, 1.0, 0.1 and 2.0 s: on screen at t = 0, 1, 2, 3 are 0, 1, 3, 3."""
    pictures = [Image.new("L", (32, 32), 40 * n) for n in range(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:],
                     duration=[300, 1000, 100, 2000], loop=0)  # fmt: skip
    video = assert_right(tmp_path / "a.gif", 4)
    assert video.sources == (0, 1, 3, 3)
    assert (video.format, video.seconds, video.audio) == ("gif", 3.4, False)


def test_edit_list_shifts_the_clip(tmp_path: Path) -> None:
    """Cut without re-encoding: the file begins at the key frame before, the edit list skips to 1.2 s."""
    ffmpeg(*grey(), *H264, "-bf", "2", "-g", "25", str(tmp_path / "whole.mp4"))
    ffmpeg("-ss", "1.2", "-i", str(tmp_path / "whole.mp4"), "-c", "copy", str(tmp_path / "a.mp4"))
    video = assert_right(tmp_path / "a.mp4", 3)
    assert numbers(video) == [30, 55, 80]


def test_b_frames_at_the_start_and_open_groups(tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-qp", "0", "-bf", "3", "-x264-params", "open-gop=1:keyint=12")
    ffmpeg(*grey(), *options, str(tmp_path / "whole.ts"))
    ffmpeg("-ss", "0.7", "-i", str(tmp_path / "whole.ts"), "-c", "copy", str(tmp_path / "a.ts"))
    assert numbers(assert_right(tmp_path / "whole.ts", 4)) == [0, 25, 50, 75]
    cut = sample(tmp_path / "a.ts")
    steps = numbers(cut)
    assert [n - steps[0] for n in steps] == [25 * k for k in range(len(steps))]


def test_sound_that_is_longer_than_the_pictures(tmp_path: Path) -> None:
    """The frames end with the pictures: nothing is missing, and nothing is shown that is over."""
    sound = ("-f", "lavfi", "-i", "sine=duration=12")
    for name in ("a.mp4", "a.mkv", "a.avi"):
        ffmpeg(*grey(), *sound, *H264, str(tmp_path / name))
        video = assert_right(tmp_path / name, 4)
        assert (video.detail, video.audio) == ("", True)
        assert video.seconds == pytest.approx(12, abs=0.1)
        (tmp_path / "a.frames").rename(tmp_path / f"{name}.seen")


def test_avi_without_its_index(tmp_path: Path) -> None:
    ffmpeg(*grey(), "-c:v", "mjpeg", "-q:v", "2", str(tmp_path / "whole.avi"))
    body = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(body[: body.rindex(b"idx1")])
    assert_right(tmp_path / "a.avi", 4)


def test_matroska_without_cues_and_duration(tmp_path: Path) -> None:
    """As a live recorder writes it: to a pipe, with nothing filled in afterwards."""
    command = (
        get_ffmpeg_exe(),
        "-v",
        "error",
        *grey(),
        "-c:v",
        "libvpx",
        "-f",
        "webm",
        "-live",
        "1",
        "-",
    )
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    (tmp_path / "a.webm").write_bytes(done.stdout)
    video = assert_right(tmp_path / "a.webm", 4)
    assert video.seconds == pytest.approx(3.4, abs=0.05)


def test_fragmented_clip(tmp_path: Path) -> None:
    flags = ("-g", "10", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    ffmpeg(*grey(), *H264, *flags, str(tmp_path / "a.mp4"))
    assert numbers(assert_right(tmp_path / "a.mp4", 4)) == [0, 25, 50, 75]


def test_empty_packets_of_theora_leave_the_frame_on_screen(tmp_path: Path) -> None:
    """libtheora drops a frame that equals the one before: a packet of no bytes."""
    still = "color=c=gray:s=64x48:r=10:d=3.5"
    ffmpeg("-f", "lavfi", "-i", still, "-c:v", "libtheora", str(tmp_path / "a.ogv"))
    video = sample(tmp_path / "a.ogv")
    assert [t for t, _ in video.frames] == [0, 1, 2, 3]
    assert (video.format, video.codec, video.seconds) == ("ogg", "theora", 3.5)


@pytest.mark.parametrize("quarter", [90, 180, 270])
def test_every_rotation(quarter: int, tmp_path: Path) -> None:
    """A bright left edge is, upright, at the side that the matrix turns it to."""
    picture = "color=c=black:s=64x32:r=5:d=1.4,drawbox=w=16:h=32:c=white:t=fill"
    ffmpeg("-f", "lavfi", "-i", picture, *H264, str(tmp_path / "flat.mp4"))
    ffmpeg("-display_rotation", str(quarter), "-i", str(tmp_path / "flat.mp4"), "-c", "copy",
           str(tmp_path / "a.mov"))  # fmt: skip
    video = sample(tmp_path / "a.mov")
    shown = Image.open(video.frames[0][1]).convert("L")
    size = (64, 32) if quarter == 180 else (32, 64)
    assert (video.width, video.height) == shown.size == size
    width, height = size
    middles = {90: (width // 2, height - 4), 180: (width - 4, height // 2), 270: (width // 2, 4)}
    bright = {turn: shown.getpixel(place) > 200 for turn, place in middles.items()}
    assert bright == {turn: turn == quarter for turn in middles}


def test_many_packets_before_the_limit_of_frames_are_only_counted(tmp_path: Path) -> None:
    """Decoding stops with the last wanted frame; the duration is still that of the whole."""
    noise = "nullsrc=s=320x240:d=20:r=25,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, *H264, str(tmp_path / "a.mp4"))
    start = time.process_time(), sum(os.times()[2:4])
    video = sample(tmp_path / "a.mp4", CONFIG.model_copy(update={"max_frames": 2}))
    few = sum(os.times()[2:4]) - start[1]
    shutil.move(tmp_path / "a.frames", tmp_path / "seen")
    begin = sum(os.times()[2:4])
    assert len(sample(tmp_path / "a.mp4").frames) == 20
    assert few < (sum(os.times()[2:4]) - begin) / 2
    assert (len(video.frames), video.seconds, video.detail) == (2, 20.0, "")


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


def real_clips() -> list[dict[str, Any]]:
    index = SHARED / "videos" / "files.json"
    return json.loads(index.read_text()) if index.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("entry", real_clips(), ids=lambda entry: entry["file"])
def test_real_clip_gives_the_frames_of_a_full_decode(entry: dict[str, Any], tmp_path: Path) -> None:
    """Number, instants and pictures; docs/video.md has the table."""
    path = SHARED / "videos" / entry["file"]
    video = sample_frames(path, config=CONFIG, folder=tmp_path)
    assert len(video.frames) == math.ceil(entry["duration"])
    assert (video.width, video.height) == (entry["width"], entry["height"])
    assert video.audio is ("acodec" in entry)
    assert video.seconds == pytest.approx(entry["duration"], abs=0.02)
    times = full_decode(path)
    assert list(video.sources) == [on_screen(times, t) for t, _ in video.frames]
    assert min(psnr(path, video)) > 36  # dB: what the JPEG loses


@pytest.mark.slow
def test_hostile_clips_that_play_give_the_frames_of_a_full_decode(tmp_path: Path) -> None:
    for number, entry in enumerate(hostile_videos()):
        if entry["expect"] == "ok":
            folder = tmp_path / str(number)
            folder.mkdir()
            path = SHARED / "hostile" / entry["file"]
            video = sample_frames(path, config=CONFIG, folder=folder)
            times = full_decode(path)
            assert list(video.sources) == [on_screen(times, t) for t, _ in video.frames], entry
