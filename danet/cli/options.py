"""What several commands have in common."""

import os
from typing import Annotated

import typer

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

RecordedLayout = Annotated[
    str, typer.Option(help="Joint layout of the recordings, by name or YAML file.", show_default="that of the weights")
]
