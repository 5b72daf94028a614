"""The reader of MATLAB 5 files, against scipy's, which is not used because damage makes it end the process."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from danet.datasets.readers.mat5 import LARGEST_BYTES, MOST_ELEMENTS, read_mat5
from danet.datasets.readers.uestc import read_uestc
from danet.errors import BadRecording


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


@pytest.mark.parametrize("compressed", [False, True])
def test_read_mat5_refuses_more_elements_than_anybody_writes(compressed):
    elements = bytes(8 * MOST_ELEMENTS)
    packed = zlib.compress(elements)
    content = mat()[:128] + (struct.pack("<II", 15, len(packed)) + packed if compressed else elements)
    if not compressed:
        assert read_mat5(content) == {}
    with pytest.raises(ValueError, match="more than 10,000 elements"):
        read_mat5(content if compressed else content + bytes(8))


def test_read_mat5_refuses_truncated_file(rng):
    for content in (mat(v=rng.normal(size=(1, 75))), mat(compressed=True, v=rng.normal(size=(1, 75)))):
        for length in range(129, len(content)):
            with pytest.raises(ValueError):
                read_mat5(content[:length])


def handmade(shape=(1, 75), name=b"v", kind=9, data=bytes(600), compressed=False):
    """A file whose single matrix claims these things."""
    parts = ((6, struct.pack("<II", 6, 0)), (5, struct.pack(f"<{len(shape)}i", *shape)), (1, name), (kind, data))
    matrix = b"".join(struct.pack("<II", of, len(part)) + part + bytes(-len(part) % 8) for of, part in parts)
    element = struct.pack("<II", 14, len(matrix)) + matrix
    if compressed:
        packed = zlib.compress(element)
        element = struct.pack("<II", 15, len(packed)) + packed
    return mat()[:128] + element


FALSE_CLAIMS = {  # part of what is got
    "8_dimensions": ({"shape": (2**31 - 1,) * 8}, "a matrix of shape"),
    "9_dimensions": ({"shape": (1, 75) + (1,) * 7}, "9 dimensions, more than 8"),
    "100000_dimensions": ({"shape": (2**31 - 1,) * 100_000, "compressed": True}, "100000 dimensions, more than 8"),
    "no_numbers_of_a_huge_shape": ({"shape": (0, *(2**31 - 1,) * 7), "data": b""}, None),
    "long_name": ({"name": b"v" * 100_000, "compressed": True}, "a name of 100000 letters, more than 63"),
    "name_to_act_on": ({"shape": (1, 600), "kind": 2, "name": b"\x1b[31m"}, r"\x1b[31m (1, 600)"),
    "other_bytes": ({"shape": (2, 75)}, "a matrix of shape (2, 75) in 600 bytes"),
    "bytes_as_numbers": (
        {"shape": (2**17, 75), "kind": 2, "data": bytes(75 * 2**17), "compressed": True},
        "9830400 numbers, more than 8388608",
    ),
}


@pytest.mark.parametrize("claim", FALSE_CLAIMS)
def test_read_uestc_takes_no_claim_of_a_mat_on_trust(claim):
    claimed, got = FALSE_CLAIMS[claim]
    content = handmade(**claimed)
    begun = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(BadRecording) as caught:
            read_uestc("a", "a.mat", content)
        assert tracemalloc.get_traced_memory()[1] < 2 * LARGEST_BYTES
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - begun < 30, "it ends, whatever comes"
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    assert got is None or got in caught.value.got


def test_read_uestc_names_some_of_many_other_arrays():
    element = handmade(shape=(1, 1), data=bytes(8))[128:]
    with pytest.raises(BadRecording, match=r"got v \(1, 1\)$"):
        read_uestc("a", "a.mat", mat()[:128] + 1000 * element)
    assert read_mat5(handmade(shape=(1, 75)))["v"].shape == (1, 75)
