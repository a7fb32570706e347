"""The command line: each module registers its verbs, so that adding one is one name here."""

from m3w_builder.cli import (
    build,
    contrast,
    decontaminate,
    evaluate,
    frames,
    remove,
    shards,
    train,
    whatif,
)
from m3w_builder.cli.root import app, run

for _verbs in (
    build,
    frames,
    shards,
    whatif,
    decontaminate,
    remove,
    train,
    contrast,
    evaluate,
):
    _verbs.register(app)

__all__ = ["app", "run"]
