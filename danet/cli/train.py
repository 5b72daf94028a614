"""The command that trains on own recordings: train."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from danet.cli.options import CORES
from danet.config.settings import LARGEST_SEED
from danet.errors import one_line
from danet.extras import train_extra


def train_command(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES.csv", help="The table: path, label, subject, view.")],
    out: Annotated[Path, typer.Option(help="The weights.safetensors to write.")],
    start: Annotated[Path | None, typer.Option("--from", help="Weights to start from, of any actions.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Epochs, however long.", show_default="by the minutes")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="The time that all may take.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="What is random follows from it.")] = 0,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings, laid over the defaults.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads, and files read at a time.")] = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object of what was measured.")] = False,
) -> None:
    """Train a network on recordings of your own, and tell how well it labels people whom it has not seen.

    First a network learns from a part of the rows and is tried on the rest: on
    people held out, or on repetitions where there is one person. Then one learns
    from all rows, and is written. Rows whose column split says test are tried on,
    and never learnt from.

    Example: danet train samples.csv --out weights.safetensors
    """
    with train_extra("train"):
        from danet.training.own import train_own

    def say(text: str) -> None:
        tqdm.write(f"danet: {one_line(text)}", file=sys.stderr)

    measured = train_own(
        samples,
        out,
        seed=seed,
        epochs=epochs,
        minutes=minutes,
        config=config,
        start=start,
        threads=threads,
        say=say,
    )
    if as_json:
        print(json.dumps(measured))
