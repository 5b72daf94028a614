"""Lists the raw files of a data set: what each name says, and whether the file is used."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import pandas as pd

from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.io.files import what_instead
from danet.preparation.revisions import RawFile, revisions, spelt_in_utf8

COLUMNS = ["name", "file", "size", "revision", "action", "subject", "view", "setup", "performance", "aside"]
LEFT_OUT = "on the authors' list of missing skeletons"
NO_SAMPLE = "no sample of this data set by its name"
TWICE = "another file of the same sample comes first"
NO_TEXT = "its path is not UTF-8"
PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def raw_folders(dataset: Dataset, data: str | Path) -> list[Path]:
    """Where a data set's raw files lie below the data folder: those of its folders that are there, all if none is."""
    folders = [Path(data) / folder for folder in dataset.folders]
    return [folder for folder in folders if os.path.isdir(folder)] or folders


def names_in(dataset: Dataset, folders: Sequence[Path]) -> Iterator[str]:
    """The name of each file, at any depth, that is named as a sample of the data set, as it is found."""
    for _, files in _walk(folders):
        stems = (os.path.splitext(file)[0] for file in files if file.endswith(dataset.suffixes))
        yield from (stem for stem in stems if dataset.parse_name(stem))


def no_recordings(dataset: Dataset, folders: Sequence[Path]) -> UserError:
    """Says that nothing in the folders is a recording of the data set, what is there instead, and what to do."""
    where = " and ".join(map(str, folders))
    expected = f"{dataset.name}: expected raw recordings in {where}, files that end in {', '.join(dataset.suffixes)}"
    files = sorted(os.path.join(top, file) for top, names in _walk(folders) for file in names)
    packed = [file for file in files if file.endswith(PACKED)]
    if packed:
        return UserError(f"{expected}, got an archive, {packed[0]}; unpack it there")
    got = f"other files, such as {files[0]}" if files else "none"
    return UserError(f"{expected}, got {got}; request them at {dataset.request}")


def _walk(folders: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """Each folder at any depth, and the names of the files in it; nothing for a folder that is not there."""
    for folder in filter(os.path.isdir, folders):
        yield from ((top, files) for top, _, files in os.walk(folder))


def find_files(folders: Sequence[Path], suffixes: Sequence[str]) -> list[RawFile]:
    """Every file with one of the suffixes, at any depth, in the order of names.

    A folder of such a name is listed too, so that it does not go unseen. Links to folders are not followed, so that a
    loop of links ends. Errors: UserError for a folder that is missing or cannot be opened.
    """
    files: list[RawFile] = []
    endings = tuple(suffixes)
    waiting = [os.fspath(folder) for folder in folders]
    for folder in waiting:
        if not os.path.isdir(folder):
            raise UserError(f"{folder}: expected a folder of raw recordings, got none")
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UserError(f"{folder}: expected a folder that can be read, got {what_instead(error)}") from None
        for entry in entries:
            if entry.name.endswith(endings):
                files.append(RawFile(entry.name, entry.path, *_size_and_times(entry)))
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
    return sorted(files)


def _size_and_times(entry: os.DirEntry | Path) -> tuple[int, int, int]:
    try:
        stat = entry.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def raw_files(dataset: Dataset, folders: Sequence[Path]) -> list[RawFile]:
    """The files that a data set lists, each under its sample's name; or else all of its kinds in the folders."""
    if dataset.files is None:
        return find_files(folders, dataset.suffixes)
    listed = ((name + os.path.splitext(path)[1], path, Path(path)) for name, path in dataset.files())
    return sorted(RawFile(name, path, *_size_and_times(file)) for name, path, file in listed)


def listing_hash(dataset: Dataset, folders: Sequence[Path], results: Path) -> str:
    """A hash over every raw file and its revision: changes when one is added, removed or edited in place.

    `results` is the folder of the data set's results.
    """
    digest = hashlib.blake2b(dataset.revision.encode(), digest_size=16)
    files = raw_files(dataset, folders)
    for file, revision in zip(files, revisions(files, results), strict=True):
        digest.update(os.fsencode(file.path) + f"\0{revision}\n".encode())
    return digest.hexdigest()


def make_manifest(dataset: Dataset, folders: Sequence[Path], results: Path | None = None) -> pd.DataFrame:
    """One row a file, by sample name: `file` (its path), size in bytes, `revision`, what the name says, and `aside`.

    The revisions are those that `results`, the folder of the data set's results, remembers; empty without it.
    `aside` is empty for a file that is used, else the reason why it is not. `action` counts from 0; it is -1 where
    unknown. Errors: UserError for a folder that is missing or cannot be opened.
    """
    rows = []
    seen = set()
    files = raw_files(dataset, folders)
    for raw, revision in zip(files, revisions(files, results) if results else repeat(""), strict=False):
        stem = os.path.splitext(raw.name)[0]
        sample = dataset.parse_name(stem)
        name = sample.name if sample else spelt_in_utf8(stem)
        file = raw.text
        aside = NO_SAMPLE if not sample else LEFT_OUT if name in dataset.left_out else TWICE if name in seen else ""
        if not aside and file != raw.path:
            aside = NO_TEXT
        if not aside:
            seen.add(name)
        fields = (
            (sample.action, sample.subject, sample.view, sample.setup, sample.performance)
            if sample
            else (-1, -1, "", -1, "")
        )
        rows.append((name, file, raw.size, revision, *fields, aside))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["name", "file"], ignore_index=True)
