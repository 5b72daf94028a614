"""Takes MediaPipe's pose landmarks: arrays, an array a frame, or JSON; world landmarks, or those of a picture.

World landmarks are metres from the middle of the hips: x to the right of the picture, y down, z away from the camera
(smaller z is nearer to it). So half a turn about z puts them right. Landmarks of a picture are shares of its width and
height; their z is left out.
"""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from danet.datasets.readers.raw_file import LARGEST_BYTES
from danet.errors import BadRecording, shown
from danet.importing.found import (
    HALF_TURN,
    Found,
    Options,
    Person,
    Taken,
    files_below,
    found_at,
    json_value,
    numbers,
    scored,
    stacked,
)
from danet.io.files import read_file
from danet.skeleton.layout import LAYOUTS

LAYOUT = LAYOUTS["mediapipe_33"]
JOINTS = LAYOUT.size
HIPS = [LAYOUT.joints.index(joint) for joint in ("left hip", "right hip")]
AT_THE_HIPS = 0.02  # how far, in metres, the middle of the hips of world landmarks may be from their origin
HOLISTIC = 1662  # numbers of a frame with hands and face; the first 33 x 4 are the pose
WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
KEYS = (*WORLD, "pose_landmarks", "poseLandmarks", "landmarks", "pose", "frames")
FORM = f"(T, {JOINTS}, 3 or 4), or ({JOINTS}, 3 or 4) for a frame"
MOST_LEVELS = 4  # of keys and lists around a frame's landmarks


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a file, or a folder of arrays that each hold a frame."""
    for folder, paths in groupby(files_below(source, (".npy", ".json")), key=lambda path: path.parent):
        frames: list[Path] = []
        others: list[Path] = []
        for path in paths:
            (frames if source.is_dir() and path.suffix == ".npy" and _is_frame(path) else others).append(path)
        if frames:
            yield found_at(source, folder, partial(_read_frames, frames, folder, options))
        for path in others:
            read = _read_json if path.suffix == ".json" else _read_array
            yield found_at(source, path.with_suffix(""), partial(read, path, options))


def _is_frame(path: Path) -> bool:
    """Whether an array holds one frame; what cannot be read is told later."""
    try:
        return len(_landmarks(path)) == 1
    except BadRecording:
        return False


def _landmarks(path: Path) -> np.ndarray:
    """(T, 33, 4) float64: x, y, z, visibility."""
    content = read_file(path, LARGEST_BYTES, what="a NumPy file", refuse=partial(BadRecording, str(path)))
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        assert isinstance(array, np.ndarray)
        array = array.astype(np.float64)
    except Exception:
        raise BadRecording(str(path), "a NumPy file of numbers", "another or a damaged one") from None
    shape = array.shape
    if array.ndim in (1, 2) and shape[-1] in (HOLISTIC, 4 * JOINTS, 3 * JOINTS):
        width = 3 if shape[-1] == 3 * JOINTS else 4
        array = array[..., : JOINTS * width].reshape(-1, JOINTS, width)
    elif array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1] != JOINTS or array.shape[2] not in (3, 4) or not len(array):
        raise BadRecording(str(path), f"landmarks of shape {FORM}", f"{shape}")
    return array if array.shape[2] == 4 else np.concatenate([array, np.ones((*array.shape[:2], 1))], axis=2)


def _read_array(path: Path, options: Options) -> Taken:
    return _taken(path, [(frame, 0, landmarks) for frame, landmarks in enumerate(_landmarks(path))], options)


def _read_frames(paths: Sequence[Path], folder: Path, options: Options) -> Taken:
    return _taken(folder, [(frame, 0, _landmarks(path)[0]) for frame, path in enumerate(paths)], options)


def _read_json(path: Path, options: Options) -> Taken:
    frames = _inside(json_value(path))
    if not isinstance(frames, list):
        raise BadRecording(str(path), f"a list of frames, or one of {', '.join(KEYS)}", shown(frames))
    if frames and _is_landmark(frames[0]):
        frames = [frames]
    people = []
    for frame, value in enumerate(frames):
        inside = _inside(value)
        if not isinstance(inside, list | None):
            raise BadRecording(str(path), f"landmarks, or one of {', '.join(KEYS)}", shown(inside), frame=frame + 1)
        bodies = [inside] if inside and _is_landmark(inside[0]) else inside or []
        people += [(frame, place, _body(path, body, frame)) for place, body in enumerate(bodies)]
    return _taken(path, people, options, len(frames))


def _inside(value: Any) -> Any:
    """What lies below the first of KEYS that is there."""
    for _ in range(MOST_LEVELS):
        if not isinstance(value, dict):
            break
        key = next((key for key in KEYS if key in value), None)
        if key is None:
            break
        value = value[key]
    return value


def _is_landmark(value: Any) -> bool:
    named = isinstance(value, dict) and "x" in value
    return named or (isinstance(value, list) and len(value) in (3, 4) and all(map(_is_number, value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _body(path: Path, body: Any, frame: int) -> np.ndarray:
    """(33, 4) of one person."""
    body = _inside(body)
    rows = [
        [mark.get("x"), mark.get("y"), mark.get("z", 0), mark.get("visibility", 1)]
        if isinstance(mark, dict)
        else [*mark, 1][:4]
        if isinstance(mark, list)
        else [mark]
        for mark in (body if isinstance(body, list) else [])
    ]
    array = numbers(path, rows, f"{JOINTS} landmarks of x, y, z, visibility", frame)
    if array.shape != (JOINTS, 4):
        raise BadRecording(str(path), f"{JOINTS} landmarks of x, y, z", f"{len(rows)}", frame=frame + 1)
    return array


def _taken(path: Path, people: list[tuple[int, int, np.ndarray]], options: Options, frames: int = 0) -> Taken:
    """The recording of people's landmarks (33, 4)."""
    if not people:
        raise BadRecording(str(path), "somebody to be seen", "nobody")
    marks = np.array([landmarks for _, _, landmarks in people])
    marks[~marks[..., :3].any(axis=(1, 2)), :, 3] = 0  # a frame of zeros is how many say that nobody was seen
    middle = np.linalg.norm(marks[marks[..., 3].any(axis=1)][:, HIPS, :3].mean(axis=1), axis=1)
    middle = middle[np.isfinite(middle)]
    if len(middle) and np.median(middle) < AT_THE_HIPS:
        points, changes = marks[..., :3] * [-1, -1, 1], f"world landmarks in metres, {HALF_TURN}"
    else:
        points = marks[..., :3] * [options.aspect or 1, -1, 0]
        times = f"times {options.aspect:g}" if options.aspect else "not stretched: --aspect says width by height"
        changes = f"landmarks of a picture as flat key points: x {times}, y turned up, z = 0"
    joints = scored(points, marks[..., 3], options.least_score)
    found = (Person(frame, who, body) for (frame, who, _), body in zip(people, joints, strict=True))
    return Taken(stacked(path, found, frames or 1 + max(frame for frame, _, _ in people)), changes)
