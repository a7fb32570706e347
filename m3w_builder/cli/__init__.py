"""The command line: each module registers its verbs, so that adding one is one name here."""

from m3w_builder.cli import build, decontaminate, frames, remove, shards, train, whatif
from m3w_builder.cli.root import app, run

for _verbs in (build, decontaminate, frames, remove, shards, train, whatif):
    _verbs.register(app)

__all__ = ["app", "run"]
