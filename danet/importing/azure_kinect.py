"""Takes the JSON files of Azure Kinect's body tracking, as its offline processor writes them.

They are millimetres in the depth camera's axes: x to the right of the picture, y down, z away from the camera.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from danet.errors import BadRecording, shown
from danet.importing.found import (
    HALF_TURN,
    Found,
    Options,
    Person,
    Taken,
    each_file,
    json_value,
    numbers,
    scored,
    stacked,
    who_is,
)

METRES = 0.001  # of a millimetre
FORM = "an object with 'frames', each with 'bodies' (Azure Kinect's form)"


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a file."""
    return each_file(source, (".json",), partial(_read, options=options))


def _read(path: Path, options: Options) -> Taken:
    value = json_value(path)
    frames = value.get("frames") if isinstance(value, dict) else None
    if not isinstance(frames, list):
        raise BadRecording(str(path), FORM, shown(value))
    people = (person for frame, seen in enumerate(frames) for person in _people(path, frame, seen))
    return Taken(stacked(path, people, len(frames)), f"millimetres to metres, {HALF_TURN}")


def _people(path: Path, frame: int, seen: object) -> Iterator[Person]:
    bodies = seen.get("bodies", []) if isinstance(seen, dict) else None
    if not isinstance(bodies, list):
        raise BadRecording(str(path), FORM, shown(seen), frame=frame + 1)
    for place, body in enumerate(bodies):
        listed = body.get("joint_positions") if isinstance(body, dict) else None
        points = numbers(path, listed, "'joint_positions' of x, y, z", frame)
        if points.ndim != 2 or points.shape[1] != 3:
            raise BadRecording(
                str(path), "'joint_positions' of x, y, z", shown(listed), frame=frame + 1, body=place + 1
            )
        joints = scored(points * (METRES * np.array([-1, -1, 1])), None, 0)
        yield Person(frame, who_is(body.get("body_id"), place), joints)
