"""One worker's way to the network: what it may ask, what it asked already, and how much it may hold."""

from pathlib import Path
from threading import Lock, Semaphore
from urllib.parse import urlsplit

from m3w_builder.config import FetchConfig, RightsConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch.budget import Budget, Room
from m3w_builder.fetch.consent import Consent, formats
from m3w_builder.fetch.download import Headers, Response, Sink, StatusError, download
from m3w_builder.fetch.records import MAX_BYTES, Records, now
from m3w_builder.fetch.sockets import Session
from m3w_builder.optouts import Kind
from m3w_builder.types import OptOut
from m3w_builder.warc.heads import header


class Client:
    """Connections, consent and memory, shared by the threads of a worker.

    `records` is the folder where what the hosts say is kept.
    """

    def __init__(
        self,
        config: FetchConfig,
        rights: RightsConfig,
        records: Path | None = None,
        session: Session | None = None,
    ) -> None:
        self.config = config
        self.consent = Consent(rights, config.user_agent)
        self.budget = Budget(config.bytes_in_flight)
        self._session = session or Session(config)
        self._lock = Lock()
        self._gates: dict[str, Semaphore] = {}
        self._records = Records(self._file, self.consent.agent, records, config.attempts)

    def get(
        self,
        url: str,
        kind: Kind,
        *,
        max_bytes: int,
        room: Room | None = None,
        into: Sink | None = None,
        conditions: Headers = (),
    ) -> tuple[Response, tuple[OptOut, ...]]:
        """Returns the answer and the opt-outs found on the way that are not respected; raises MediaError.

        The bytes of a body in memory are taken from `room`; one that goes `into` a file needs none.
        """
        way = _Way(self, kind, room if into is None else None)
        try:
            answer = download(
                url,
                config=self.config,
                session=self._session,
                max_bytes=max_bytes,
                into=into,
                checks=way,
                conditions=conditions,
            )
        except MediaError as error:
            error.where = way.asked
            raise
        finally:
            way.leave()
        return answer, tuple(dict.fromkeys(way.found))

    def delay(self, url: str) -> float:
        """Returns the seconds between two requests that a robots.txt asks for, at most the longest pause.

        0 when it asks for none, or is not known.
        """
        site = self._records.known(url)
        asked = site.robots.delay if site else None
        return min(asked or 0.0, self.config.max_pause_seconds)

    def url_optouts(self, url: str) -> list[OptOut]:
        """Returns what the user's lists and the site itself say of a URL."""
        return [*self.consent.of_url(url), *self._records.site(url).optouts(url)]

    def type_optouts(self, url: str, content_type: str) -> list[OptOut]:
        """Returns what the site says of what a URL turned out to be."""
        found = self._records.site(url).of_type(url, formats(content_type))
        return [found] if found else []

    def _file(self, url: str) -> tuple[int, bytes]:
        """Returns status and body of a small file of a site; an answer without a body has b""."""
        try:
            answer = download(url, config=self.config, session=self._session, max_bytes=MAX_BYTES)
        except StatusError as error:
            return error.status, b""
        except MediaError as error:
            if error.reason == "empty_body":
                return 200, b""
            raise
        return answer.status, answer.body

    def gate(self, host: str) -> Semaphore:
        """Returns what lets `per_host` downloads at once into a host that redirects lead to."""
        with self._lock:
            return self._gates.setdefault(host, Semaphore(self.config.per_host))

    def forgive(self) -> None:
        """Forgets which hosts could not be reached: a new unit of work asks them anew."""
        self._records.forgive()

    def close(self) -> None:
        """Closes the idle connections."""
        self._session.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Way:
    """The checks of one download, and what they found."""

    def __init__(self, client: Client, kind: Kind, room: Room | None) -> None:
        self._client = client
        self._kind: Kind = kind
        self._room = room
        self.found: list[OptOut] = []
        self.asked = ""
        self._gate: Semaphore | None = None

    def url(self, url: str) -> None:
        host = urlsplit(url).netloc
        if self.asked and urlsplit(self.asked).netloc != host:
            self.leave()  # before another is entered: nobody waits in a circle
            self._gate = self._client.gate(host)
            self._gate.acquire()
        self.asked = url
        self._note(self._client.url_optouts(url))

    def answer(self, url: str, headers: Headers) -> None:
        if self._kind == "text":
            return  # a page: extract reads its headers together with its meta elements
        self._note(self._client.consent.of_answer(headers, url, now()))
        self._note(self._client.type_optouts(url, header(headers, "content-type")))

    def leave(self) -> None:
        """Lets another download in at the host that a redirect led to."""
        if self._gate is not None:
            self._gate.release()
            self._gate = None

    def size(self, size: int) -> None:
        if self._room is not None:
            self._room.take(size)

    def _note(self, found: list[OptOut]) -> None:
        if found:
            self.found += found
            self._client.consent.require(self.found, self._kind)
