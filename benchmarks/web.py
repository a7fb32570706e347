"""A fast local web server as a process of its own: http and https, keep-alive, a folder of files.

nginx where it is installed, else a small asyncio server: `python -m benchmarks.web CERTIFICATE FOLDER`.
Every address of 127.0.0.0/8 is this machine (Linux), so one server stands for many hosts.
"""

import asyncio
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi

NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on;
    keepalive_requests 100000; keepalive_timeout {idle};
    types {{ image/jpeg jpg; }}
    ssl_certificate {work}/server.pem; ssl_certificate_key {work}/server.pem;
    client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
    uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
    server {{ listen {http} backlog=4096; listen {https} ssl backlog=4096; root {folder}; }}
}}
"""
START_SECONDS = 10


@dataclass(frozen=True)
class Site:
    """A running server; `bundle` is the file of all root certificates, the server's among them."""

    name: str  # nginx | asyncio
    ports: dict[str, int]  # by scheme
    bundle: Path
    hosts: int

    def urls(self, scheme: str, names: Sequence[str]) -> list[str]:
        """Returns the URL of each file, spread over the hosts."""
        return [
            f"{scheme}://{host(n % self.hosts)}:{self.ports[scheme]}/{name}"
            for n, name in enumerate(names)
        ]


def host(number: int) -> str:
    """Returns the loopback address of a host: 127.1.0.1, 127.1.0.2, ..."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def free_port() -> int:
    """Returns a port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def certify(work: Path, hosts: int) -> Path:
    """Writes a certificate for the hosts (`server.pem`); returns the bundle of roots that has it.

    The bundle is as long as a real one: reading it is what a client pays that makes a TLS context
    for each request.
    """
    names = ",".join(f"IP:{host(n)}" for n in range(hosts))
    key, certificate = work / "key.pem", work / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=benchmark", "-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    (work / "server.pem").write_text(key.read_text() + certificate.read_text())
    bundle = work / "roots.pem"
    bundle.write_text(Path(certifi.where()).read_text() + certificate.read_text())
    return bundle


@contextmanager
def serving(
    folder: Path, work: Path, *, hosts: int = 1, keep: bool = True, nginx: bool = True
) -> Iterator[Site]:
    """Yields a server of the folder's files until the block ends; `work` holds what it writes.

    With `keep` false it closes every connection after one answer.
    """
    bundle = certify(work, hosts)
    ports = {"http": free_port(), "https": free_port()}
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found and nginx:
        settings = work / "nginx.conf"
        settings.write_text(NGINX.format(work=work, folder=folder, idle=60 * keep, **ports))
        command = [found, "-c", str(settings), "-p", str(work), "-e", str(work / "nginx.log")]
    else:
        command = [sys.executable, "-m", "benchmarks.web", str(work / "server.pem"), str(folder)]
        command += [str(number) for number in (*ports.values(), int(keep))]
    with process(command, ports["https"]):
        yield Site("nginx" if found and nginx else "asyncio", ports, bundle, hosts)


@contextmanager
def process(command: Sequence[str], port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """Runs a server as a process while the block runs; enters the block when the port answers."""
    running = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        started = time.monotonic()
        while not _answers(address, port):
            if running.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise RuntimeError(f"expected a server on port {port}: {' '.join(command)}")
            time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait()


def _answers(address: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((address, port)) == 0


async def _serve(certificate: str, folder: str, http: int, https: int, keep: int) -> None:
    bodies = {f"/{p.name}".encode(): p.read_bytes() for p in Path(folder).iterdir()}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = bodies.get(head.split(b" ", 2)[1])
                status = b"200 OK" if body is not None else b"404 Not Found"
                body = body or b""
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: image/jpeg\r\nConnection: %b\r\n"
                    b"Content-Length: %d\r\n\r\n%b"
                    % (status, b"keep-alive" if keep else b"close", len(body), body)
                )
                await writer.drain()
                if not keep:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the client went away
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    await asyncio.start_server(answer, "0.0.0.0", http, backlog=1024)
    await asyncio.start_server(answer, "0.0.0.0", https, backlog=1024, ssl=context)
    await asyncio.Event().wait()


if __name__ == "__main__":
    files, numbers = sys.argv[1:3], [int(number) for number in sys.argv[3:]]
    asyncio.run(_serve(files[0], files[1], *numbers))
