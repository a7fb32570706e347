"""`python -m m3w_builder` is `m3w`: torchrun starts modules."""

from m3w_builder.cli import run

if __name__ == "__main__":
    run()
