"""Reads UTD-MHAD's `.mat` files, each with one body in an array `d_skel`."""

import numpy as np

from danet.datasets.readers.mat5 import arrays_told, mat_arrays
from danet.errors import BadRecording
from danet.skeleton.layout import KINECT_V1
from danet.skeleton.recording import Bodies

ARRAY = "d_skel"  # by which such a file is known among other `.mat`
ORDER = (3, 2, 1, 0, *range(4, 20))  # where the files, which begin with the head, have the joints of KINECT_V1


def read_utd_mhad(name: str, path: str, content: bytes) -> Bodies:
    """Reads (20, 3, T) coordinates in metres as a single body with the joints of KINECT_V1.

    MATLAB leaves off a last axis of one frame. The body is not seen in frames in which all coordinates are zero.
    Errors: BadRecording.
    """
    arrays = mat_arrays(path, content)
    skeleton = arrays.get(ARRAY)
    if skeleton is None or skeleton.ndim > 3 or skeleton.shape[:2] != (KINECT_V1.size, 3) or not skeleton.size:
        raise BadRecording(path, f"an array {ARRAY} of shape ({KINECT_V1.size}, 3, T)", arrays_told(arrays))
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
        joints = skeleton.reshape(KINECT_V1.size, 3, -1)[list(ORDER)].transpose(2, 0, 1).astype(np.float32, order="C")
    seen = np.flatnonzero(joints.any(axis=(1, 2)))
    return Bodies(name, len(joints), seen.astype(np.int32), np.zeros(len(seen), np.int64), joints[seen])
