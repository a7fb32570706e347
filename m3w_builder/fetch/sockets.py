"""Sockets that refuse private addresses and keep to a deadline, and the session that uses them.

The deadline holds for every single read (headers, chunk sizes, TLS records), so a server that
sends a byte a second ends with it; a plain socket's timeout begins anew with each byte.
"""

import logging
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import certifi
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch.addresses import is_public

HOSTS_KEPT = 64  # connection pools that stay open

# urllib3 logs a traceback for each damaged header, which hostile servers send on purpose.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class OutOfTimeError(MediaError):
    """All the time of a download is used up: another try would take as long."""


@dataclass(slots=True)
class _Terms:
    """What the download that runs in this thread may do; `deadline` is of the monotonic clock."""

    config: FetchConfig
    deadline: float

    def patience(self, limit: float) -> float:
        """Returns the seconds the next wait may take; raises MediaError after the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTimeError("timeout", f"more than {self.config.total_seconds:g} s in total")
        return min(left, limit)


_TERMS: ContextVar[_Terms] = ContextVar("terms")


@contextmanager
def terms(config: FetchConfig) -> Iterator[None]:
    """Holds every socket used inside to the limits of `config`, counted from now."""
    token = _TERMS.set(_Terms(config, time.monotonic() + config.total_seconds))
    try:
        yield
    finally:
        _TERMS.reset(token)


@contextmanager
def off_the_clock() -> Iterator[None]:
    """Does not count the time of the block against the download: it waits for us, not for its server."""
    start = time.monotonic()
    try:
        yield
    finally:
        _TERMS.get().deadline += time.monotonic() - start


def _wait_for_read(sock: socket.socket) -> None:
    now = _TERMS.get()
    sock.settimeout(now.patience(now.config.read_seconds))


class _Socket(socket.socket):
    """A socket that reads within the terms."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        _wait_for_read(self)
        return super().recv_into(*args, **options)


class _TlsSocket(ssl.SSLSocket):
    """The same over TLS."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        _wait_for_read(self)
        return super().recv_into(*args, **options)


def connect(host: str, port: int) -> socket.socket:
    """Returns a connected socket: one look-up, all of its addresses vetted, no second look-up.

    The look-up itself has the resolver's own time limit (resolv.conf), not ours.
    """
    now = _TERMS.get()
    found = _resolve(host, port)
    if not now.config.allow_private:
        for *_, address in found:
            if not is_public(str(address[0])):
                raise MediaError("private_address", f"{host} is {address[0]}")
        if port not in now.config.ports:
            raise MediaError("port_refused", f"port {port} is not one of {now.config.ports}")
    error: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = _Socket(family, kind, protocol)
        try:
            sock.settimeout(now.patience(now.config.connect_seconds))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
            return sock
        except OSError as failure:
            sock.close()
            error = failure
        except MediaError:
            sock.close()
            raise
    if isinstance(error, TimeoutError):
        raise MediaError("timeout", f"no connection within {now.config.connect_seconds:g} s")
    raise MediaError("unreachable", f"{host}: {error.strerror if error else 'no address'}")


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise MediaError("unreachable", f"{host}: {error.strerror}") from error
    except (UnicodeError, ValueError) as error:  # an empty or overlong label, a NUL
        raise MediaError("bad_url", f"{host!r} is no host name") from error


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return connect(self.host, self.port or 80)


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return connect(self.host, self.port or 443)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def tls_context() -> ssl.SSLContext:
    """Returns a verifying context with the system's certificates and certifi's; takes 20 ms."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Session:
    """Open connections and one TLS context, shared by the threads of a worker.

    No proxy, no cookies, no .netrc: nothing of the machine's environment goes to a server.
    """

    def __init__(self, config: FetchConfig, context: ssl.SSLContext | None = None) -> None:
        context = context or tls_context()
        context.sslsocket_class = _TlsSocket
        self.pools = PoolManager(HOSTS_KEPT, maxsize=config.per_host, ssl_context=context)
        self.pools.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        self.headers = {
            "User-Agent": config.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",  # pictures do not get smaller
        }

    def close(self) -> None:
        """Closes the idle connections."""
        self.pools.clear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
