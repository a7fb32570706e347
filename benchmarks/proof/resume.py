"""Exact resume: `m3w train` is killed (SIGKILL) at random updates, goes on, and ends as if it never was.

The processes are real, so is the kill, which comes at any moment of an update. What is compared is every row
of both logs: losses, gradient norms and gates, bit for bit as JSON keeps doubles, and at the end every learnt
weight.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m3w_builder.config import toml
from m3w_builder.files import make_folder, write_text
from m3w_builder.flamingo import checkpoint
from m3w_builder.flamingo import log as logs
from m3w_builder.flamingo.config import Run

STEPS, SAVE_EVERY, KILLS = 40, 4, 3
MEASURED = ("seconds", "waited", "tokens_per_second", "images_per_second")  # times, not results


def proof(run: Run, folder: Path, seed: int) -> dict[str, Any]:
    """Returns where a run was killed and whether it ended like the one that was not."""
    short = {"steps": STEPS, "save_every": SAVE_EVERY, "pairs_first": STEPS // 4, "seed": seed}
    run = run.model_copy(update={"train": run.train.model_copy(update=short)})
    shutil.rmtree(folder, ignore_errors=True)  # of a proof that was stopped itself
    config = make_folder(folder) / "config.toml"
    write_text(config, toml.as_toml(run))
    whole, killed = folder / "whole", folder / "killed"
    dice = random.Random(f"kills/{seed}")
    places = sorted(dice.sample(range(2, STEPS), KILLS))
    finish(start(config, whole))
    died = [kill(start(config, killed), killed, place, dice) for place in places]
    finish(start(config, killed))
    rows, again = results(whole), results(killed)
    same_weights = (whole / checkpoint.LEARNT).read_bytes() == (
        killed / checkpoint.LEARNT
    ).read_bytes()
    return {
        "seed": seed,
        "updates": STEPS,
        "killed_after": died,
        "rows_identical": len(rows) == STEPS and rows == again,
        "weights_identical": same_weights,
    }


def start(config: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "m3w_builder", "train"]
    command += ["--config", str(config), "--output", str(output)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, error = process.communicate()
    if process.returncode:
        raise RuntimeError(error.decode())


def kill(process: subprocess.Popen[bytes], output: Path, place: int, dice: random.Random) -> int:
    """Kills a run once its log has `place` updates; returns how many it had then."""
    while len(results(output)) < place:
        if process.poll() is not None:
            finish(process)
            raise RuntimeError(f"the run ended before update {place}")
        time.sleep(0.01)
    time.sleep(dice.uniform(0, 0.2))  # anywhere within the updates that follow
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return len(results(output))


def results(folder: Path) -> list[Mapping[str, Any]]:
    """Returns the rows of a run's log without the times."""
    return [
        {name: value for name, value in row.items() if name not in MEASURED}
        for row in logs.read(folder)
    ]
