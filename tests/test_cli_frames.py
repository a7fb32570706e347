"""`m3w frames`: the frames, one JSON object or a table, errors of one line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from m3w_builder.config import FetchConfig
from m3w_builder.frames import sample_frames

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=s=320x180:d=3:r=10")
    subprocess.run((get_ffmpeg_exe(), "-v", "error", *source, str(path)), check=True)
    return path


def test_one_json_object_and_the_frames_of_a_build(m3w: Call, clip: Path, tmp_path: Path) -> None:
    code, out, _ = m3w("frames", clip, "--output", tmp_path / "new" / "out", "--json")
    found = json.loads(out)
    frames = found.pop("frames")
    assert code == 0
    assert found == {
        "video": str(clip),
        "format": "mp4",
        "duration": 3.0,
        "frame_rate": 10.0,
        "codec": "h264",
        "width": 320,
        "height": 180,
        "audio": False,
        "detail": "",
    }
    assert frames == [{"t": t, "file": f"0000{t}.jpg", "source_frame": 10 * t} for t in range(3)]
    (tmp_path / "build").mkdir()
    built = sample_frames(clip, config=FetchConfig(), folder=tmp_path / "build")
    written = sorted((tmp_path / "new" / "out").iterdir())
    assert [path.name for path in written] == [frame["file"] for frame in frames]
    assert [p.read_bytes() for p in written] == [p.read_bytes() for _, p in built.frames]


def test_table_names_every_frame(m3w: Call, clip: Path, tmp_path: Path) -> None:
    code, out, _ = m3w("frames", clip, "--output", tmp_path)
    assert code == 0
    for words in ("h264", "320x180", "3 s", "10 frames/s", "00000.jpg", "00002.jpg"):
        assert words in out


def test_configuration_counts(m3w: Call, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[fetch]\nmax_frames = 2\nframe_side = 160\n")
    out = tmp_path / "out"
    m3w("frames", clip, "--output", out, "--config", tmp_path / "c.toml")
    assert [Image.open(path).size for path in sorted(out.iterdir())] == [(160, 90)] * 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "not_a_video"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "video_playlist"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video_damaged"),
        (None, "No such file"),
    ],
)
def test_error_is_one_line(m3w: Call, body: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    if body is not None:
        path.write_bytes(body)
    code, out, err = m3w("frames", path, "--output", tmp_path / "out", "--json")
    assert (code, out) == (1, "")
    assert err.startswith(f"m3w: {path}: expected a video")
    assert words in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_folder_that_cannot_be_written_is_one_line(m3w: Call, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = m3w("frames", clip, "--output", tmp_path / "file" / "out")
    assert (code, err.count("\n")) == (1, 1)


def test_frames_of_a_longer_video_do_not_stay_among_these(m3w, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "00099.jpg").write_bytes(b"another's")
    code, _, err = m3w("frames", clip, "--output", tmp_path)
    assert code == 1
    assert "expected a folder without other frames, found 00099.jpg" in err
    assert [path.name for path in tmp_path.glob("*.jpg")] == ["00099.jpg"]
