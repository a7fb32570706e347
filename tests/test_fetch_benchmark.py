"""The benchmark of fetching: distinct photographs, a server of its own, a figure for every client."""

import json
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import clients, fetch
from benchmarks.photographs import drawn, has_photographs, photographs
from benchmarks.web import serving


def test_photographs_are_distinct_and_the_same_every_time(tmp_path: Path) -> None:
    assert not has_photographs(tmp_path)
    sources = drawn(tmp_path / "drawn")
    assert has_photographs(sources)
    one, two = (photographs(sources, tmp_path / name, 12) for name in ("one", "two"))
    bodies = [path.read_bytes() for path in one]
    assert len(set(bodies)) == 12
    assert bodies == [path.read_bytes() for path in two]
    for path in one:
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert 0.1e6 < image.width * image.height < 3.1e6


@pytest.mark.parametrize("nginx", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_server_closes_connections_only_when_told(tmp_path: Path, keep: bool, nginx: bool) -> None:
    (tmp_path / "a.jpg").write_bytes(b"body")
    with (
        serving(tmp_path, tmp_path, keep=keep, nginx=nginx) as site,
        socket.create_connection(("127.0.0.1", site.ports["http"]), timeout=10) as sock,
    ):
        assert (b"Connection: close" in answer(sock)) is not keep
        assert bool(answer(sock)) is keep


def answer(sock: socket.socket) -> bytes:
    """Asks for the file; returns the answer, b"" where the connection is closed."""
    received = b""
    try:
        sock.sendall(b"GET /a.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
        while not received.endswith(b"body") and (piece := sock.recv(4096)):
            received += piece
    except ConnectionError:
        return b""
    return received


@pytest.mark.parametrize("nginx", [True, False])
def test_server_sends_the_files_over_both_schemes(tmp_path: Path, nginx: bool) -> None:
    files, work = tmp_path / "files", tmp_path / "work"
    files.mkdir()
    work.mkdir()
    (files / "a.jpg").write_bytes(b"body")
    with serving(files, work, hosts=3, nginx=nginx) as site:
        trusting = ssl.create_default_context(cafile=site.bundle)
        for scheme in ("http", "https"):
            found = site.urls(scheme, ["a.jpg"] * 4)
            assert len(set(found)) == 3
            for url in found:
                with urllib.request.urlopen(url, context=trusting) as answer:
                    assert answer.read() == b"body"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(found[0].replace("a.jpg", "b.jpg"), context=trusting)


def test_client_that_misses_an_image_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="expected 2 images, received 1"):
        clients.timed(lambda urls: 1, ["http://a/1", "http://a/2"])


def test_figures_are_medians_and_ratios_are_of_them() -> None:
    spent = [{"images": 10, "cpu": cpu, "wall": 0.5} for cpu in (0.03, 0.01, 0.02)]
    found = fetch.figures(
        {"ours_http": spent, "pycurl_http": [{"images": 1, "cpu": 0.001, "wall": 1}]}
    )
    assert found["ours_http_cpu_ms"] == 2.0
    assert found["ours_http_cpu_ms_min"] == 1.0
    assert found["ours_http_images_s"] == 20.0
    full = fetch.with_ratios({**found, "img2dataset_http_cpu_ms": 5.0})
    assert (full["limit_client"], full["limit_cpu_ms"]) == ("pycurl", 1.0)
    assert (full["http_img2dataset_over_ours"], full["http_share_of_limit"]) == (2.5, 0.5)
    assert full["https_img2dataset_over_ours"] is None


@pytest.mark.slow
def test_json_has_every_row_and_a_reason_for_what_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment without img2dataset and without pip."""
    for name in ("SSL_CERT_FILE", "NO_ALBUMENTATIONS_UPDATE"):
        monkeypatch.setenv(name, "")  # main sets them; this puts them back
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)
    given = [
        "--json",
        "--images=24",
        "--repeats=1",
        f"--work={tmp_path}",
        f"--img2dataset={python}",
    ]
    fetch.main([*given, f"--photographs={tmp_path}"])
    found = json.loads(capsys.readouterr().out)
    assert found["photographs"] == "drawn"
    for name in ("ours_http", "ours_https", "urllib3_http", "work", "limit"):
        assert found[f"{name}_cpu_ms"] > 0
        assert found[f"{name}_images_s"] > 0
    assert found["img2dataset_http_cpu_ms"] is None
    assert "pip" in found["img2dataset_http_reason"]
