"""The benchmark of frames on a clip whose numbers are known: CPU times, who is right, how late the others are."""

import json
import subprocess
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.frames import full_decode, main, on_screen


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    source = ("-f", "lavfi", "-i", "testsrc2=s=320x240:d=4:r=25", "-output_ts_offset", "3")
    subprocess.run((get_ffmpeg_exe(), "-v", "error", *source, str(path)), check=True)
    return path


def test_full_decode_counts_from_the_start_of_the_container(clip: Path) -> None:
    times = full_decode(clip)
    assert times == pytest.approx([n / 25 for n in range(100)], abs=1e-6)
    assert [on_screen(times, t) for t in (-1, 0, 0.99, 1, 99)] == [0, 0, 24, 25, 99]


def test_one_json_object(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(clip), "--rounds", "1", "--exact", "--json"])
    found = json.loads(capsys.readouterr().out)
    (row,) = found["videos"]
    assert (row["frames"], row["right_instants"], row["decoded_frames"]) == (4, 4, 100)
    assert row["psnr_db"] > 30
    assert row["video2dataset_right_instants"] == 0
    assert row["video2dataset_late_s"] == pytest.approx(0.48, abs=0.05)
    for way in ("ours_cpu_s", "bare_cpu_s", "video2dataset_cpu_s"):
        assert found[way] == pytest.approx(row[way], abs=0.001)
        assert row[way] > 0
    assert found["ours_over_bare"] == pytest.approx(row["ours_cpu_s"] / row["bare_cpu_s"], abs=0.05)


def test_table_has_a_line_per_clip_and_the_sum(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(clip), "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| clip.mkv", "| all"]
    assert len({line.count("|") for line in lines}) == 1


def test_no_video_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent.mp4")])
