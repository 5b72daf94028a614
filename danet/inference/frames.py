"""Reads the frames of a live stream, a line of JSON each; a line that is no frame shows nobody and is told.

Whatever comes, the memory that it takes is bounded: the length of a line, the bodies in a frame, the length of an id.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

import numpy as np

from danet.errors import BadRecording
from danet.inference.recordings import Complain
from danet.preparation.parse import FARTHEST
from danet.skeleton.recording import MOST_BODIES

SOURCE = "standard input"
BODIES, IDS = "bodies", "ids"
LONGEST_LINE = 1 << 20  # bytes; ten bodies of a hundred joints take less than a tenth
LONGEST_ID = 100  # characters or digits
PLACE = f"coordinates within {FARTHEST:,.0f} m"
SHOWN = 30  # characters of what a line holds that are shown

Key = int | str | tuple[int]  # an id; or (place in the list,), which equals no id

log = logging.getLogger(__name__)


class Frame(NamedTuple):
    """The bodies in a frame: `joints` (M, V, 3) float32 in metres, and what each is known by."""

    keys: tuple[Key, ...]
    joints: np.ndarray


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream, each once it is there; of one that is longer than LONGEST_LINE a byte more than that."""
    while line := stream.readline(LONGEST_LINE + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)


def frames_of(lines: Iterable[bytes], size: int, complain: Complain) -> Iterator[Frame]:
    """A frame of bodies with `size` joints for each line; `complain` is told of lines that are none, and nobody seen.

    Keys of an object that mean nothing here are logged once.
    """
    told = False
    for number, line in enumerate(lines, 1):
        try:
            frame, unknown = read_frame(line, size)
        except BadRecording as problem:
            problem.line = number
            complain(problem)
            yield Frame((), np.zeros((0, size, 3), np.float32))
            continue
        if unknown and not told:
            told = True
            expected, got = f"no key but '{BODIES}' and '{IDS}'", f"'{_shown(unknown[0])}'"
            note = BadRecording(SOURCE, expected, got, line=number)
            log.warning("%s: keys like this are ignored, and told once", note)
        yield frame


def read_frame(line: bytes, size: int) -> tuple[Frame, list[str]]:
    """A line as a frame, and the keys in it that mean nothing here. Errors: BadRecording."""
    values = read_json(line)
    if not isinstance(values, dict):
        values = {BODIES: [values]}
    if BODIES not in values:
        raise BadRecording(SOURCE, f"an object with '{BODIES}'", "one without")
    joints = read_bodies(values[BODIES], size)
    keys: tuple[Key, ...] = tuple((place,) for place in range(len(joints)))
    if IDS in values:
        keys = read_ids(values[IDS], len(joints))
    return Frame(keys, joints), [key for key in values if key not in (BODIES, IDS)]


def read_json(line: bytes) -> object:
    """What a line holds. Errors: BadRecording."""
    if len(line) > LONGEST_LINE:
        raise BadRecording(SOURCE, f"a line of at most {LONGEST_LINE:,} bytes", "a longer one")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRecording(SOURCE, "text in UTF-8", f"the byte {error.object[error.start]:#04x}") from None
    if not text.strip():
        raise BadRecording(SOURCE, "a frame as JSON", "a blank line")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        got = f"'{_shown(text[error.pos : error.pos + 2 * SHOWN].strip())}' as character {error.pos + 1}: {error.msg}"
        raise BadRecording(SOURCE, "a frame as JSON", got) from None
    except RecursionError:
        raise BadRecording(SOURCE, "a frame as JSON", "brackets in brackets without end") from None
    except ValueError:
        raise BadRecording(SOURCE, "a frame as JSON", "a number of thousands of digits") from None


def read_bodies(bodies: object, size: int) -> np.ndarray:
    """A list of bodies, each a list of `size` joints [x, y, z], as (M, size, 3) float32. Errors: BadRecording."""
    if type(bodies) is not list:
        raise BadRecording(SOURCE, "a list of bodies", _kind(bodies))
    if len(bodies) > MOST_BODIES:
        raise BadRecording(SOURCE, f"at most {MOST_BODIES} bodies in a frame", f"{len(bodies):,}")
    for place, body in enumerate(bodies, 1):
        if type(body) is not list or len(body) != size:
            raise BadRecording(SOURCE, f"a list of {size} joints", _kind(body), body=place)
    joints = list(chain.from_iterable(bodies))
    if not (set(map(type, joints)) <= {list} and set(map(len, joints)) <= {3}):
        wrong = next(index for index, joint in enumerate(joints) if type(joint) is not list or len(joint) != 3)
        raise _wrong_at(wrong, "joints [x, y, z]", _kind(joints[wrong]), size)
    numbers = list(chain.from_iterable(joints))
    if not set(map(type, numbers)) <= {int, float}:
        wrong = next(index for index, number in enumerate(numbers) if type(number) not in (int, float))
        raise _wrong_at(wrong // 3, PLACE, _kind(numbers[wrong]), size)
    try:
        places = np.array(numbers, np.float64)
    except OverflowError:
        raise BadRecording(SOURCE, PLACE, "one of hundreds of digits") from None
    within = np.abs(places) <= FARTHEST
    if not within.all():
        wrong = int(within.argmin())
        raise _wrong_at(wrong // 3, PLACE, f"{places[wrong]:.10g}", size)
    return places.reshape(len(bodies), size, 3).astype(np.float32)


def read_ids(ids: object, count: int) -> tuple[int | str, ...]:
    """The ids of `count` bodies. Errors: BadRecording."""
    if type(ids) is not list or len(ids) != count:
        raise BadRecording(SOURCE, f"'{IDS}' with one id for each of {count} bodies", _kind(ids))
    for place, each in enumerate(ids, 1):
        if type(each) not in (int, str):
            raise BadRecording(SOURCE, "an integer or a text as id", _kind(each), body=place)
        if len(str(each)) > LONGEST_ID:
            raise BadRecording(SOURCE, f"an id of at most {LONGEST_ID} characters", "a longer one", body=place)
        if each in ids[: place - 1]:
            raise BadRecording(SOURCE, "an id that no other body has", f"'{_shown(str(each))}' again", body=place)
    return tuple(ids)


def _wrong_at(index: int, expected: str, got: str, size: int) -> BadRecording:
    """What is wrong with the joint `index` of a frame, whose bodies have `size` joints."""
    body, joint = divmod(index, size)
    return BadRecording(SOURCE, expected, f"{got} in joint {joint + 1}", body=body + 1)


def _kind(value: object) -> str:
    """A value of JSON in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return f"a list of {len(value)}"
    return "an object"


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
