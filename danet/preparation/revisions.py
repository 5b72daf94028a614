"""Says what each raw file holds, in a text that changes with its content; size and times only say where to look.

A file that is seen for the first time is not read: its revision is made of its size and time. The parse stage, which
reads every file, writes the revision of each beside a hash of what it read. A file whose size or times have changed
since is read, and has that revision where the hash is the same. So a copy or a touch changes nothing.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from danet.datasets.readers.raw_file import LARGEST_BYTES
from danet.errors import UserError
from danet.io.files import read_file, write_text, written_whole

REMEMBERED = ".raw_files.json"
PARSED = "contents.parquet"
READERS = 8  # files read at a time
YOUNG = 2_000_000_000  # nanoseconds: a file may change once more at the same time, where times are whole seconds
LARGEST_MEMORY = 1 << 30  # bytes


class RawFile(NamedTuple):
    """A raw file: name and path, size in bytes and times in nanoseconds, all 0 where it cannot be looked at."""

    name: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def text(self) -> str:
        """The path as tables hold it."""
        return spelt_in_utf8(self.path)


def spelt_in_utf8(path: str) -> str:
    """The path, with bytes that are no UTF-8 spelt out: a table cannot hold them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def content_hash(path: str) -> str:
    """A hash of a file's bytes; empty for what cannot be read as a raw file is."""
    try:
        return hashlib.blake2b(read_file(path, LARGEST_BYTES), digest_size=16).hexdigest()
    except UserError:
        return ""


def write_contents(path: Path, manifest: pd.DataFrame, hashes: dict[str, str]) -> None:
    """Writes the hash of each file of the manifest beside its revision."""
    table = manifest[["file", "revision"]].assign(content=manifest["file"].map(hashes))
    with written_whole(path) as partial:
        table.to_parquet(partial)


def revisions(files: Sequence[RawFile], results: Path) -> list[str]:
    """The revision of each file. What is remembered of them lies in `results`, the folder of the data set's results.

    Where that folder cannot be written to, files that were touched are read each time.
    """
    remembered = _remembered(results / REMEMBERED)
    new = [file for file in files if file.text not in remembered]
    touched = [file for file in files if file.text in remembered and remembered[file.text][:3] != list(file[2:])]
    for file in new:
        remembered[file.text] = [*file[2:], _first_revision(file)]
    parsed = _parsed(results / PARSED) if touched else {}
    settled = time.time_ns() - YOUNG
    with ThreadPoolExecutor(READERS) as pool:
        hashes = pool.map(content_hash, [file.path for file in touched])
        bar = tqdm(hashes, desc="raw files with another time", total=len(touched), disable=None, delay=1)
        for file, content in zip(touched, bar, strict=True):
            revision = parsed.get((file.text, content), content or _first_revision(file))
            looked_at = file[2:] if max(file.mtime_ns, file.ctime_ns) < settled else (0, 0, 0)
            remembered[file.text] = [*looked_at, revision]
    if new or touched:
        with suppress(UserError):
            write_text(results / REMEMBERED, json.dumps(remembered))
    return [remembered[file.text][3] for file in files]


def _first_revision(file: RawFile) -> str:
    return f"{file.size}-{file.mtime_ns}"


def _remembered(path: Path) -> dict[str, list]:
    """Size, times and revision of each file; nothing where none were written, or no longer can be read."""
    try:
        rows = json.loads(read_file(path, LARGEST_MEMORY))
        return {file: row for file, row in rows.items() if len(row) == 4 and isinstance(row[3], str)}
    except (UserError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _parsed(path: Path) -> dict[tuple[str, str], str]:
    """By file and hash of its content, the revision that was parsed."""
    try:
        table = pd.read_parquet(path, columns=["file", "content", "revision"])
    except (OSError, ValueError):
        return {}
    read = table[table["content"] != ""]
    return dict(zip(zip(read["file"], read["content"], strict=True), read["revision"], strict=True))
