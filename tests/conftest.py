"""What holds for every test: a property is about values, not about how busy the machine is; how m3w is called."""

import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

from m3w_builder.cli import run

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def m3w(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Returns a call of the command line: (exit code, stdout, stderr), of worker processes too."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["m3w", *map(str, arguments)])
        capfd.readouterr()  # what was printed before is not its own
        with pytest.raises(SystemExit) as exit_:
            run()
        captured = capfd.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call
