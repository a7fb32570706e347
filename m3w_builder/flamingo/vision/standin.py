"""timm and open_clip without a torchvision that works beside this torch.

Both import torchvision for a class of theirs to compare with and for transforms that we do not use.
PyPI's wheel of it is a CUDA build: beside a CPU build of torch it cannot be imported, and takes
timm, open_clip and the model classes of transformers with it. So where it is missing or broken,
they are given empty classes under its names, and nothing else sees those.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from m3w_builder.errors import TrainError

NAME = "torchvision"
PIP = {"open_clip": "open_clip_torch"}


def library(name: str) -> ModuleType:
    """Returns timm or open_clip, with torchvision where that works; raises TrainError."""
    try:
        if works():
            return import_module(name)
        # It asks for torchvision once and keeps the answer: before there is something to be found.
        import_module("transformers.utils").is_torchvision_available()
        with _standing_in():
            return import_module(name)
    except ModuleNotFoundError as error:
        wanted = str(error.name).partition(".")[0]
        raise TrainError(
            f"vision: expected the package {name}, found no {wanted}: pip install {PIP.get(name, name)}"
        ) from error


def works() -> bool:
    """Returns whether torchvision can be imported."""
    try:
        import_module(NAME)
    except (
        ImportError,
        RuntimeError,
        OSError,
    ):  # RuntimeError: "operator torchvision::nms does not exist"
        _forget()
        return False
    return True


@contextmanager
def _standing_in() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


class _Finder(MetaPathFinder, Loader):
    """Finds every module of torchvision, with every name in it."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.partition(".")[0] == NAME else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Empty(type):
    """Makes classes of which every attribute is such a class."""

    def __getattr__(cls, name: str) -> type:
        return _empty(name)


class _Module(ModuleType):
    __path__: list[str] = []  # noqa: RUF012, a package of whatever is asked for

    def __getattr__(self, name: str) -> type:
        return _empty(name)


def _empty(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Empty(name, (), {})
