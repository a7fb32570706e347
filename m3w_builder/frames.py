"""Video frames at exactly t = 0, 1, 2 ... seconds, as JPEG files, by one run of ffmpeg.

The frame of t is the one on screen at t: the last whose time is not after t (before the first frame
the first). ffmpeg's plain `fps=1` is half a second late; `round=up:start_time=0` gives these.

ffmpeg gets a local file whose container was recognised here by its magic bytes and is named with
`-f`: playlists and scripts (HLS, concat, SDP), which make it open other files and sockets, never
reach it. Protocols other than `file` and other demuxers are switched off as well. It runs in a
process of its own with limits on time, memory and output, one thread, and flags that make equal
input give equal bytes.

What a damaged file still gives is kept: at least half of the frames that its duration promises (the
rest is told in `detail`), else it is `video_truncated`. Without a declared duration nothing is
promised.
"""

import math
import re
import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
from imageio_ffmpeg import get_ffmpeg_exe

from m3w_builder.config import FRAMES_PER_SECOND, FetchConfig
from m3w_builder.errors import MediaError

MIN_PROMISED_SHARE = 0.5  # of the frames that the declared duration promises
MAX_PIXELS = 64 * 10**6  # of a decoded frame
MAX_MEMORY = 2 * 2**30  # bytes of address space of ffmpeg; 8K video takes about one
MAX_OUTPUT = 16 * 2**20  # bytes of one file that ffmpeg writes: a frame, or its log
ROOM = 2**20  # bytes; a disk that has no room for them is full
PRINTED = 0.01  # seconds: how exactly ffmpeg prints a duration
SLACK = 0.1  # seconds that the sound may be longer than the pictures
JPEG_SCALE = 3  # ffmpeg's -q:v: 2 is best, 31 worst

# Magic bytes -> demuxer. MPEG-TS and -PS have no name at a fixed place, but sync bytes.
SNIFF: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), demuxer)
    for pattern, demuxer in (
        (rb"....(ftyp(?!avif|avis|hei|mif1|msf1|hev)|moov|mdat|wide|free|skip|pnot)", "mov"),
        (rb"\x1a\x45\xdf\xa3", "matroska"),
        (rb"RIFF....AVI ", "avi"),
        (rb"OggS", "ogg"),
        (rb"FLV\x01", "flv"),
        (rb"GIF8[79]a", "gif"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
        (rb"\0\0\x01\xba", "mpeg"),
        (rb"G.{187}G.{187}G", "mpegts"),
    )
)
HEAD = 1024  # bytes looked at
FORMATS = {"mov": "mp4", "matroska": "mkv", "mpegts": "ts", "asf": "wmv"}  # else the demuxer's name

_DURATION = re.compile(
    r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)(?:, start: (-?[\d.]+))?", re.MULTILINE
)
_VIDEO = re.compile(r"^  Stream #0:\d+.*?: Video: (\w+).*?, (\d+)x(\d+)(.*)$", re.MULTILINE)
_AUDIO = re.compile(r"^  Stream #0:\d+.*?: Audio: ", re.MULTILINE)
_RATE = re.compile(r", ([\d.]+)(k?) (?:fps|tbr)\b")
_ROTATION = re.compile(r"^      Display Matrix: rotation of (-?[\d.]+) degrees", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SampledVideo:
    """The frames of a video and what its headers say."""

    format: str  # mp4 | mkv | avi | ogg | ...
    seconds: float  # as declared; the number of frames where nothing is declared
    fps: float  # 0 when unknown
    codec: str
    width: int  # pixels, as shown (turned by its rotation), before scaling
    height: int
    audio: bool
    frames: tuple[tuple[int, Path], ...]  # (t in seconds, JPEG file)
    detail: str = ""  # what was missing, if anything


def sample_frames(path: Path, *, config: FetchConfig, folder: Path) -> SampledVideo:
    """Returns the video at `path` with one JPEG per second written to `folder`; raises MediaError.

    The longer side is at most `config.frame_side` square pixels, never enlarged. At most
    `config.max_frames` frames in at most `config.video_seconds` seconds of work.
    Reasons: not_a_video, no_video_track, no_frames, video_truncated, video_damaged, video_timeout.
    """
    with path.open("rb") as file:
        demuxer = sniff_video(file.read(HEAD))
    if not demuxer:
        raise MediaError("not_a_video")
    log = _run(_command(path, demuxer, config, folder), folder, config.video_seconds)
    log = log.replace(str(path), "")  # equal files give equal details, wherever they lie
    frames = tuple(enumerate(sorted(folder.glob("*.jpg"))))
    return _described(log, FORMATS.get(demuxer, demuxer), frames, config.max_frames)


def sniff_video(head: bytes) -> str:
    """Returns the ffmpeg demuxer of a container by its first bytes, or "" for none we read."""
    return next((demuxer for pattern, demuxer in SNIFF if pattern.match(head)), "")


def _command(path: Path, demuxer: str, config: FetchConfig, folder: Path) -> list[str]:
    """Returns the command line. `V` is a video track that is not a cover picture."""
    source = ffmpeg.input(
        f"file:{path}",
        f=demuxer,
        format_whitelist=demuxer,
        protocol_whitelist="file",
        threads=1,
        max_pixels=MAX_PIXELS,
    )
    # Pixels may be oblong (sar): the frame is stored as it is shown. Sides are even for 4:2:0.
    shrink = f"min(min(1,1/sar),{config.frame_side}/max(iw*sar,ih))"
    frames = (
        source["V:0"]
        .filter("fps", fps=FRAMES_PER_SECOND, round="up", start_time=0)
        .filter(
            "scale",
            w=f"max(2,trunc(iw*sar*{shrink}/2)*2)",
            h=f"max(2,trunc(ih*{shrink}/2)*2)",
            flags="bicubic+accurate_rnd+full_chroma_int+bitexact",
        )
        .filter("setsar", 1)
        .filter("format", "yuvj420p")
    )
    output = frames.output(
        f"file:{folder}/%06d.jpg",
        f="image2",
        fps_mode="passthrough",
        map_metadata=-1,
        flags="+bitexact",
        fflags="+bitexact",
        threads=1,
        start_number=0,
        **{"frames:v": config.max_frames, "c:v": "mjpeg", "q:v": JPEG_SCALE},
    )
    limits = ("-filter_threads", "1", "-filter_complex_threads", "1", "-max_alloc", str(2**29))
    quiet = ("-hide_banner", "-nostdin", "-nostats", *limits)
    command: list[str] = output.global_args(*quiet).compile(cmd=get_ffmpeg_exe())
    return command


def _run(command: list[str], folder: Path, seconds: float) -> str:
    """Runs ffmpeg and returns its log; raises MediaError video_timeout.

    Its exit status does not say whether a video is good: it is 0 for half a file, and not 0 for a
    few broken frames. On a full disk it is not 0 either, and that is no fault of the video.
    """
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        )
        try:
            _limit(process.pid)
            if process.wait(seconds):
                _expect_room(folder)
        except subprocess.TimeoutExpired as error:
            raise MediaError("video_timeout", f"not decoded within {seconds:g} s") from error
        finally:
            process.kill()
            process.wait()
    with log.open(errors="replace") as text:
        return text.read(MAX_OUTPUT)


def _expect_room(folder: Path) -> None:
    """Raises the OSError that ffmpeg may have met when it wrote a frame."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(ROOM))


def _limit(pid: int) -> None:
    """Limits a running child from outside: code between fork and exec is not safe with threads.

    Only Linux can; elsewhere ffmpeg's own limits (pixels, size of one allocation, time) remain.
    """
    if not hasattr(resource, "prlimit"):
        return
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_FSIZE, MAX_OUTPUT)):
        try:
            resource.prlimit(pid, limit, (value, value))
        except ProcessLookupError:
            return


def _described(
    log: str, container: str, frames: tuple[tuple[int, Path], ...], max_frames: int
) -> SampledVideo:
    """Returns the result, from the part of ffmpeg's log that describes the input."""
    head = log.partition("\nOutput #0")[0]
    video, duration = _VIDEO.search(head), _declared_seconds(head)
    if not video:
        if "\n  Stream #0:" in head:
            raise MediaError("no_video_track")
        raise MediaError("video_damaged", _last_words(log))
    seconds = duration or float(len(frames))
    # What a frame shows after the end (the last one's length is a guess) is no frame of the video.
    frames = frames[: math.floor(seconds + PRINTED) * FRAMES_PER_SECOND + 1]
    promised = min(math.ceil((seconds - SLACK) * FRAMES_PER_SECOND), max_frames)
    if not frames:
        raise MediaError("no_frames")
    if container == "ogg":  # an empty packet means no change; the duration is of the packets there
        frames += tuple((t, frames[-1][1]) for t in range(len(frames), promised))
    if len(frames) < promised * MIN_PROMISED_SHARE:
        raise MediaError("video_truncated", f"{len(frames)} of {promised} frames")
    width, height = _shown_size(video, head)
    rate = _RATE.search(video[4])
    return SampledVideo(
        format=container,
        seconds=seconds,
        fps=float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0,
        codec=video[1],
        width=width,
        height=height,
        audio=_AUDIO.search(head) is not None,
        frames=frames,
        detail=f"{len(frames)} of {promised} frames" if len(frames) < promised else "",
    )


def _declared_seconds(head: str) -> float | None:
    """Returns the duration of the headers; None without one, or where ffmpeg guesses by bitrate."""
    found = _DURATION.search(head)
    if not found or "Estimating duration from bitrate" in head:
        return None
    end = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
    # Matroska tells when it ends, the others how long they are.
    start = float(found[4] or 0) if head.startswith("Input #0, matroska") else 0.0
    return round(end - max(start, 0.0), 2)


def _shown_size(video: re.Match[str], head: str) -> tuple[int, int]:
    width, height = int(video[2]), int(video[3])
    of_this_stream = head[video.end() :].partition("\n  Stream #")[0]
    rotation = _ROTATION.search(of_this_stream)
    turned = rotation and round(float(rotation[1]) / 90) % 2
    return (height, width) if turned else (width, height)


def _last_words(log: str) -> str:
    """Returns the last line, which names what stopped ffmpeg; without the addresses it prints."""
    lines = log.strip().splitlines() or [""]
    return re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ", "", lines[-1])[:200]
