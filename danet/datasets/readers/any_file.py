"""Reads raw files of any joint layout by the reader that their ending asks for; NumPy's `.npy` is read here."""

import io
from pathlib import PurePath
from tokenize import TokenError

import numpy as np

from danet.datasets.dataset import Reader
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.datasets.readers.mat5 import mat_arrays
from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.datasets.readers.uestc import read_uestc
from danet.datasets.readers.utd_mhad import ARRAY, read_utd_mhad
from danet.errors import BadRecording
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS, Layout
from danet.skeleton.recording import Bodies

NUMPY = ".npy"
KINECTS = {layout.size: layout for layout in (KINECT_V2, KINECT_V1)}  # of all files but arrays
SENSOR_BODIES = 6  # that a Kinect follows at a time
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(name: str, path: str, content: bytes) -> Bodies:
    """Reads an array of floats, (T, V, 3) or (M, T, V, 3) in metres; a body's id is its index among the M.

    A body whose joints are all zero in a frame is not seen in it. Nothing is unpickled. The array is as long as the
    file, whatever its header claims. Errors: BadRecording.
    """
    stream = io.BytesIO(content)
    try:
        shape, by_column, kind = HEADERS[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError, SyntaxError, TokenError):
        raise BadRecording(path, "a NumPy file of version 1 or 2", "another or a damaged one") from None
    shape = tuple(map(int, shape))
    if kind.kind != "f":
        raise BadRecording(path, "an array of floats", f"one of {kind}")
    if len(shape) not in (3, 4) or shape[-1] != 3 or min(shape) < 1:
        raise BadRecording(path, "an array of shape (T, V, 3) or (M, T, V, 3)", f"{shape}")
    if len(shape) == 4 and shape[0] > max(shape[1], SENSOR_BODIES):
        got = f"{shape}: more bodies than frames; is it (T, M, V, 3)? Then exchange the first two axes"
        raise BadRecording(path, "an array of shape (M, T, V, 3)", got)
    if len(content) - stream.tell() != (size := int(np.prod(shape, dtype=object)) * kind.itemsize):
        raise BadRecording(path, f"{size} bytes of numbers", f"{len(content) - stream.tell()}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        joints = np.frombuffer(content, kind, offset=stream.tell()).astype(np.float32)
    joints = joints.reshape(shape, order="F" if by_column else "C").reshape(-1, *shape[-3:]).swapaxes(0, 1)
    return bodies_of(name, joints)


def bodies_of(name: str, joints: np.ndarray) -> Bodies:
    """The sightings among `joints` (T, M, V, 3) float32 in metres, where a body of zeros was not seen."""
    frame, body = np.nonzero(joints.any(axis=(2, 3)))
    return Bodies(name, len(joints), frame.astype(np.int32), body.astype(np.int64), joints[frame, body])


def read_mat(name: str, path: str, content: bytes) -> Bodies:
    """Reads a `.mat` of UTD-MHAD, known by the array that it holds, else one of UESTC. Errors: BadRecording."""
    read = read_utd_mhad if ARRAY in mat_arrays(path, content) else read_uestc
    return read(name, path, content)


READERS = {
    ".skeleton": read_skeleton_text,
    ".json": read_nw_ucla,
    ".txt": read_uestc,
    ".mat": read_mat,
    NUMPY: read_npy,
}


def reader(layout: Layout | None = None) -> Reader:
    """A reader of files that end in any of READERS. It raises BadRecording for other joints than the layout's."""

    def read(name: str, path: str, content: bytes) -> Bodies:
        bodies = READERS["." + path.rpartition(".")[2]](name, path, content)
        if layout is None:
            return bodies
        size = bodies.joints.shape[1]
        expected = f"the joints of {layout.name} ({layout.size})"
        if size != layout.size:
            raise BadRecording(path, expected, f"{size} joints")
        known = layout_of_format(path, size)
        if known and layout.name in LAYOUTS and layout.joints != known.joints:
            raise BadRecording(path, expected, f"those of {known.name}")
        return bodies

    return read


def layout_of_format(path: str, size: int) -> Layout | None:
    """The layout that the format of a file of READERS has for so many joints; None for an array, which has any."""
    return None if PurePath(path).suffix == NUMPY else KINECTS[size]
