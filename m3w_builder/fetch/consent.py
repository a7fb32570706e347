"""May we? What a URL, an answer and a body reserve, and whether the user respects it."""

from collections.abc import Iterable
from mimetypes import guess_all_extensions
from mmap import mmap

from m3w_builder.config import RightsConfig
from m3w_builder.errors import MediaError
from m3w_builder.optouts import (
    Kind,
    answer_optouts,
    embedded_optouts,
    optout_lists,
    product_token,
    respected,
)
from m3w_builder.types import OptOut


class OptedOutError(MediaError):
    """A reservation of rights that is respected; `optouts` is the evidence."""

    def __init__(self, decisive: OptOut, optouts: tuple[OptOut, ...]) -> None:
        super().__init__("opted_out", f"{decisive.signal}: {decisive.found} ({decisive.where})")
        self.optouts = optouts


class Consent:
    """The user's settings about opt-outs, applied to one thing after the other."""

    def __init__(self, rights: RightsConfig, user_agent: str) -> None:
        self.agent = product_token(user_agent)
        self._ignore = rights.ignore
        self._lists = optout_lists(rights.optout_lists)

    def of_url(self, url: str) -> list[OptOut]:
        """Returns what the user's lists say of a URL."""
        found = self._lists.url(url)
        return [found] if found else []

    def of_answer(self, headers: Iterable[tuple[str, str]], where: str, when: str) -> list[OptOut]:
        """Returns what the headers of an answer reserve."""
        return list(answer_optouts(headers, agent=self.agent, where=where, when=when))

    def of_body(self, body: bytes | mmap, sha256: str, where: str, when: str) -> list[OptOut]:
        """Returns what the metadata of a file and the user's lists of hashes reserve."""
        listed = self._lists.sha256(sha256)
        return [*embedded_optouts(body, where=where, when=when), *([listed] if listed else [])]

    def require(self, found: Iterable[OptOut], kind: Kind) -> None:
        """Raises OptedOutError when one of the opt-outs is about this kind and not ignored."""
        found = tuple(dict.fromkeys(found))
        if decisive := respected(found, self._ignore, kind):
            raise OptedOutError(decisive[0], found)


def formats(content_type: str) -> tuple[str, ...]:
    """Returns the file endings of a media type ("jpg", "jpeg"), for rules that name files by them."""
    name = content_type.partition(";")[0].strip().lower()
    return tuple(ending[1:] for ending in guess_all_extensions(name, strict=False))
