"""Reads UESTC's two forms of a recording, `_skeleton.txt` and `.mat`; both hold one body a frame."""

import numpy as np

from danet.datasets.readers.mat5 import arrays_told, mat_arrays
from danet.errors import BadRecording
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import Bodies

JOINTS = KINECT_V2.size
LINES = 3 * JOINTS  # a frame: per joint a line of camera space, of the colour picture and of the depth picture


def read_uestc(name: str, path: str, content: bytes) -> Bodies:
    """Reads a recording from text or `.mat`, told apart by the file's name.

    A last frame that is cut short is left off. A frame whose coordinates are all zero holds no body.
    Errors: BadRecording, with the line and frame where there is one.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
        joints = _from_mat(path, content) if path.endswith(".mat") else _from_text(path, content)
    seen = np.flatnonzero(joints.any(axis=(1, 2)))
    return Bodies(name, len(joints), seen.astype(np.int32), np.zeros(len(seen), np.int64), joints[seen])


def _from_text(path: str, content: bytes) -> np.ndarray:
    """(T, V, 3): per frame a line `#`, then 75 lines of which every third opens with x, y, z in metres."""
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        before = content.count(b"\n", 0, error.start)
        raise BadRecording(path, "ASCII text", f"byte {content[error.start]:#x}", line=before + 1) from None
    frames: list[list[float]] = []
    inside = LINES
    cut_line = 0 if content.endswith(b"\n") else len(lines)  # no frame ends with coordinates
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if fields == ["#"]:
            if frames and inside < LINES:
                raise BadRecording(path, f"{LINES} lines a frame", f"{inside}", line=number, frame=len(frames))
            frames.append([])
            inside = 0
        elif inside == LINES:
            raise BadRecording(path, "'#' before each frame", f"'{line[:60]}'", line=number, frame=len(frames))
        else:
            if inside % 3 == 0 and number != cut_line:
                frames[-1] += _coordinates(path, fields, line, number, len(frames))
            inside += 1
    if inside < LINES:
        frames.pop()
    return np.array(frames, np.float32).reshape(-1, JOINTS, 3)


def _coordinates(path: str, fields: list[str], line: str, number: int, frame: int) -> list[float]:
    try:
        x, y, z = map(float, fields[:3])
    except ValueError:
        expected = "x, y and z as decimal numbers"
        raise BadRecording(path, expected, f"'{line[:60]}'", line=number, frame=frame) from None
    return [x, y, z]


def _from_mat(path: str, content: bytes) -> np.ndarray:
    """(T, V, 3) from the array `v` (T, 75), from `skel` (T, 25, 3), or from the only array of such a shape."""
    arrays = mat_arrays(path, content)
    fitting = {key: value for key, value in arrays.items() if _fits(value)}
    for key in ("v", "skel", *(fitting if len(fitting) == 1 else ())):
        if key in fitting:
            return fitting[key].astype(np.float32).reshape(-1, JOINTS, 3)
    raise BadRecording(path, f"one array of shape (T, {LINES}) or (T, {JOINTS}, 3)", arrays_told(arrays))


def _fits(value: np.ndarray) -> bool:
    return value.shape[1:] in ((LINES,), (JOINTS, 3))
