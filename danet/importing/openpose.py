"""Takes OpenPose's folders of JSON files, a file a frame: BODY_25's or COCO's 18 key points in pixels."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from danet.errors import BadRecording, shown
from danet.importing.found import (
    FLAT,
    Found,
    Options,
    Person,
    Taken,
    files_below,
    flat,
    found_at,
    json_value,
    numbers,
    stacked,
    who_is,
)

LARGEST_FRAME = 1 << 24  # bytes
NAME = re.compile(r"(.*?)_?([0-9]{1,18})(?:_keypoints)?\.json")


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a folder, or each video where a folder holds the frames of several."""
    for folder, paths in groupby(files_below(source, (".json",)), key=lambda path: path.parent):
        videos: dict[str, list[Path]] = {}
        for path in paths:
            match = NAME.fullmatch(path.name)
            videos.setdefault(match[1] if match else "", []).append(path)
        for video, frames in videos.items():
            place = folder / (video or "frames") if len(videos) > 1 else folder
            yield found_at(source, place, partial(_read, frames, options))


def _read(paths: Sequence[Path], options: Options) -> Taken:
    numbered = [NAME.fullmatch(path.name) for path in paths]
    index = [int(match[2]) for match in numbered if match]
    frames = [number - index[0] for number in index] if len(index) == len(paths) else list(range(len(paths)))
    people = (person for path, frame in zip(paths, frames, strict=True) for person in _people(path, frame, options))
    return Taken(stacked(paths[0].parent, people, frames[-1] + 1), FLAT)


def _people(path: Path, frame: int, options: Options) -> Iterator[Person]:
    value = json_value(path, LARGEST_FRAME)
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, list):
        raise BadRecording(str(path), "an object with a list 'people' (OpenPose's form)", shown(value))
    for place, person in enumerate(people):
        listed = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
        if not listed and isinstance(person, dict):
            continue  # a face or a hand alone
        points = numbers(path, listed, "numbers in 'pose_keypoints_2d'")
        if points.ndim != 1 or len(points) % 3:
            raise BadRecording(str(path), "x, y, score of each key point in 'pose_keypoints_2d'", shown(listed))
        points = points.reshape(-1, 3)
        joints = flat(points[:, :2], points[:, 2], options.least_score)
        yield Person(frame, who_is(person.get("person_id"), place), joints)
