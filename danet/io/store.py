"""Stores recordings of any length in one HDF5 file: the rows of all samples end to end, and whose they are.

A file of kind `bodies` holds one row per body sighting. Files of kind `actors` and `centred` hold one row per frame and
slot, frame by frame. Invariants: `offset` has N + 1 entries; sample i owns rows offset[i]:offset[i + 1]; every row
field has offset[N] rows; names are unique. Nothing is padded. Writing holds a few thousand rows in memory at most.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

from danet.errors import UserError, brief, shown
from danet.io.files import written_whole

FLUSH_ROWS = 1 << 13
NAMES_AT_A_TIME = 64
SEQUENCE_ROWS: dict[str, Any] = {"joints": np.float32}
SEQUENCE_FACTS: dict[str, int | None] = {"bodies": 1, "content": None}
ROWS: dict[
    str, dict[str, Any]
] = {  # of each kind, the fields and their types, in the order of writing; joints are (R, V, 3)
    "bodies": {"frame": np.int32, "body": np.int64, "joints": np.float32},
    "actors": SEQUENCE_ROWS,
    "centred": SEQUENCE_ROWS,
}
FACTS: dict[str, dict[str, int | None]] = {  # of each kind, the facts of a sample, and the least that each can be
    "bodies": {"frames": 0},
    "actors": SEQUENCE_FACTS,
    "centred": SEQUENCE_FACTS,
}
MOST_FRAMES = 1 << 31  # of a recording: frames are counted in 32 bits
DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)  # what h5py raises for such files


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
            if tuple(record.rows) != tuple(ROWS[kind]) or tuple(record.facts) != tuple(FACTS[kind]):
                expected, got = (*ROWS[kind], *FACTS[kind]), (*record.rows, *record.facts)
                raise ValueError(f"{path}: expected {expected} of a record of kind '{kind}', got {got}")
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
        _close_digest(digest, {key: np.array(values, dtype=np.int64) for key, values in facts.items()}, names, offset)
        file.attrs.update(kind=kind, about=json.dumps(metadata), data_hash=digest.hexdigest())
    return len(names)


def _close_digest(digest: Any, facts: dict[str, np.ndarray], names: list[str], offset: np.ndarray) -> None:
    """Adds to the digest of all rows what belongs to the samples."""
    for values in facts.values():
        digest.update(values.data)
    digest.update("\n".join(names).encode())
    digest.update(offset.data)


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
    """An open file of records, checked.

    `about` is the metadata that it was written with, `data_hash` the digest of its contents. Iterating reads a few
    thousand rows at a time.
    """

    def __init__(self, file: h5py.File, path: Path, kind: str):
        self._file = file
        self.path = path
        self.kind = kind
        self.about: dict = self._about()
        self.data_hash = self._attribute("data_hash")
        size = path.stat().st_size
        self._links(file, {"names", "offset"}, {"facts", "rows"})
        self.names = self._names(size)
        self.offset: np.ndarray = self._plain("offset", np.dtype(np.int64), (len(self.names) + 1,), size)[()]
        if self.offset[0] != 0 or (self.offset[1:] < self.offset[:-1]).any():
            self._refuse("offset", "numbers that rise from 0", f"{self.offset[:5].tolist()} and so on")
        counts, fields = (tuple(members[kind]) if self.names else () for members in (FACTS, ROWS))
        for group, members in (("facts", counts), ("rows", fields)):
            if group in file:
                self._links(file[group], set(members), set())
            elif members:
                self._refuse(group, f"the group of {', '.join(members)}", "none")
        self.facts: dict[str, np.ndarray] = {
            key: self._plain(f"facts/{key}", np.dtype(np.int64), (len(self.names),), size)[()] for key in counts
        }
        for key in fields:
            shape = (int(self.offset[-1]), *((None, 3) if key == "joints" else ()))
            self._plain(f"rows/{key}", np.dtype(ROWS[kind][key]), shape, size)
        self._check_facts()

    def _refuse(self, place: str, expected: str, got: object) -> NoReturn:
        raise UserError(f"{self.path}: {brief(place, 80)}: expected {expected}, got {brief(got)}")

    def _attribute(self, name: str) -> str:
        value = self._file.attrs.get(name)
        if not isinstance(value, str):
            self._refuse(f"attribute '{name}'", "a text", type(value).__name__ if value is not None else "none")
        return value

    def _about(self) -> dict:
        text = self._attribute("about")
        try:
            about = json.loads(text)
        except (ValueError, RecursionError):
            about = None
        if not isinstance(about, dict):
            self._refuse("attribute 'about'", "a JSON object", repr(text[:60]))
        return about

    def described(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """What the metadata hold under a key. Errors: UserError unless it is of that kind."""
        value = self.about.get(key)
        if not isinstance(value, kind):
            self._refuse("attribute 'about'", f"a description of '{key}'", shown(value))
        return value

    def _links(self, group: h5py.Group, datasets: set[str], groups: set[str]) -> None:
        """Refuses a group whose members are not in the file itself, or are others than these; groups may be absent."""
        inside = group.name.strip("/")
        for name in group:
            place = f"{inside}/{name}".strip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                self._refuse(place, "data in the file itself", "a link to others")
            kind = h5py.Dataset if name in datasets else h5py.Group if name in groups else None
            if kind is None:
                self._refuse(inside or "file", f"only {', '.join(sorted(datasets | groups)) or 'nothing'}", name[:60])
            if group.get(name, getclass=True) is not kind:
                self._refuse(place, f"a {kind.__name__.lower()}", "another object")
        if missing := datasets - set(group):
            self._refuse(inside or "file", f"a dataset '{min(missing)}'", "none")

    def _plain(self, place: str, dtype: np.dtype | None, shape: tuple[int | None, ...], size: int) -> h5py.Dataset:
        """A dataset of that type and shape (None for any number), all of which is stored in this file of that size.

        Without a type, one of texts. What a file may say but does not hold is refused before anything is read.
        """
        dataset = self._file[place]
        layout = dataset.id.get_create_plist()
        if layout.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or layout.get_external_count():
            self._refuse(place, "data in the file itself", "data elsewhere, or put together of others")
        if layout.get_nfilters():
            self._refuse(place, "plain data", "compressed data")
        is_right = h5py.check_string_dtype(dataset.dtype) if dtype is None else dataset.dtype == dtype
        if not is_right:
            self._refuse(place, "texts" if dtype is None else f"numbers of type {dtype}", f"type {dataset.dtype}")
        got = dataset.shape or ()
        if len(got) != len(shape) or any(want not in (None, have) for want, have in zip(shape, got, strict=True)):
            said = ", ".join("any" if want is None else str(want) for want in shape)
            self._refuse(place, f"the shape ({said})", got)
        length = math.prod(got) * dataset.id.get_type().get_size()
        if length > size or length > dataset.id.get_storage_size():
            self._refuse(place, f"{length} bytes", f"{min(size, dataset.id.get_storage_size())}: the file is cut short")
        return dataset

    def _names(self, size: int) -> list[str]:
        """The names of the samples. What many of them share is read a few at a time, so that it fills no memory."""
        dataset = self._plain("names", None, (None,), size)
        texts, names, letters = dataset.asstr(), [], 0
        for start in range(0, len(dataset), NAMES_AT_A_TIME):
            some = texts[start : start + NAMES_AT_A_TIME].tolist()
            letters += sum(map(len, some))
            if letters > size:
                self._refuse("names", f"at most {size} letters, the size of the file", "more")
            names += some
        if len(set(names)) < len(names):
            self._refuse("names", "each name once", f"{len(names) - len(set(names))} again")
        return names

    def _check_facts(self) -> None:
        rows = np.diff(self.offset)
        for key, facts in self.facts.items():
            least = FACTS[self.kind][key]
            if least is not None and ((facts < least) | (facts >= MOST_FRAMES)).any():
                wrong = facts[(facts < least) | (facts >= MOST_FRAMES)][0]
                self._refuse(f"facts/{key}", f"at least {least} and less than {MOST_FRAMES}", wrong)
        if "bodies" in self.facts and ((rows % self.facts["bodies"] != 0) | (rows == 0)).any():
            wrong = int(np.flatnonzero((rows % self.facts["bodies"] != 0) | (rows == 0))[0])
            got = f"{rows[wrong]} for {self.facts['bodies'][wrong]} bodies of '{self.names[wrong]:.60}'"
            self._refuse("offset", "as many rows for each body of a sample", got)

    def verify(self) -> None:
        """Reads everything once, a few thousand rows at a time, and compares it with the digest of its writer.

        Errors: UserError when a single bit differs.
        """
        digest = hashlib.sha256()
        for record in self:
            for key in ROWS[self.kind]:
                digest.update(np.ascontiguousarray(record.rows[key]).data)
        _close_digest(digest, self.facts, self.names, self.offset)
        if (got := digest.hexdigest()) != self.data_hash:
            raise UserError(
                f"{self.path}: expected contents of hash {self.data_hash:.16}, got {got:.16}; "
                "the file is damaged: remove it, and make it again"
            )

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, field: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows start:stop of one field, all of them by default."""
        try:
            return self._file[f"rows/{field}"][start:stop]
        except (OSError, RuntimeError, ValueError) as error:
            self._refuse(f"rows/{field}", "rows that can be read", error)

    def __iter__(self) -> Iterator[Record]:
        fields = tuple(ROWS[self.kind])
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
def open_records(path: str | Path, kind: str, *, verify: bool = False) -> Iterator[Records]:
    """Opens a file that `write_records` wrote, and checks all that it says of itself before any row is read.

    With `verify` all rows are read once, and compared with the digest in the file. For 500 MB that took 2.5 s, on one
    core of a busy machine with two, where only reading the rows took 1.5 s; it held no more of them in memory.

    Errors: UserError when the file is missing, is no HDF5 file, is of another kind, is damaged, or refers to others.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: expected a file of kind '{kind}', got: {brief(str(error))}") from error
    with file:
        try:
            got = file.attrs.get("kind")
            if not isinstance(got, str) or got != kind:
                raise UserError(f"{path}: expected a file of kind '{kind}', got kind {brief(repr(got), 60)}")
            records = Records(file, path, kind)
        except UserError:
            raise
        except DAMAGE as error:
            raise UserError(f"{path}: expected a whole file of kind '{kind}', got {brief(error)}") from error
        if verify:
            records.verify()
        yield records
