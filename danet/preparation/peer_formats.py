"""Writes centred sequences as the very files that CTR-GCN and SGN train on: padded, one-hot, in their row order.

The docstrings describe what the peers' preparation writes. With `timing: reference` the arrays are the same to the last
bit. Rows are written one at a time, so that memory does not grow with the data set.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy

from danet.datasets.dataset import Dataset, Sample
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.io.files import written_whole
from danet.io.store import Records, open_records

SGN_VALIDATION_SHARE, SGN_VALIDATION_SEED = 0.05, 10_000
COPIES_THE_FIRST_BODY = frozenset({"ntu120"})  # into the place of a second one that is not there


def export_ctr_gcn(centred: Path, protocol: str, out: Path, own_data: Path | None = None) -> dict[str, int]:
    """Writes an `.npz` of x_train, y_train, x_test and y_test as CTR-GCN's preparation does; returns the rows of each.

    x: (N, longest, 150) float32, zeros after the end of a sequence; y: (N, actions) float64, one-hot. `own_data` is
    their folder, where the sequences are of those.
    """
    with open_records(centred, "centred") as records:
        source = Rows(records, protocol, own_data)
        parts = {"train": source.of("train", "validation"), "test": source.of("test")}
        with written_whole(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for part, rows in parts.items():
                _write_npy(archive, f"x_{part}", (len(rows), *source.shape), np.float32, source.padded, rows)
                _write_npy(archive, f"y_{part}", (len(rows), source.actions), np.float64, source.one_hot, rows)
    return {part: len(rows) for part, rows in parts.items()}


def export_sgn(centred: Path, protocol: str, out: Path, own_data: Path | None = None) -> dict[str, int]:
    """Writes the HDF5 file of x, y, valid_x, valid_y, test_x and test_y as SGN's preparation does; returns the rows.

    Shapes and `own_data` as for CTR-GCN. The validation part is the protocol's. Where that names none, as for all data
    sets of the peers, it is a twentieth of the training rows. They are drawn as scikit-learn's `train_test_split` draws
    them from random state 10000: the head of a permutation, the rest in the permutation's order.
    """
    with open_records(centred, "centred") as records:
        source = Rows(records, protocol, own_data)
        training, validation = source.of("train"), source.of("validation")
        if not len(validation):
            shuffled = np.random.RandomState(SGN_VALIDATION_SEED).permutation(len(training))
            held_out = int(np.ceil(SGN_VALIDATION_SHARE * len(training)))
            training, validation = training[shuffled[held_out:]], training[shuffled[:held_out]]
        parts = {"": training, "valid_": validation, "test_": source.of("test")}
        with written_whole(out) as partial, h5py.File(partial, "w") as file:
            for prefix, rows in parts.items():
                x = file.create_dataset(f"{prefix}x", (len(rows), *source.shape), np.float32)
                y = file.create_dataset(f"{prefix}y", (len(rows), source.actions), np.float64)
                for index, row in enumerate(rows):
                    x[index], y[index] = source.padded(row), source.one_hot(row)
    return {prefix.strip("_") or "train": len(rows) for prefix, rows in parts.items()}


class Rows:
    """The sequences of a file as the peers' rows: padded to the longest one, two bodies side by side."""

    def __init__(self, records: Records, protocol: str, own_data: Path | None):
        self.records = records
        self.dataset: Dataset = find_dataset(records.described("dataset", str), own_data)
        self.protocol = self.dataset.protocol(protocol)
        self.samples: list[Sample] = [self.dataset.sample(name) for name in records.names]
        self.actions = len(self.dataset.actions)
        rows = np.diff(records.offset)
        self.frames = rows // records.facts["bodies"] if len(rows) else rows
        if not len(rows):
            raise UserError(f"{records.path}: expected sequences to export, got none")
        self.shape = (int(self.frames.max()), 2 * self.dataset.layout.size * 3)

    def of(self, *parts: str) -> np.ndarray:
        """Indices of the parts' samples, ordered by what the protocol splits on, then by name."""
        chosen = [index for index, sample in enumerate(self.samples) if self.protocol.part(sample) in parts]
        grouped = sorted(chosen, key=lambda i: (getattr(self.samples[i], self.protocol.by), self.samples[i].name))
        return np.array(grouped, int)

    def padded(self, index: int) -> np.ndarray:
        """(longest, 150) float32: a sequence, its second body or what stands for one, zeros after the end."""
        start, stop = self.records.offset[index : index + 2]
        joints = self.records.rows("joints", start, stop)
        joints = joints.reshape(self.frames[index], -1, self.shape[1] // 2)
        row = np.zeros((self.shape[0], 2, self.shape[1] // 2), np.float32)
        row[: len(joints), : joints.shape[1]] = joints
        if joints.shape[1] == 1 and self.dataset.name in COPIES_THE_FIRST_BODY:
            row[: len(joints), 1] = joints[:, 0]
        return row.reshape(self.shape)

    def one_hot(self, index: int) -> np.ndarray:
        """(actions,) float64."""
        return np.eye(1, self.actions, self.samples[index].action)[0]


def _write_npy(
    archive: zipfile.ZipFile, name: str, shape: tuple, dtype: type, row: Callable[[int], np.ndarray], rows: np.ndarray
) -> None:
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        npy.write_array_header_1_0(file, header)
        for index in rows:
            file.write(row(index).tobytes())
