"""The import rule of the house: a module imports from its own layer or from lower ones, never in a
circle; Beam, torch and the network each live in one place. A new room is put on the plan here."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "schemas types errors config urls files sandbox processes",
    "dom text images metadata video language licences tables optouts subtitles",
    "interleave pairs rules dedup near samples stages tombstones histograms privacy safety",
    "warc fetch media frames journal packs shards render report inputs archives collect reuse wanted "
    "capfilt extract select write check pages waterfall verify remove typical whatif decontaminate",
    "flamingo transforms",
    "pipelines",
    "cli __main__",
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms.split()}
ONLY_IN = {  # library -> the rooms that may import it
    "apache_beam": ("pipelines", "transforms"),
    "torch": ("flamingo",),
    "requests": ("fetch",),
    "urllib3": ("fetch",),
    "socket": ("fetch",),
    "http.client": ("fetch",),
    "urllib.request": ("fetch",),
}
MAY_CATCH_ALL = ("cli", "sandbox")  # prints one line; carries the error to the parent process
FILES = [
    path
    for package in ("schemas", "m3w_builder", "pipelines")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path != ROOT / "m3w_builder" / "__init__.py"
]
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def room(name: str) -> str:
    """Returns the room of a dotted module: "m3w_builder.cli.build" -> "cli"; "" for a library."""
    package, _, rest = name.partition(".")
    if package == "m3w_builder":
        return rest.split(".")[0]
    return package if package in LAYER else ""


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> Iterator[str]:
    """Yields the dotted name of everything a file imports, imports inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@EACH
def test_module_is_on_the_plan(path: Path) -> None:
    assert room(module(path)) in LAYER, f"{path.name}: give the new room a layer in {__file__}"


@EACH
def test_module_imports_no_higher_layer(path: Path) -> None:
    own = LAYER.get(room(module(path)), 0)
    higher = [name for name in imports(path) if LAYER.get(room(name), 0) > own]
    assert not higher


@EACH
def test_library_is_imported_only_in_its_room(path: Path) -> None:
    own = room(module(path))
    strays = [
        name
        for name in imports(path)
        for library, rooms in ONLY_IN.items()
        if f"{name}.".startswith(f"{library}.") and not own.startswith(rooms)
    ]
    assert not strays


@EACH
def test_no_except_swallows_every_error(path: Path) -> None:
    handlers = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and re.search(r"\bBase|\bException\b", ast.unparse(node.type or ast.Name("Exception")))
        and not isinstance(node.body[-1], ast.Raise)  # tidies up and raises on
    ]
    assert not handlers or room(module(path)) in MAY_CATCH_ALL, handlers[0].lineno


def test_rooms_do_not_import_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        own = room(module(path))
        graph.setdefault(own, set()).update({room(name) for name in imports(path)} - {own, ""})
    assert list(TopologicalSorter(graph).static_order())
