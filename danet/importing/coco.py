"""Takes key points in JSON: predictions of MMPose, and lists of results or annotations as COCO has them.

YOLO-pose, Detectron and AlphaPose write such lists too. A file is a recording.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from danet.errors import BadRecording, shown
from danet.importing.found import (
    FLAT,
    Found,
    Options,
    Person,
    Taken,
    each_file,
    flat,
    json_value,
    numbers,
    stacked,
    who_is,
)

LISTS = ("instance_info", "predictions", "annotations", "results", "frames")
FORM = "a list of results with 'keypoints', or of frames with 'instances' (COCO's or MMPose's form)"
IDS = ("track_id", "person_id", "id_track", "idx")
SPARSE = 10  # numbers of pictures that are so many times as far apart as there are pictures count them no frames


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a file."""
    return each_file(source, (".json",), partial(_read, options=options))


def _read(path: Path, options: Options) -> Taken:
    value = json_value(path)
    if isinstance(value, dict):
        value = next((value[key] for key in LISTS if key in value), value)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRecording(str(path), FORM, shown(value))
    if any("instances" in item for item in value):
        images = [item.get("frame_id", place) for place, item in enumerate(value)]
        instances = [item.get("instances") or [] for item in value]
    else:
        instances = [[item] for item in value]
        images = [item.get("image_id", item.get("frame_id", 0)) for item in value]
    frames = _frames(path, images)
    bodies: list[tuple[int, dict]] = []
    for frame, listed in zip(frames, instances, strict=True):
        if not isinstance(listed, list) or not all(isinstance(body, dict) for body in listed):
            raise BadRecording(str(path), FORM, shown(listed), frame=frame + 1)
        bodies += [(frame, body) for body in listed]
    places: dict[int, int] = {}
    people = []
    for frame, body in bodies:
        place = places[frame] = places.get(frame, -1) + 1
        told = next((body[key] for key in IDS if key in body), None)
        people.append(Person(frame, who_is(told, place), _joints(path, body, frame, options.least_score)))
    return Taken(stacked(path, people, max(frames, default=0) + 1), FLAT)


def _frames(path: Path, images: list[Any]) -> list[int]:
    """The frame of each picture, from 0: by the last number in its name; by its rank where these tell no frames."""
    found = [re.findall(r"[0-9]{1,18}", str(image)[-300:]) for image in images]
    if all(found):
        numbered = [int(digits[-1]) for digits in found]
        first = min(numbered, default=0)
        if not numbered or max(numbered) - first < SPARSE * len(set(numbered)):
            return [number - first for number in numbered]
    rank = {name: place for place, name in enumerate(dict.fromkeys(map(str, images)))}
    return [rank[str(image)] for image in images]


def _joints(path: Path, body: dict, frame: int, least: float) -> np.ndarray:
    """(V, 3) of one person: x, y, score of each key point in a row, or points (V, 2) with scores beside them."""
    points = numbers(path, body.get("keypoints"), "numbers in 'keypoints'", frame)
    scores = next((body[key] for key in ("keypoint_scores", "keypoints_visible") if key in body), None)
    if points.ndim == 1 and len(points) % 3 == 0 and scores is None:
        points = points.reshape(-1, 3)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        got = shown(body.get("keypoints"))
        raise BadRecording(str(path), "x, y, score of each key point in 'keypoints'", got, frame=frame + 1)
    score = points[:, 2] if points.shape[1] == 3 else None
    if scores is not None:
        score = numbers(path, scores, "a score of each key point", frame)
        if score.shape != points.shape[:1]:
            raise BadRecording(str(path), f"{len(points)} scores", shown(scores), frame=frame + 1)
    return flat(points[:, :2], score, least)
