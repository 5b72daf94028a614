"""Defines what every form hands over: the recordings that it found, each with a function that reads it."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from danet.datasets.readers.any_file import SENSOR_BODIES
from danet.datasets.readers.raw_file import LARGEST_BYTES
from danet.errors import BadRecording, UserError, say
from danet.io.files import read_file, why_no_json
from danet.skeleton.layout import Layout
from danet.skeleton.recording import MOST_BODIES, MOST_FRAMES

LEAST_SCORE = 0.3
FLAT = "flat key points in pixels: x as in the picture, y turned up, z = 0"
HALF_TURN = "x and y negated: y up, x to the camera's left, z away from it"
AS_IT_IS = "axes and unit as they are"


@dataclass(frozen=True)
class Options:
    """What a user may say of a form. A joint with a score below `least_score` was not seen.

    `layout` is that of the joints, where it was named. `aspect` is a picture's width by its height. `unit` is a unit of
    UNITS. `y_down` says that y points down. `split` names one of a file's splits.
    """

    least_score: float = LEAST_SCORE
    layout: Layout | None = None
    aspect: float = 0.0
    unit: str = "m"
    y_down: bool = False
    split: str = ""


class Taken(NamedTuple):
    """A recording: joints (M, T, V, 3) float32, zeros where not seen; what was changed, in words; its layout."""

    joints: np.ndarray
    changes: str
    layout: Layout | None = None


class Found(NamedTuple):
    """A recording that a form found. `read` raises BadRecording; what is empty is not known."""

    name: str
    read: Callable[[], Taken]
    label: str = ""
    subject: str = ""
    view: str = ""
    split: str = ""


class Person(NamedTuple):
    """Somebody in a frame: who it is, and the joints (V, 3)."""

    frame: int
    who: Hashable
    joints: np.ndarray


def natural(path: Path) -> list[list]:
    """Sorts 2 before 10, and the files of one folder one after the other."""
    return [
        [(int(part[:300]), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", text)]
        for text in (str(path.parent), path.name)
    ]


def files_below(source: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """`source` itself, or the files with these endings in that folder, at any depth. Errors: UserError for none."""
    if not source.exists():
        raise UserError(f"{source}: expected a file or a folder, got none")
    if not source.is_dir():
        return [source]
    found = [Path(folder, name) for folder, _, names in os.walk(source) for name in names if name.endswith(suffixes)]
    if not found:
        raise UserError(f"{source}: expected files that end in {', '.join(suffixes)}, got none")
    return sorted(found, key=natural)


def each_file(source: Path, suffixes: tuple[str, ...], read: Callable[[Path], Taken]) -> Iterator[Found]:
    """A recording a file."""
    for path in files_below(source, suffixes):
        yield found_at(source, path.with_suffix(""), partial(read, path))


def found_at(source: Path, path: Path, read: Callable[[], Taken]) -> Found:
    """A recording by its place in `source`: its name is the path from there on, its label the folder that holds it."""
    place = path.resolve()
    within = source.is_dir() and path != source
    return Found(os.path.relpath(path, source) if within else place.name, read, place.parent.name)


def failed(path: Path, error: BadRecording) -> Found:
    """What could not be read, to be told among the others."""

    def read() -> Taken:
        raise error

    return Found(path.name, read)


def json_value(path: Path, most: int = LARGEST_BYTES) -> Any:
    """What a JSON file holds. Errors: BadRecording."""
    content = read_file(path, most, what="a JSON file", refuse=partial(BadRecording, str(path)))
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRecording(str(path), "a JSON file", why_no_json(error)) from None
    except MemoryError:
        raise BadRecording(str(path), "a recording that fits into memory", "one that does not") from None


def numbers(path: Path, value: Any, what: str, frame: int = -1) -> np.ndarray:
    """The numbers of nested lists, float64; nothing stands for NaN. `frame` counts from 0. Errors: BadRecording."""
    try:
        return np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        got = "lists of unlike lengths, or what is no number"
        raise BadRecording(str(path), what, got, frame=frame + 1) from None


def scored(points: np.ndarray, score: np.ndarray | None, least: float) -> np.ndarray:
    """Points (..., V, 3) float32, at (0, 0, 0) where not finite or where `score` (..., V) is below `least`."""
    points = np.array(points, np.float32)
    unseen = ~np.isfinite(points).all(axis=-1)
    if score is not None:
        unseen |= ~(score >= least)
    points[unseen] = 0
    return points + 0.0  # no -0


def flat(points: np.ndarray, score: np.ndarray | None, least: float) -> np.ndarray:
    """Key points (..., V, 2) of a picture, y down, to (..., V, 3) with y up and z = 0."""
    return scored(np.concatenate([points * [1, -1], np.zeros((*points.shape[:-1], 1))], axis=-1), score, least)


def who_is(told: object, place: int) -> Hashable:
    """Who somebody is by the id that a file tells, alone or in a list; where it tells none, or -1, by the place."""
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    return f"{told}" if isinstance(told, (str, int, float)) and told not in ("", -1) else place


def stacked(path: Path, people: Iterable[Person], frames: int) -> np.ndarray:
    """(M, T, V, 3) float32 of everybody in a recording of so many frames, in the order of their first sight.

    Those seen in the fewest frames are left out where there are more than own data holds, which is told. Errors:
    BadRecording where nobody is there, or one twice in a frame.
    """
    people = [person for person in people if person.joints.any()]
    sizes = {len(person.joints) for person in people}
    if len(sizes) != 1:
        got = f"{', '.join(map(str, sorted(sizes)))} joints" if people else "nobody"
        raise BadRecording(str(path), "somebody to be seen, of as many joints in each frame", got)
    joints = sizes.pop()
    room = (LARGEST_BYTES - 1024) // (12 * max(frames, 1) * joints)
    if frames > MOST_FRAMES or not room:
        got = f"{frames:,} of {joints}"
        raise BadRecording(str(path), f"at most {MOST_FRAMES:,} frames, and {LARGEST_BYTES:,} bytes", got)
    counts = Counter(person.who for person in people)
    most = min(room, MOST_BODIES, max(frames, SENSOR_BODIES))
    if len(counts) > most:
        say(f"{path}: {len(counts)} people by their ids; the {most} seen most often are kept")
    kept = {who for who, _ in counts.most_common(most)}
    index = {who: place for place, who in enumerate(who for who in counts if who in kept)}
    array = np.zeros((len(index), frames, joints, 3), np.float32)
    for frame, who, body in people:
        if who in index:
            if array[index[who], frame].any():
                raise BadRecording(str(path), "each id once in a frame", f"'{who}' again", frame=frame + 1)
            array[index[who], frame] = body
    return array
