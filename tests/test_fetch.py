"""Downloads against a server that misbehaves on purpose; each drop has its reason."""

import gzip
import io
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from server import BODY, CERTIFICATE, Handler, serve, server

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch import Response, Session, download
from m3w_builder.fetch.addresses import is_public
from m3w_builder.fetch.bodies import _gunzipped
from m3w_builder.fetch.download import retry_after

CONFIG = FetchConfig(allow_private=True)
HASTY = CONFIG.model_copy(update={"total_seconds": 0.7})
GUARDED = CONFIG.model_copy(update={"allow_private": False})


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session(CONFIG) as one:
        yield one


def get(url: str, session: Session, config: FetchConfig = CONFIG) -> Response:
    return download(url, config=config, session=session, max_bytes=10**6)


def reason(url: str, session: Session, config: FetchConfig = CONFIG) -> tuple[str, str]:
    with pytest.raises(MediaError) as caught:
        get(url, session, config)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    "path",
    [
        "ok.jpg",
        "lying_type",
        "chunked",
        "no_length",
        "gzip",
        "gzip_twice",
        "gzip_members",
        "deflate",
        "bare_deflate",
        "brotli",
        "drop_once",
        "redirect",
        "redirect?hops=4&status=308",
    ],
)
def test_body_arrives_decoded_and_whole(path: str, base: str, session: Session) -> None:
    assert get(f"{base}/{path}", session).body == BODY


def test_response_names_the_last_url_and_the_type(base: str, session: Session) -> None:
    answer = get(f"{base}/redirect?hops=2", session)
    assert (answer.final_url, answer.content_type, answer.status) == (
        f"{base}/ok.jpg",
        "image/jpeg",
        200,
    )


def test_body_goes_into_a_file(base: str, session: Session) -> None:
    file = io.BytesIO()
    url = f"{base}/gzip"
    answer = download(url, config=CONFIG, session=session, max_bytes=10**6, into=file)
    assert (answer.body, file.getvalue()) == (b"", BODY)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nothing", ("http_status", "404")),
        ("gone", ("http_status", "410")),
        ("error", ("http_status", "503")),
        ("empty", ("empty_body", "")),
        ("redirect?hops=6", ("too_many_redirects", "more than 5")),
        ("redirect?to=file:///etc/passwd", ("bad_redirect", "302 to 'file:///etc/passwd'")),
        ("redirect_nowhere", ("bad_redirect", "302 to ''")),
        ("announces_a_terabyte", ("too_large", "1099511627776 bytes announced, at most 1000000")),
        ("announces_5000_digits", ("too_large", f"{'9' * 20} bytes announced, at most 1000000")),
        ("endless", ("too_large", "more than 1000000 bytes")),
        ("zip_bomb", ("too_large", "more than 1000000 bytes")),
        ("brotli_bomb", ("too_large", "more than 1000000 bytes")),
        ("unknown_coding", ("bad_encoding", "Content-Encoding: zstd")),
    ],
)
def test_drop_has_its_reason_and_detail(
    path: str, expected: tuple[str, str], base: str, session: Session
) -> None:
    assert reason(f"{base}/{path}", session) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("cut", "truncated_body"),
        ("cut_chunked", "truncated_body"),
        ("gzip_cut", "truncated_body"),
        ("brotli_cut", "truncated_body"),
        ("gzip_lie", "bad_encoding"),
        ("many_headers", "bad_response"),
        ("long_header", "bad_response"),
        ("not_http", "bad_response"),
    ],
)
def test_damaged_answer_has_its_reason(
    path: str, expected: str, base: str, session: Session
) -> None:
    assert reason(f"{base}/{path}", session)[0] == expected


@pytest.mark.parametrize("path", ["drip", "drip_headers", "silent"])
def test_slow_server_ends_at_the_total(path: str, base: str, session: Session) -> None:
    start = time.monotonic()
    assert reason(f"{base}/{path}", session, HASTY)[0] == "timeout"
    assert time.monotonic() - start < 5  # the servers take 30 s and more


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x.jpg",
        "data:image/png;base64,AAAA",
        "//example.com/x.jpg",
        "x.jpg",
        "",
        "http://",
        "http://exa mple.com:99999/",
    ],
)
def test_what_is_no_web_address_is_not_fetched(url: str, session: Session) -> None:
    assert reason(url, session)[0] == "bad_url"


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.com", "a%00b.com"])
def test_impossible_host_name_is_a_reason(host: str, session: Session) -> None:
    assert reason(f"http://{host}/", session)[0] in ("bad_url", "unreachable")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
        "169.254.169.254",
        "10.1.2.3",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_private_address_is_refused_however_it_is_spelled(host: str, session: Session) -> None:
    assert reason(f"http://{host}:1/x.jpg", session, GUARDED)[0] == "private_address"


def test_guard_holds_on_a_real_server(base: str, session: Session) -> None:
    with server() as (own, handler), Session(GUARDED) as guarded:
        assert reason(f"{own}/ok.jpg", guarded, GUARDED)[0] == "private_address"
        assert handler.hits == {}


def test_guard_meets_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first host counts as public, as a server on the internet would."""
    lookup = {"public.example": "127.0.0.1", "inner.example": "127.0.0.2"}
    monkeypatch.setattr("m3w_builder.fetch.sockets.is_public", lambda ip: ip == "127.0.0.1")
    real = socket.getaddrinfo

    def resolve(host: str, port: int, **options: int) -> object:
        return real(lookup.get(host, host), port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with server() as (base, handler), Session(GUARDED) as guarded:
        port = base.rpartition(":")[2]
        config = GUARDED.model_copy(update={"ports": (int(port),)})
        inner = f"http://inner.example:{port}/ok.jpg"
        url = f"http://public.example:{port}/redirect?to={inner}"
        assert reason(url, guarded, config) == (
            "private_address",
            "inner.example is 127.0.0.2",
        )
        assert list(handler.hits) == ["/redirect"]


def test_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **o: found)
    with Session(GUARDED) as guarded:
        assert reason("http://rebinding.example/", guarded, GUARDED)[0] == "private_address"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("2002:808:808::1", True),
        ("100.64.0.1", False),
        ("168.63.129.16", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("240.0.0.1", False),
        ("::", False),
    ],
)
def test_only_public_unicast_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_unknown_host_and_closed_port_are_unreachable(session: Session) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert reason(f"http://127.0.0.1:{port}/", session)[0] == "unreachable"
    assert reason("http://no-such-host.invalid/", session)[0] == "unreachable"


def test_credentials_and_environment_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with server() as (base, handler), Session(CONFIG) as own:
        url = base.replace("//", "//user:secret@")
        assert get(f"{url}/ok.jpg", own).final_url == f"{base}/ok.jpg"
        assert set(handler.seen["/ok.jpg"]) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}


def test_credentials_stand_in_no_message(base: str, session: Session) -> None:
    for url in (
        "ftp://user:secret@example.com/",
        f"{base}/redirect?to=ftp://user:secret@example.com/",
    ):
        assert "secret" not in " ".join(reason(url, session))


def test_negative_chunk_size_is_refused_before_the_rest_is_read(session: Session) -> None:
    def negative(request: Handler) -> None:
        request.head(Transfer_Encoding="chunked", Connection="close")
        request.wfile.write(b"-1\r\n" + bytes(3 * 10**6))
        request.close_connection = True

    with server(own={"/negative": negative}) as (own, _):
        assert reason(f"{own}/negative", session)[0] == "truncated_body"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_or_nothing(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_member_of_gzip_may_begin_between_two_reads() -> None:
    members = gzip.compress(b"one") + gzip.compress(b"two")
    cut = len(gzip.compress(b"one")) + 1
    assert b"".join(_gunzipped(iter([members[:cut], members[cut:]]))) == b"onetwo"


def test_tls_is_verified(session: Session) -> None:
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with serve(tls=True) as base, Session(CONFIG, context) as trusting:
        assert get(f"{base}/ok.jpg", trusting).body == BODY
        assert reason(f"{base}/drip", trusting, HASTY)[0] == "timeout"
        assert reason(f"{base}/ok.jpg", session)[0] == "tls_error"


def test_connections_are_kept_and_shared_by_threads() -> None:
    with server() as (base, handler), Session(CONFIG) as own:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: get(f"{base}/ok.jpg", own), range(20)))
        assert len(handler.clients) <= 2
