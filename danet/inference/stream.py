"""Labels the latest frames of a stream, prepared as a file of the same frames would be.

Frames come one by one as lines of JSON, (M, V, 3) in metres each.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from danet.datasets.readers.any_file import bodies_of
from danet.errors import BadRecording
from danet.inference.predictor import Predictor
from danet.inference.recordings import prepared
from danet.io.files import why_no_json
from danet.preparation.parse import FARTHEST
from danet.skeleton.recording import MOST_BODIES

SOURCE = "standard input"


def labels_of(predictor: Predictor, lines: Iterable[bytes], window: int, every: int) -> Iterator[dict]:
    """What the latest `window` frames show, after each `every` frames and after the last: `frame`, `action`, `score`.

    Frames count from 1. Action and score are None where nobody was seen, or nobody for long enough.
    Errors: BadRecording for a line that is no frame, when all before it is done.
    """
    latest: deque[np.ndarray] = deque(maxlen=window)
    number = 0
    for number, line in enumerate(lines, 1):
        latest.append(read_frame(line, number, predictor.layout.size))
        if number % every == 0:
            yield {"frame": number} | label_of(predictor, latest)
    if number % every:
        yield {"frame": number} | label_of(predictor, latest)


def label_of(predictor: Predictor, frames: Iterable[np.ndarray]) -> dict[str, str | float | None]:
    """The likeliest action of frames (M, V, 3) and its score; a body keeps its index among the M."""
    listed = list(frames)
    joints = np.zeros((len(listed), max(map(len, listed)), predictor.layout.size, 3), np.float32)
    for index, bodies in enumerate(listed):
        joints[index, : len(bodies)] = bodies
    sightings = bodies_of(SOURCE, joints)
    sequence = prepared(sightings, predictor.prepare, predictor.layout) if len(sightings.frame) else None
    if sequence is None:
        return {"action": None, "score": None}
    return {**predictor.named(predictor.scores(sequence), 1)[0]}


def read_frame(line: bytes, number: int, size: int) -> np.ndarray:
    """A line as (M, size, 3) float32 in metres. Errors: BadRecording that names the line."""
    expected = f'{{"bodies": [...]}} with {size} joints [x, y, z] a body, or {size} joints'
    try:
        values = json.loads(line)
        alone = not isinstance(values, dict)
        values = [values] if alone else values["bodies"]
        if values == []:
            return np.zeros((0, size, 3), np.float32)
    except KeyError:
        raise BadRecording(SOURCE, expected, "an object without 'bodies'", line=number) from None
    except (ValueError, RecursionError) as error:
        raise BadRecording(SOURCE, expected, why_no_json(error), line=number) from None
    try:
        joints = np.array(values)
    except (ValueError, OverflowError):
        raise BadRecording(SOURCE, expected, "lists of unlike lengths", line=number) from None
    if joints.dtype.kind not in "fiu":
        raise BadRecording(SOURCE, expected, "what is no number", line=number)
    if joints.ndim != 3 or joints.shape[1:] != (size, 3):
        raise BadRecording(SOURCE, expected, f"shape {joints.shape[1:] if alone else joints.shape}", line=number)
    if len(joints) > MOST_BODIES:
        raise BadRecording(SOURCE, f"at most {MOST_BODIES} bodies in a frame", f"{len(joints):,}", line=number)
    if not (np.abs(joints) <= FARTHEST).all():
        raise BadRecording(SOURCE, f"coordinates within {FARTHEST:,.0f} m", "one beyond, or no number", line=number)
    return joints.astype(np.float32)
