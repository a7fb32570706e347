"""Tensors into safetensors files: the learnt part, states, encoders, features."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from m3w_builder.files import atomic


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file whole or not at all, for whoever may read files of ours."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        with refused(path):
            save_file(plain, temporary, about)
        temporary.chmod(mode)  # safetensors leaves 0600


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Raises what the disk says (full, read-only) as an OSError: safetensors puts it into words alone."""
    try:
        yield
    except SafetensorError as error:
        if not (number := re.search(r"os error (\d+)", str(error))):
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
