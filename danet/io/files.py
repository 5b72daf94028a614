"""Writes files that appear whole or not at all: under another name in the same folder first, then renamed."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from danet.errors import UserError


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`; on success it takes its name, on failure it is removed.

    The temporary name is fixed, so that what a killed run leaves behind is overwritten by the next.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.is_dir():  # said before the work, not when it is done
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise UserError(f"{path}: expected to write it, got: {reason}") from error
    finally:
        with suppress(OSError):  # also where its folder is none: what went wrong first is what matters
            partial.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file whole, in UTF-8."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Writes `value` as indented JSON; numbers that are not finite are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def readable_json(value: object, indent: int | None = None) -> str:
    """`value` as JSON with letters of every script, and with what a terminal would act on as its escape sequence."""
    lines = json.dumps(value, indent=indent, ensure_ascii=False).split("\n")
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        for line in lines
    )


def read_json(path: str | Path) -> dict:
    """Reads a JSON object."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
