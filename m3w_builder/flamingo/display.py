"""What a person sees of a run: a line every few steps, and the current step live on a terminal."""

from collections.abc import Iterable, Iterator

from rich.console import Console

from m3w_builder.flamingo.train import Row

NAMES = {"lm": "byte LM", "flamingo": "Flamingo"}


def shown(rows: Iterable[Row], steps: int, console: Console) -> Iterator[Row]:
    """Yields the rows and prints about seven of them; `steps` is how many will come."""
    every = max(1, steps // 6)
    with console.status("reading shards") as status:
        for row in rows:
            status.update(line(row))
            if row["step"] == 1 or row["step"] % every == 0:
                console.print(line(row), highlight=False, soft_wrap=True)
            yield row


def line(row: Row) -> str:
    """Returns a row as one line: phase, step, losses in nats per token, mean gates."""
    text = f"{NAMES[row['phase']]:8}  step {row['step']:4d}  loss {row['loss']:.3f}"
    for kind, loss in row.get("losses", {}).items():
        text += f"  {kind} {loss:.3f}"
    if gates := row.get("gates"):
        attention, dense = (sum(values) / len(gates) for values in zip(*gates, strict=True))
        text += f"  gates {attention:.4f} {dense:.4f}"
    return text
