"""Video frames at exactly t = 0, 1, 2 ... seconds (or at another rate), as JPEG files, by one run of ffmpeg.

The frame of t is the one on screen at t: the last whose time is not after t (before the first frame
the first). t = 0 is where the container starts. ffmpeg's plain `fps=1` is half a second late;
`round=up:start_time=0` gives these. docs/video.md has every real clip against a full decode.

ffmpeg gets a container that was recognised here by its magic bytes and is named with `-f`: playlists
and scripts (HLS, DASH, concat, SDP), which make it open other files and sockets, never reach it. It
gets the file as an open descriptor, and `fd` is the only protocol it may read from: no name can be
opened. It runs in a process of its own with limits on time, memory and output, one thread, and flags
that make equal input give equal bytes.

What ffmpeg prints about a file is not to be trusted: names of tags may contain line breaks, and with
them whole lines of its log. So everything comes from tables without texts that it writes beside the
frames (framecrc: the streams and the time of every packet), except the declared duration, which
counts only where the log has that line once.

What a damaged file still gives is kept: at least half of the frames that its duration promises (the
rest is told in `detail`), else it is `video_truncated`. Without a declared duration nothing is
promised.
"""

import math
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import ffmpeg
from imageio_ffmpeg import get_ffmpeg_exe

from m3w_builder.config import FRAMES_PER_SECOND, FetchConfig
from m3w_builder.errors import MediaError

MIN_PROMISED_SHARE = 0.5  # of the frames that the declared duration promises
MAX_PIXELS = 64 * 10**6  # of a decoded frame
MAX_MEMORY = 2 * 2**30  # bytes of address space of ffmpeg; 8K video takes about one
MAX_OUTPUT = 64 * 2**20  # bytes of one file that ffmpeg writes: a frame, a log, 10^6 packets' times
MAX_LOG = 2**20  # bytes; a longer one is not looked at for a duration
ROOM = 2**20  # bytes; a disk that has no room for them is full
ROUNDED = Fraction(2, 1000)  # seconds: containers round times to milliseconds
PRINTED = Fraction(1, 100)  # seconds: ffmpeg prints a duration so exactly
CUT = Fraction(1, 4)  # seconds that all streams end before the declared end: the rest is missing
JPEG_SCALE = 3  # ffmpeg's -q:v: 2 is best, 31 worst
NO_TIME = -(2**63)
DISCARDED = 4  # the flag of a packet that is decoded but, by the edit list, not shown

# Magic bytes -> demuxer and name. MPEG-TS and -PS have no name at a fixed place, but sync bytes.
SNIFF: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), demuxer, name)
    for pattern, demuxer, name in (
        (rb"....ftypqt  ", "mov", "mov"),
        (rb"....(ftyp(?!avif|avis|hei|mif1|msf1|hev)|moov|mdat|wide|free|skip|pnot)", "mov", "mp4"),
        (rb"\x1a\x45\xdf\xa3.{1,60}webm", "matroska", "webm"),
        (rb"\x1a\x45\xdf\xa3", "matroska", "mkv"),
        (rb"RIFF....AVI ", "avi", "avi"),
        (rb"OggS", "ogg", "ogg"),
        (rb"FLV\x01", "flv", "flv"),
        (rb"GIF8[79]a", "gif", "gif"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", "wmv"),
        (rb"\0\0\x01\xba", "mpeg", "mpeg"),
        (rb"G.{187}G.{187}G", "mpegts", "ts"),
    )
)
# What names other files: HLS, DASH, ffconcat, SDP, PLS, ASX, SMIL, ASF and QuickTime redirectors.
PLAYLIST = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:\#EXTM3U|\#EXT-X-|ffconcat\ version|v=0\r?\n|\[(?:playlist|reference)\]"
    rb"|RTSPtext|SMILtext|(?:<\?(?:[^>]*)>\s*|<!--.*?-->\s*)*<(?:MPD|asx|smil|playlist)\b)",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
HEAD = 1024  # bytes looked at

_DURATION = re.compile(
    r"^  Duration: (?:N/A|(\d+):(\d\d):(\d\d\.\d+))(?:, start: (-?[\d.]+))?", re.MULTILINE
)
_FIELD = re.compile(r"#(tb|media_type|codec_id|dimensions) (\d+): (.+)")


@dataclass(frozen=True, slots=True)
class SampledVideo:
    """The frames of a video and what is known of it."""

    format: str  # mp4 | mov | webm | mkv | avi | ogg | ...
    seconds: float  # as declared where the file bears it out, else of what is there
    fps: float  # as declared, else the mean rate of the frames; 0 when unknown
    codec: str
    width: int  # pixels, as shown (turned by its rotation), before scaling
    height: int
    audio: bool
    frames: tuple[tuple[int, Path], ...]  # (instant t: second t / rate, JPEG file)
    sources: tuple[int, ...]  # for each of them the number of the frame of the video that it shows
    detail: str = ""  # what was missing, if anything


@dataclass(slots=True)
class _Stream:
    """A stream of a file, from the times of its packets, counted in units from the container's start."""

    kind: str = ""
    codec: str = ""
    unit: Fraction = Fraction(1)  # seconds
    shown: int = 0  # packets that are
    first: int = 0
    last: int = 0
    end: int = 0  # of the last packet
    clocked: bool = True  # every packet lasts one unit: that is the rate, as AVI and Ogg declare it

    @property
    def seconds(self) -> Fraction:
        """When its last packet ends."""
        return self.end * self.unit

    @property
    def rate(self) -> float:
        """Frames per second: as declared, else their mean, or what one frame's duration says."""
        frames, span = (1, 1) if self.clocked else (self.shown - 1, self.last - self.first)
        if frames < 1 or span <= 0:
            frames, span = 1, self.end - self.last
        return round(float(frames / (span * self.unit)), 3) if span > 0 and self.unit > 0 else 0.0


def sample_frames(
    path: Path, *, config: FetchConfig, folder: Path, rate: int = FRAMES_PER_SECOND
) -> SampledVideo:
    """Returns the video at `path` with `rate` JPEGs per second written to `folder`; raises MediaError.

    The longer side is at most `config.frame_side` square pixels, never enlarged. At most
    `config.max_frames` frames in at most `config.video_seconds` seconds of work.
    Reasons: not_a_video, video_playlist, no_video_track, no_frames, video_truncated, video_damaged,
    video_timeout.
    """
    with path.open("rb", buffering=0) as file:
        demuxer, name = sniff_video(file.read(HEAD))
        file.seek(0)
        log = _run(_command(demuxer, config, rate), file, folder, config.video_seconds)
    return _described(name, log, folder, config.max_frames, rate)


def sniff_video(head: bytes) -> tuple[str, str]:
    """Returns the ffmpeg demuxer and our name of a container by its first bytes.

    Raises MediaError video_playlist or not_a_video.
    """
    for pattern, demuxer, name in SNIFF:
        if pattern.match(head):
            return demuxer, name
    if PLAYLIST.match(head):
        raise MediaError("video_playlist", "it names other files, which are not fetched")
    raise MediaError("not_a_video")


def _command(demuxer: str, config: FetchConfig, rate: int = FRAMES_PER_SECOND) -> list[str]:
    """Returns the command line; it writes where it runs. `V` is a video track that is not a cover picture.

    Three outputs share one decoder: the frames; the first frame's size as it is decoded and turned;
    the times of all packets, which are copied and not decoded.
    """
    inside = {"enable_drefs": 0, "use_absolute_path": 0} if demuxer == "mov" else {}
    source = ffmpeg.input(
        "fd:",
        fd=0,
        f=demuxer,
        format_whitelist=demuxer,
        protocol_whitelist="fd",
        threads=1,
        max_pixels=MAX_PIXELS,
        **inside,
    )
    # Pixels may be oblong (sar): the frame is stored as it is shown. Sides are even for 4:2:0.
    shrink = f"min(min(1,1/sar),{config.frame_side}/max(iw*sar,ih))"
    frames = (
        source["V:0"]
        .filter("fps", fps=rate, round="up", start_time=0)
        .filter(
            "scale",
            w=f"max(2,trunc(iw*sar*{shrink}/2)*2)",
            h=f"max(2,trunc(ih*{shrink}/2)*2)",
            flags="bicubic+accurate_rnd+full_chroma_int+bitexact",
        )
        .filter("setsar", 1)
        .filter("format", "yuvj420p")
    )
    pictures = frames.output(
        "file:%06d.jpg",
        f="image2",
        fps_mode="passthrough",
        map_metadata=-1,
        flags="+bitexact",
        fflags="+bitexact",
        threads=1,
        start_number=0,
        stats_enc_pre_fmt="{pts} {tb} {ni}",
        **{
            "frames:v": config.max_frames,
            "c:v": "mjpeg",
            "q:v": JPEG_SCALE,
            "stats_enc_pre:v": "file:frames",
        },
    )
    shown = ffmpeg.output(
        source["V:0"],
        "file:shown",
        f="framecrc",
        fps_mode="passthrough",
        **{"frames:v": 1, "c:v": "rawvideo"},
    )
    packets = ffmpeg.output(source["V:0"], source["a?"], "file:packets", f="framecrc", c="copy")
    limits = ("-filter_threads", "1", "-filter_complex_threads", "1", "-max_alloc", str(2**29))
    quiet = ("-hide_banner", "-nostdin", "-nostats", *limits)
    outputs = ffmpeg.merge_outputs(pictures, shown, packets).global_args(*quiet)
    command: list[str] = outputs.compile(cmd=get_ffmpeg_exe())
    return command


def _run(command: list[str], video: BinaryIO, folder: Path, seconds: float) -> str:
    """Runs ffmpeg on an open file and returns its log; raises MediaError video_timeout.

    Its exit status does not say whether a video is good: it is 0 for half a file, and not 0 for a
    few broken frames. On a full disk it is not 0 either, and that is no fault of the video.
    """
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=video, stdout=subprocess.DEVNULL, stderr=stderr, cwd=folder
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


def _described(container: str, log: str, folder: Path, max_frames: int, rate: int) -> SampledVideo:
    """Returns the result, from the files that ffmpeg wrote."""
    video, *sounds = _streams(folder / "packets") or [_Stream()]
    if video.kind != "video":
        if "matches no streams" in log:
            raise MediaError("no_video_track")
        raise MediaError("video_damaged", _last_words(log))
    frames, size = _frames(folder, rate), _size(folder / "shown")
    if not frames or not size:
        raise MediaError("no_frames", _last_words(log))
    reach = max(stream.seconds for stream in (video, *sounds))
    declared = _declared_seconds(log, container)
    cut = declared is not None and reach < declared - CUT
    seconds = declared - PRINTED if declared and cut else video.seconds - ROUNDED
    promised = min(max(math.ceil(seconds * rate), 1), max_frames)
    # What ffmpeg shows after the end (the last frame's length is a guess) is no frame of the video.
    frames = [
        frame
        for frame in frames
        if frame[0] <= video.last * video.unit * rate or frame[0] < promised
    ] or frames[:1]
    if container == "ogg":  # an empty packet means no change
        _, path, source = frames[-1]
        frames += [(t, path, source) for t in range(len(frames), promised)]
    if len(frames) < promised * MIN_PROMISED_SHARE:
        raise MediaError("video_truncated", f"{len(frames)} of {promised} frames")
    return SampledVideo(
        format=container,
        seconds=round(float(_agreed(declared, reach)), 3),
        fps=video.rate,
        codec=video.codec,
        width=size[0],
        height=size[1],
        audio=bool(sounds),
        frames=tuple((t, path) for t, path, _ in frames),
        sources=tuple(source for *_, source in frames),
        detail=f"{len(frames)} of {promised} frames" if len(frames) < promised else "",
    )


def _agreed(declared: Fraction | None, measured: Fraction) -> Fraction:
    """Returns the declared duration, or the measured one where that says the same more exactly."""
    return measured if declared is None or abs(declared - measured) <= PRINTED else declared


def _frames(folder: Path, rate: int) -> list[tuple[int, Path, int]]:
    """Returns for each JPEG its instant, its file and the number of the video's frame it shows."""
    rows = (line.split() for line in _lines(folder / "frames"))
    return [
        (int(int(pts) * Fraction(unit) * rate), path, int(source))
        for path, (pts, unit, source) in zip(sorted(folder.glob("*.jpg")), rows, strict=False)
    ]


def _size(shown: Path) -> tuple[int, int] | None:
    """Returns width and height of the first frame; None where there is none."""
    lines = [*_lines(shown)]
    found = [
        match[3] for line in lines if (match := _FIELD.match(line)) and match[1] == "dimensions"
    ]
    if not found or lines[-1].startswith("#"):
        return None
    width, height = found[0].split("x")
    return int(width), int(height)


def _streams(packets: Path) -> list[_Stream]:
    """Returns the streams of a framecrc table: the video first, then the sound tracks."""
    streams: dict[str, _Stream] = {}
    for line in _lines(packets):
        if field := _FIELD.match(line):
            name, number, value = field.groups()
            stream = streams.setdefault(number, _Stream())
            if name == "tb":
                stream.unit = Fraction(value)
            elif name == "media_type":
                stream.kind = value
            elif name == "codec_id":
                stream.codec = value
        elif line[0] != "#":
            _count(line.replace(" ", "").split(","), streams)
    return list(streams.values())


def _count(packet: list[str], streams: dict[str, _Stream]) -> None:
    """Adds a packet to its stream: stream, dts, pts, duration, size, checksum[, F=flags][, ...]."""
    number, dts, pts, duration, _, _, *rest = packet
    start = int(pts)
    if start == NO_TIME:
        start = int(dts)
    if start == NO_TIME or any(int(x[4:], 16) & DISCARDED for x in rest if x[:4] == "F=0x"):
        return
    stream = streams[number]
    stream.first = min(stream.first, start) if stream.shown else start
    stream.last = max(stream.last, start) if stream.shown else start
    stream.end = max(stream.end, start + int(duration))
    stream.clocked = stream.clocked and duration == "1"
    stream.shown += 1


def _lines(path: Path) -> Iterable[str]:
    """Yields the whole lines of a file that ffmpeg wrote, none where it did not come to that."""
    if path.exists():
        with path.open(encoding="ascii", errors="replace") as file:
            yield from (line[:-1] for line in file if line.endswith("\n") and line != "\n")


def _declared_seconds(log: str, container: str) -> Fraction | None:
    """Returns the duration that the headers declare, None where they do not or cannot be trusted.

    That is: without one, where ffmpeg guesses by bitrate, and where a text of the file looks like one.
    """
    found = [*_DURATION.finditer(log)] if len(log) <= MAX_LOG else []
    if len(found) != 1 or not found[0][1] or "Estimating duration from bitrate" in log:
        return None
    hours, minutes, seconds, start = found[0].groups()
    end = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    # Matroska tells when it ends, the others how long they are.
    late = max(Fraction(start or 0), Fraction(0))
    return end - late if container in ("webm", "mkv") else end


def _last_words(log: str) -> str:
    """Returns the last line, which names what stopped ffmpeg; without the addresses it prints."""
    lines = log.strip().splitlines() or [""]
    return re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ", "", lines[-1])[:200]
