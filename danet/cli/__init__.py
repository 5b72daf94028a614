"""The `danet` command: prepares, checks, splits, trains, labels, draws, estimates, exports and imports.

What a user can put right is said in one line on stderr, with exit code 2.
"""

import codecs
import io
import json
import logging
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from danet.cli.data import check_command, prepare_command, split_command
from danet.cli.imports import import_app
from danet.cli.labels import draw_command, predict_command, stream_command
from danet.cli.networks import estimate_command, export_app
from danet.cli.train import train_command
from danet.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="View-invariant action recognition from skeletons.",
    epilog="danet COMMAND --help shows what a command takes, and an example.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"danet {version('danet')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Holds the options that belong to no command."""


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare_command,
    "check": check_command,
    "split": split_command,
    "train": train_command,
    "predict": predict_command,
    "stream": stream_command,
    "draw": draw_command,
    "estimate": estimate_command,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(export_app, name="export")
app.add_typer(import_app, name="import")


def exit_code(command: Callable[[], object]) -> int:
    """Runs a command: 0 when it ends well, 2 and one line on stderr when the user can put it right."""
    try:
        command()
    except UserError as error:
        print(f"danet: {error}", file=sys.stderr)
        return 2
    return 0


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """What a terminal's letters cannot spell, as JSON escapes it."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def main() -> None:
    """The `danet` command."""
    codecs.register_error("danet", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="danet")
    logging.basicConfig(level=logging.WARNING, format="danet: %(message)s")
    sys.exit(exit_code(app))
