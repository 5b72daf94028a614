"""The reader of MATLAB 5 files, against scipy's, which is not used because damage makes it end the process."""

import io
import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from danet.datasets.readers.mat5 import LARGEST_BYTES, read_mat5


def mat(compressed=False, **arrays):
    file = io.BytesIO()
    savemat(file, arrays, do_compression=compressed)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_read_mat5_equals_scipy(rng, compressed):
    numbers = {
        "v": rng.normal(size=(3, 75)),
        "skel": rng.normal(size=(3, 25, 3)).astype(np.float32),
        "small": np.arange(6, dtype=np.int16).reshape(2, 3),
        "unsigned": np.arange(5, dtype=np.uint64),
        "one": np.array(3.0),
        "empty": np.zeros((0, 75)),
    }
    others = {"text": "abc", "cells": np.array([[1, "a"]], object), "record": {"x": 1.0}, "complex": np.ones(2) * 1j}
    content = mat(compressed, **numbers, **others)
    arrays, expected = read_mat5(content), loadmat(io.BytesIO(content))
    assert set(arrays) == set(numbers)
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype == expected[name].dtype


def test_read_mat5_reads_both_byte_orders(rng):
    values = rng.normal(size=(2, 75))
    data = values.tobytes(order="F")
    data = np.frombuffer(data, "<f8").astype(">f8").tobytes()
    parts = ((6, struct.pack(">II", 6, 0)), (5, struct.pack(">ii", 2, 75)), (1, b"v\0\0\0\0\0\0\0"), (9, data))
    matrix = b"".join(struct.pack(">II", kind, 1 if kind == 1 else len(part)) + part for kind, part in parts)
    content = b"MATLAB 5.0".ljust(124) + b"\1\0MI" + struct.pack(">II", 14, len(matrix)) + matrix
    np.testing.assert_array_equal(read_mat5(content)["v"], values)


def test_read_mat5_refuses_huge_contents():
    packed = zlib.compress(bytes(LARGEST_BYTES + 1))
    content = mat()[:128] + struct.pack("<II", 15, len(packed)) + packed
    with pytest.raises(ValueError, match="too large"):
        read_mat5(content)


def test_read_mat5_bounds_all_elements_together():
    half = LARGEST_BYTES // 2
    packed = zlib.compress(struct.pack("<II", 1, half - 8) + bytes(half - 8))  # no matrix
    element = struct.pack("<II", 15, len(packed)) + packed
    assert read_mat5(mat()[:128] + 2 * element) == {}
    with pytest.raises(ValueError, match="too large"):
        read_mat5(mat()[:128] + 3 * element)


def test_read_mat5_refuses_truncated_file(rng):
    for content in (mat(v=rng.normal(size=(1, 75))), mat(compressed=True, v=rng.normal(size=(1, 75)))):
        for length in range(129, len(content)):
            with pytest.raises(ValueError):
                read_mat5(content[:length])
