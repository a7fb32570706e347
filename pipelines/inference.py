"""The models of CapFilt behind Beam's RunInference."""

import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference import base
from apache_beam.ml.inference.base import ModelHandler, RunInference

from m3w_builder.capfilt.annotate import Annotations, Unit, annotate
from m3w_builder.capfilt.plugins import Models, loaded
from m3w_builder.config import Config

# Beam 2.77 forgets the module where torch is missing, and warns of that whenever a model is loaded.
base.resource = base.resource or resource


def ask(config: Config, packs: Path) -> beam.PTransform:
    """Returns what answers units: PCollection[Unit] -> PCollection[Annotations]."""
    return RunInference(_Handler(config, packs))


class _Handler(ModelHandler):
    """Answers whole units; the models themselves are asked by batches of `capfilt.batch` images."""

    def __init__(self, config: Config, packs: Path) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._config = config
        self._packs = packs

    def load_model(self) -> Models:
        """Returns the plug-ins: once per process."""
        return loaded(self._config.capfilt)

    def run_inference(
        self, batch: Sequence[Unit], model: Models, _arguments: dict[str, Any] | None = None
    ) -> Iterator[Annotations]:
        """Yields what the models say of each unit."""
        for unit, pairs in batch:
            yield annotate(unit, pairs, model, self._packs, self._config)

    def get_num_bytes(self, _batch: Sequence[Unit]) -> int:
        """Returns 0: what is read are files; Beam would pickle the references to measure them."""
        return 0
