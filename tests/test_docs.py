"""The documentation says what the program does: its verbs are in the README, the README's
commands exist, `make help` explains every target."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.main

from m3w_builder.cli import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
VERBS = sorted(getattr(typer.main.get_command(app), "commands"))  # noqa: B009 - of click's Group

needs_readme = pytest.mark.skipif(not README.exists(), reason="README.md is not written yet")


def commands(markdown: str) -> list[str]:
    """Returns the lines of the code blocks that run m3w, without the prompt."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", markdown, re.DOTALL | re.MULTILINE)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("m3w ")]


@needs_readme
def test_every_verb_in_the_readme_exists() -> None:
    named = {line.split()[1] for line in commands(README.read_text(encoding="utf-8"))}
    assert named
    assert {verb for verb in named if not verb.startswith("-")} <= set(VERBS)


@needs_readme
@pytest.mark.parametrize("verb", VERBS)
def test_readme_mentions_the_verb(verb: str) -> None:
    assert re.search(rf"\bm3w {verb}\b", README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_the_verb_has_an_example(verb: str) -> None:
    text = getattr(typer.main.get_command(app), "commands")[verb].help or ""  # noqa: B009
    assert f"Example: m3w {verb}" in text


def test_make_help_lists_every_target() -> None:
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")}
    assert set(targets) == listed


def test_demonstration_uses_only_verbs_that_exist() -> None:
    script = (ROOT / "examples" / "demo.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"^\s*step m3w (\w+)", script, re.MULTILINE)) <= set(VERBS)
