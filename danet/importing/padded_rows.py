"""Takes CTR-GCN's .npz and SGN's .h5, padded sequences of two people with labels, and the parts of their split.

One row is read at a time. Compressed arrays are refused, so that no more comes out than the file holds.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import h5py
import numpy as np

from danet.datasets.readers.any_file import HEADERS
from danet.datasets.registry import find_dataset
from danet.errors import BadRecording, brief
from danet.importing.found import AS_IT_IS, Found, Options, Taken, failed, files_below, scored

PEOPLE = 2
NPZ = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
H5 = {"train": ("x", "y"), "validation": ("valid_x", "valid_y"), "test": ("test_x", "test_y")}
ACTIONS_OF = {60: "ntu60", 120: "ntu120"}  # by their number
MOST_NUMBERS = 1 << 26  # of a row
DAMAGE = (  # what the readers of archives, of NumPy's headers and of HDF5 raise
    *(OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, SyntaxError, MemoryError),
    *(TokenError, zipfile.BadZipFile),
)


class Rows(NamedTuple):
    """An array whose rows are read one after the other."""

    shape: tuple[int, ...]
    next: Callable[[], np.ndarray]


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a row."""
    for path in files_below(source, (".npz", ".h5", ".hdf5")):
        try:
            yield from (_npz if path.suffix == ".npz" else _h5)(path)
        except BadRecording as error:
            yield failed(path, error)
        except DAMAGE as error:
            expected = f"arrays {', '.join(name for pair in NPZ.values() for name in pair)} (CTR-GCN), or SGN's x, y"
            yield failed(path, BadRecording(str(path), expected, brief(error)))


def _npz(path: Path) -> Iterator[Found]:
    with zipfile.ZipFile(path) as archive:
        for part, (joints, labels) in NPZ.items():
            with archive.open(f"{joints}.npy") as x, archive.open(f"{labels}.npy") as y:
                yield from _part(path, part, _npy(path, archive, joints, x), _npy(path, archive, labels, y))


def _npy(path: Path, archive: zipfile.ZipFile, name: str, stream: Any) -> Rows:
    """The rows of an array in an archive."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise BadRecording(str(path), "plain arrays, as numpy.savez writes them", f"'{name}' compressed")
    shape, by_column, kind = HEADERS[np.lib.format.read_magic(stream)](stream)
    _check(path, name, shape, kind)
    row = math.prod(shape[1:]) * kind.itemsize
    if by_column or shape[0] * row > entry.file_size or entry.file_size > path.stat().st_size:
        raise BadRecording(str(path), f"{shape[0] * row} bytes of '{name}', row by row", f"{entry.file_size}")
    return Rows(shape, lambda: np.frombuffer(stream.read(row), kind).reshape(shape[1:]))


def _h5(path: Path) -> Iterator[Found]:
    with h5py.File(path, "r") as file:
        for part, (joints, labels) in H5.items():
            if part != "validation" or joints in file:
                yield from _part(path, part, _stored(path, file, joints), _stored(path, file, labels))


def _stored(path: Path, file: h5py.File, name: str) -> Rows:
    """The rows of an array in an HDF5 file that holds it itself."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise BadRecording(str(path), f"an array '{name}'", "a link, or another thing")
    array = file[name]
    plan = array.id.get_create_plist()
    plain = plan.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) and not plan.get_external_count()
    _check(path, name, array.shape or (), array.dtype)
    size = math.prod(array.shape) * array.dtype.itemsize
    if not plain or plan.get_nfilters() or size > min(array.id.get_storage_size(), path.stat().st_size):
        raise BadRecording(str(path), f"{size} bytes of '{name}' in the file itself, not compressed", "others")
    rows = iter(range(array.shape[0]))
    return Rows(array.shape, lambda: array[next(rows)])


def _check(path: Path, name: str, shape: tuple[int, ...], kind: np.dtype) -> None:
    numbers = kind.kind in "fiub" and len(shape) >= 1 and min(shape) >= 0
    if not numbers or len(shape) > 3 or math.prod(shape[1:]) > MOST_NUMBERS:
        raise BadRecording(str(path), f"rows of numbers in '{name}'", f"{brief(kind, 40)} of shape {brief(shape, 80)}")


def _part(path: Path, part: str, x: Rows, y: Rows) -> Iterator[Found]:
    """The recordings of one part: x (N, T, 2 V 3) and y (N,) or one-hot (N, actions)."""
    if len(x.shape) != 3 or x.shape[2] % (3 * PEOPLE) or not x.shape[2] or len(y.shape) > 2 or x.shape[0] != y.shape[0]:
        expected = "sequences (N, T, 150) with as many labels, (N,) or (N, actions)"
        raise BadRecording(str(path), expected, f"{x.shape} and {y.shape}")
    actions = y.shape[1] if len(y.shape) == 2 else 0
    known = find_dataset(ACTIONS_OF[actions]).actions if actions in ACTIONS_OF and x.shape[2] == 150 else ()
    for index in range(x.shape[0]):
        joints, label = x.next(), y.next()
        action = int(np.argmax(label)) if actions else int(label)
        name = f"{path.stem} {part} {index:06}"
        read = partial(_read, f"{path}: row {index} of {part}", joints)
        yield Found(name, read, known[action] if known else f"action {action}", split=part)


def _read(where: str, row: np.ndarray) -> Taken:
    """A row without its padding; a second person who is not there, or a copy of the first, is left out."""
    people = scored(row.reshape(len(row), PEOPLE, -1, 3).swapaxes(0, 1), None, 0)
    frames = np.flatnonzero(people.any(axis=(0, 2, 3)))
    if not len(frames):
        raise BadRecording(where, "somebody to be seen", "zeros")
    people = people[:, : frames[-1] + 1]
    if not people[1].any() or np.array_equal(people[0], people[1]):
        people = people[:1]
    return Taken(people, AS_IT_IS)
