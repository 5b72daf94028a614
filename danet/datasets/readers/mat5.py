"""Reads the real numeric arrays of MATLAB 5 files.

SciPy's reader can end the whole process with a segmentation fault on a damaged file, which nothing can catch. This one
follows "MAT-File Level 5" of MathWorks' file format document, and looks at no byte that the file does not have.
"""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from danet.errors import BadRecording

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # double, single and the integers; not text, cells, structures and sparse arrays
COMPLEX = 0x0800
LARGEST_BYTES = 1 << 26  # of what a file's compressed elements may grow to: 30 times the longest recording
MOST_NUMBERS = LARGEST_BYTES // 8  # of one array; as float64, they take as many bytes
MOST_ELEMENTS = 10_000  # of a file, which takes time for each, however small
MOST_DIMENSIONS = 8
LONGEST_NAME = 63  # letters, as in MATLAB
MOST_SHOWN = 5  # arrays of another shape, in a message


def mat_arrays(path: str, content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a recording, as `read_mat5` reads them. Errors: BadRecording."""
    try:
        return read_mat5(content)
    except ValueError as error:
        raise BadRecording(path, "a MATLAB 5 file", str(error)) from None


def arrays_told(arrays: Mapping[str, np.ndarray]) -> str:
    """Names and shapes of the first arrays, for a message."""
    return ", ".join(f"{key} {value.shape}" for key, value in islice(arrays.items(), MOST_SHOWN)) or "no array"


def read_mat5(content: bytes) -> dict[str, np.ndarray]:
    """The real numeric arrays of a file by name; others are passed over. Errors: ValueError when it is damaged."""
    marks = {b"IM": "<", b"MI": ">"}
    order = marks.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
    if order is None:
        raise ValueError("no MATLAB 5 header")
    arrays = {}
    for count, (kind, matrix) in enumerate(_all_elements(content[HEADER_BYTES:], order)):
        if count == MOST_ELEMENTS:
            raise ValueError(f"more than {MOST_ELEMENTS:,} elements")
        if kind == MATRIX and (named := _array(matrix, order)) is not None:
            arrays[named[0]] = named[1]
    return arrays


def _all_elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, data) of the elements; after each compressed one, of those in it."""
    left = LARGEST_BYTES
    for kind, data in _elements(content, order):
        yield kind, data
        if kind == COMPRESSED:
            inflated = _inflated(data, left)
            left -= len(inflated)
            yield from _elements(inflated, order)


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, data) of the elements that lie one after the other."""
    at = 0
    while at < len(content):
        if at + 8 > len(content):
            raise ValueError("the file ends inside a tag")
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:  # up to four bytes of data, packed into the tag
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise ValueError(f"{size} bytes in a tag with room for 4")
        else:
            start = at + 8
            end = start + size if kind == COMPRESSED else start + -(-size // 8) * 8
        if start + size > len(content):
            raise ValueError(f"an element of {size} bytes where {len(content) - start} are left")
        yield kind, content[start : start + size]
        at = end


def _inflated(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, most + 1)  # 0 would be no bound
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not stream.eof or len(inflated) > most:
        raise ValueError("a compressed element that is cut short or too large")
    return inflated


def _array(matrix: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """Name and values of a matrix element, None unless it holds real numbers."""
    parts = _elements(matrix, order)
    head = [data for _, (_, data) in zip(range(3), parts, strict=False)]
    if len(head) < 3 or len(head[0]) != 8 or len(head[1]) % 4:
        raise ValueError("a matrix without flags, shape and name")
    flags = struct.unpack_from(f"{order}I", head[0])[0]
    if flags & 0xFF not in NUMERIC_CLASSES or flags & COMPLEX:
        return None
    if len(head[1]) > 4 * MOST_DIMENSIONS:
        raise ValueError(f"a matrix of {len(head[1]) // 4} dimensions, more than {MOST_DIMENSIONS}")
    if len(head[2]) > LONGEST_NAME:
        raise ValueError(f"a matrix with a name of {len(head[2])} letters, more than {LONGEST_NAME}")
    shape = struct.unpack(f"{order}{len(head[1]) // 4}i", head[1])
    kind, data = next(parts, (0, b""))
    if kind not in TYPES:
        raise ValueError(f"a matrix of numbers of type {kind}")
    dtype = np.dtype(order + TYPES[kind])
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"a matrix of shape {shape} in {len(data)} bytes")
    if len(data) > MOST_NUMBERS * dtype.itemsize:
        raise ValueError(f"a matrix of {len(data) // dtype.itemsize} numbers, more than {MOST_NUMBERS}")
    return head[2].decode("latin-1"), np.frombuffer(data, dtype).reshape(shape, order="F")
