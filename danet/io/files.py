"""Reads files up to a bound, and writes files that appear whole or not at all.

They are written under another name in the same folder first, then renamed.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from danet.errors import UserError, shown

LARGEST_TEXT = 1 << 30  # bytes of a text file of a run
DAY = 86_400.0  # seconds
MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yields an empty file in the folder of `path`; on success it takes its name, on failure it is removed.

    The file has a name of its own and is made exclusively. So two writers of one target do not mix, and a link that
    somebody put there is not followed. What killed runs left of the same target is removed first.
    """
    path = Path(path)
    partial = partial_name(path)
    try:
        if path.is_dir():  # said before the work, not when it is done
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: expected to write it, got: {reason_of(error)}") from error
    finally:
        with suppress(OSError):  # also where its folder is none: what went wrong first is what matters
            partial.unlink()


def partial_name(path: Path) -> Path:
    """A name beside `path` that no other writer takes; by it `written_whole` sweeps what a killed run left."""
    return path.with_name(f".{path.name}.{MACHINE}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def _sweep(path: Path) -> None:
    """Removes what killed runs left of this target: of processes of this machine that are gone, or a day old.

    A process of another machine that shares the folder cannot be asked for, and none writes nothing for a day.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.((?P<machine>\w+)-(?P<process>\d+)-\w+\.)?partial")
    with os.scandir(path.parent) as entries:
        found = [(entry, match) for entry in entries if (match := pattern.fullmatch(entry.name))]
    for entry, match in found:
        with suppress(OSError):  # another process has swept it
            gone = match["machine"] == MACHINE and not _runs(int(match["process"]))
            if gone or time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY:
                os.unlink(entry)


def _runs(process: int) -> bool:
    """Whether this machine has such a process, as far as can be told."""
    if sys.platform == "win32":
        return True  # there, asking ends it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


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


def read_file(
    path: str | Path,
    most: int,
    *,
    what: str = "a file",
    refuse: Callable[[str, str], UserError] | None = None,
) -> bytes:
    """The bytes of a file, of which there may be `most`; a pipe or a device, which would never end, is not opened.

    `refuse` makes the error from what was expected and what was got; `what` the file is expected to be. Errors:
    UserError, or what `refuse` makes.
    """
    refuse = refuse or (lambda expected, got: UserError(f"{path}: expected {expected}, got {got}"))
    if "\0" in os.fspath(path):
        raise refuse(what, "none")
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise refuse(what, "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device")
        with open(path, "rb") as file:
            content = file.read(min(status.st_size, most) + 1)
            if len(content) > status.st_size:  # it grows, or does not tell its size
                content += file.read(most + 1 - len(content))
    except OSError as error:
        raise refuse(what, what_instead(error)) from None
    if len(content) > most:
        size = f"one of {status.st_size:,} bytes" if status.st_size > most else "a longer one"
        raise refuse(f"{what} of at most {most:,} bytes", size)
    return content


def why_no_json(error: ValueError | RecursionError) -> str:
    """What keeps a text from being JSON, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "lists or objects too deep, one inside the other"
    return "what is no UTF-8" if isinstance(error, UnicodeError) else "a number of too many digits"


def what_instead(error: OSError) -> str:
    """What there is instead of a file that can be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "none"
    return "one that may not be read" if isinstance(error, PermissionError) else f"an error: {reason_of(error)}"


def reason_of(error: OSError) -> str:
    """What the system says of an error, in one line."""
    return os.strerror(error.errno) if error.errno else " ".join(str(error).split())


def read_json(path: str | Path) -> dict:
    """Reads a JSON object. Errors: UserError when the file is missing or holds something else."""
    content = read_file(path, LARGEST_TEXT, what="a JSON object")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a JSON object, got {why_no_json(error)}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {shown(value)}")
    return value
