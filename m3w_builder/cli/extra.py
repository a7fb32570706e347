"""Modules that need the extra `train`, imported when a verb asks for them: what is missing is one line."""

from importlib import import_module
from types import ModuleType

from m3w_builder.errors import TrainError

EXTRA = ("torch", "safetensors", "transformers", "tokenizers")


def loaded(name: str) -> ModuleType:
    """Returns a module of m3w_builder.flamingo; raises TrainError where a library is missing or broken."""
    try:
        return import_module(f"m3w_builder.flamingo.{name}")
    except ModuleNotFoundError as error:
        if error.name in EXTRA:
            raise TrainError(
                f"training needs {error.name}: pip install 'm3w-builder[train]'"
            ) from error
        cause = _first(error)
        if "torchvision" not in str(cause):
            raise
        raise TrainError(
            f"transformers does not load beside this torchvision ({cause}): pip uninstall torchvision,"
            " for nothing here needs it, or install the one of torch's own build"
        ) from error


def _first(error: BaseException) -> BaseException:
    """Returns what an error began with."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
