"""What can go wrong, as a tree; each message says what was expected, what was found, what to do.

M3WError
  ConfigError   a wrong or contradictory option: raised before any work starts
  InputError    an input that is missing, empty or not of a known kind
  OutputError   an output folder that cannot be used: another configuration's, full, read-only
  PageError     one page cannot become a document: turned into a Reject, never fatal
  MediaError    one image or video cannot be used: turned into a Media row with its reason
  ShardError    a damaged or foreign shard: a one-line error of the CLI
  TrainError    a training run that cannot start or go on
"""


class M3WError(Exception):
    """Base of every error that is the input's or the user's, not a bug of ours."""


class ConfigError(M3WError):
    """A wrong or contradictory option; names the key, what was expected and what was found."""


class InputError(M3WError):
    """An input that is missing, empty or of no known kind."""


class OutputError(M3WError):
    """An output folder that cannot be used as it is."""


class ShardError(M3WError):
    """A shard or dataset that is damaged or not ours."""


class TrainError(M3WError):
    """A training run that cannot start or go on."""


class DropError(M3WError):
    """One item is dropped: `reason` is the counter, the reject row and the assertion in the test."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class PageError(DropError):
    """One page cannot become a document."""


class MediaError(DropError):
    """One image or video cannot be fetched, decoded or used; `where` is the URL that was asked last."""

    where = ""
