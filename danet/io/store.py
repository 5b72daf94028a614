"""Stores recordings of any length in one HDF5 file: the rows of all samples end to end, and whose they are.

A file of kind `bodies` holds one row per body sighting. Files of kind `actors` and `centred` hold one row per frame and
slot, frame by frame. Invariants: `offset` has N + 1 entries; sample i owns rows offset[i]:offset[i + 1]; every row
field has offset[N] rows; names are unique. Nothing is padded. Writing holds a few thousand rows in memory at most.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from danet.errors import UserError
from danet.io.files import written_whole

FLUSH_ROWS = 1 << 13


@dataclass(frozen=True)
class Record:
    """One sample: its name, arrays with one entry per row, and integers that hold for the whole sample."""

    name: str
    rows: dict[str, np.ndarray]
    facts: dict[str, int]


def write_records(path: str | Path, kind: str, records: Iterable[Record], metadata: dict) -> int:
    """Writes all records to `path`, whole or not at all, and returns how many there were.

    `metadata` (layout, data set, simulated or not, settings) is stored as JSON, and read as `Records.about`. The file
    carries a SHA-256 digest of its contents, so that a run can say which data it was trained on.
    """
    digest = hashlib.sha256()
    names: list[str] = []
    counts: list[int] = []
    facts: dict[str, list[int]] = {}
    with written_whole(path) as partial, _Disk(partial, "w+") as disk, h5py.File(disk, "w") as file:
        pending: dict[str, list[np.ndarray]] = {}
        waiting = 0
        for record in records:
            names.append(record.name)
            counts.append(len(next(iter(record.rows.values()))))
            for key, fact in record.facts.items():
                facts.setdefault(key, []).append(fact)
            for key, rows in record.rows.items():
                pending.setdefault(key, []).append(rows)
                digest.update(np.ascontiguousarray(rows).data)
            waiting += counts[-1]
            if waiting >= FLUSH_ROWS:
                _flush(file, pending)
                disk.check()
                waiting = 0
        _flush(file, pending)
        if len(set(names)) != len(names):
            raise ValueError(f"{path}: expected unique sample names, got {len(names) - len(set(names))} repeated")
        offset = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        file["offset"] = offset
        file["names"] = np.array(names, dtype=h5py.string_dtype())
        for key, values in facts.items():
            file[f"facts/{key}"] = np.array(values, dtype=np.int64)
            digest.update(np.array(values, dtype=np.int64).data)
        digest.update("\n".join(names).encode())
        digest.update(offset.data)
        file.attrs.update(kind=kind, about=json.dumps(metadata), data_hash=digest.hexdigest())
    return len(names)


class _Disk(io.FileIO):
    """A file for HDF5 to write to. Its first error waits for `check` or `close`: HDF5 would print one an object."""

    error: OSError | None = None

    def write(self, block) -> int:
        """Writes the whole block; after an error, nothing."""
        rest = memoryview(block).cast("B")
        try:
            while len(rest) and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(block)

    def truncate(self, size: int | None = None) -> int:
        """Sets the size; after an error, leaves it."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0

    def check(self) -> None:
        """Raises the first error, if there was one."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Closes the file, and raises the first error."""
        super().close()
        self.check()


def _flush(file: h5py.File, pending: dict[str, list[np.ndarray]]) -> None:
    for key, parts in pending.items():
        if not parts:
            continue
        block = np.concatenate(parts)
        parts.clear()
        if f"rows/{key}" not in file:
            row = max(1, block[:1].nbytes)
            chunk = (max(1, (1 << 18) // row), *block.shape[1:])
            file.create_dataset(f"rows/{key}", data=block, maxshape=(None, *block.shape[1:]), chunks=chunk)
        else:
            dataset = file[f"rows/{key}"]
            dataset.resize(len(dataset) + len(block), axis=0)
            dataset[-len(block) :] = block


class Records:
    """An open file of records.

    `about` is the metadata that it was written with, `data_hash` the digest of its contents. Iterating reads a few
    thousand rows at a time.
    """

    def __init__(self, file: h5py.File, path: Path):
        self._file = file
        self.path = path
        self.about: dict = json.loads(file.attrs["about"])
        self.data_hash: str = file.attrs["data_hash"]
        self.names: list[str] = list(file["names"].asstr()[()])
        self.offset: np.ndarray = file["offset"][()]
        self.facts: dict[str, np.ndarray] = {key: value[()] for key, value in file.get("facts", {}).items()}

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, field: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows start:stop of one field, all of them by default."""
        return self._file[f"rows/{field}"][start:stop]

    def __iter__(self) -> Iterator[Record]:
        fields = list(self._file.get("rows", {}))
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.offset, self.offset[first] + FLUSH_ROWS, side="right")) - 1
            last = min(max(last, first + 1), len(self))
            base = self.offset[first]
            block = {key: self.rows(key, base, self.offset[last]) for key in fields}
            for i in range(first, last):
                rows = slice(self.offset[i] - base, self.offset[i + 1] - base)
                yield Record(
                    self.names[i],
                    {key: value[rows] for key, value in block.items()},
                    {key: int(value[i]) for key, value in self.facts.items()},
                )
            first = last


@contextmanager
def open_records(path: str | Path, kind: str) -> Iterator[Records]:
    """Opens a file that `write_records` wrote.

    Errors: UserError when the file is missing, is no HDF5 file, or is of another kind.
    """
    path = Path(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: expected a file of kind '{kind}', got: {error}") from error
    with file:
        got = file.attrs.get("kind")
        if got != kind:
            raise UserError(f"{path}: expected a file of kind '{kind}', got kind '{got}'")
        yield Records(file, path)
