"""Reads NW-UCLA's JSON files, on which the field trains."""

import json

import numpy as np

from danet.errors import BadRecording
from danet.skeleton.layout import KINECT_V1
from danet.skeleton.recording import Bodies


def read_nw_ucla(name: str, path: str, content: bytes) -> Bodies:
    """Reads one JSON file of (T, 20, 3) coordinates in metres as a single body.

    The body is not seen in frames in which all coordinates are zero. Errors: BadRecording.
    """
    try:
        skeletons = json.loads(content)["skeletons"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecording(path, "a JSON object with 'skeletons'", f"{type(error).__name__}: {error}") from None
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            joints = np.array(skeletons, dtype=np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRecording(path, "numbers of shape (T, 20, 3)", str(error)) from None
    if joints.ndim != 3 or joints.shape[1:] != (KINECT_V1.size, 3) or not len(joints):
        raise BadRecording(path, f"numbers of shape (T, {KINECT_V1.size}, 3)", f"shape {joints.shape}")
    finite = np.isfinite(joints).all(axis=(1, 2))
    if not finite.all():
        raise BadRecording(path, "finite coordinates", "a number that is not", frame=int(finite.argmin()) + 1)
    seen = np.flatnonzero(joints.any(axis=(1, 2)))
    return Bodies(name, len(joints), seen.astype(np.int32), np.zeros(len(seen), np.int64), joints[seen])
