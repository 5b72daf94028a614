"""Reads NW-UCLA's JSON files, on which the field trains."""

import json
from itertools import islice

import numpy as np

from danet.errors import BadRecording, shown
from danet.io.files import why_no_json
from danet.skeleton.layout import KINECT_V1
from danet.skeleton.recording import Bodies

EXPECTED = "a JSON object with 'skeletons' (NW-UCLA's form)"
MOST_SHOWN = 8  # keys of another object, in a message


def read_nw_ucla(name: str, path: str, content: bytes) -> Bodies:
    """Reads one JSON file of (T, 20, 3) coordinates in metres as a single body.

    The body is not seen in frames in which all coordinates are zero. Errors: BadRecording.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRecording(path, EXPECTED, why_no_json(error)) from None
    if not isinstance(value, dict):
        raise BadRecording(path, EXPECTED, shown(value))
    if "skeletons" not in value:
        raise BadRecording(path, EXPECTED, f"one with {', '.join(map(shown, islice(value, MOST_SHOWN))) or 'nothing'}")
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            joints = np.array(value["skeletons"], dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        got = "lists of unlike lengths, or what is no number"
        raise BadRecording(path, f"numbers of shape (T, {KINECT_V1.size}, 3)", got) from None
    if joints.ndim != 3 or joints.shape[1:] != (KINECT_V1.size, 3) or not len(joints):
        raise BadRecording(path, f"numbers of shape (T, {KINECT_V1.size}, 3)", f"shape {joints.shape}")
    seen = np.flatnonzero(joints.any(axis=(1, 2)))
    return Bodies(name, len(joints), seen.astype(np.int32), np.zeros(len(seen), np.int64), joints[seen])
