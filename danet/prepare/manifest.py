"""Raw folders in, one table out: every file found, what its name says, and whether it is used."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pandas as pd

from danet.datasets.dataset import Dataset
from danet.errors import UserError

COLUMNS = ["name", "file", "size", "mtime_ns", "action", "subject", "view", "setup", "performance", "aside"]
LEFT_OUT = "on the authors' list of missing skeletons"
NO_SAMPLE = "no sample of this data set by its name"
TWICE = "another file of the same sample comes first"
NO_TEXT = "its path is not UTF-8"


def raw_folders(dataset: Dataset, data: str | Path) -> list[Path]:
    """Where a data set's raw files lie below the data folder."""
    return [Path(data) / folder for folder in dataset.folders]


def find_files(folders: Sequence[Path], suffixes: Sequence[str]) -> list[tuple[Path, os.stat_result | None]]:
    """Every file with one of the suffixes, at any depth, in the order of names; None where a file cannot be looked at.

    A folder of such a name is one of them, so that it does not go unseen. Links to folders are not followed, so that a
    loop of links ends. Errors: UserError for a folder that is missing or cannot be opened.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: wanted a folder of raw recordings, found none")
        for top, inner, files in os.walk(folder, onerror=_refuse_folder):
            paths = [Path(top, name) for name in inner + files if name.endswith(tuple(suffixes))]
            found += [(path, _stat(path)) for path in paths]
    return sorted(found, key=lambda item: (item[0].name, item[0]))


def _refuse_folder(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename}: wanted a folder that can be read, found: {error.strerror}") from None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def listing_hash(folders: Sequence[Path], suffixes: Sequence[str]) -> str:
    """A hash over name, size and time of every raw file: changes when one is added, removed or edited in place."""
    digest = hashlib.blake2b(digest_size=16)
    for path, stat in find_files(folders, suffixes):
        digest.update(os.fsencode(path) + f"\0{stat and stat.st_size}\0{stat and stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _as_text(path: str) -> str:
    """The path, with bytes that are no UTF-8 spelt out: a table cannot hold them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def make_manifest(dataset: Dataset, folders: Sequence[Path]) -> pd.DataFrame:
    """One row a file, by sample name: `file` (its path), size in bytes, time, what the name says, and `aside`.

    `aside` is empty for a file that is used, else the reason why it is not. `action` counts from 0, -1 where unknown.
    """
    rows = []
    seen = set()
    for path, stat in find_files(folders, dataset.suffixes):
        sample = dataset.parse_name(path.stem)
        name = sample.name if sample else _as_text(path.stem)
        file = _as_text(str(path))
        aside = NO_SAMPLE if not sample else LEFT_OUT if name in dataset.left_out else TWICE if name in seen else ""
        if not aside and file != str(path):
            aside = NO_TEXT
        if not aside:
            seen.add(name)
        said = (
            (sample.action, sample.subject, sample.view, sample.setup, sample.performance)
            if sample
            else (-1, -1, "", -1, "")
        )
        rows.append((name, file, stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0, *said, aside))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["name", "file"], ignore_index=True)
