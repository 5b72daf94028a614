"""Matches the joints of two layouts by their names."""

import re
from functools import lru_cache

import numpy as np

from danet.skeleton.layout import Layout

CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # where a word begins within another: LWrist
SEPARATOR = re.compile(r"[\W_]+")
SPELLINGS = {"l": "left", "r": "right", "centre": "center"}

# Names of about one place, in the middle or on either side; the nearest ones stand beside one another.
SYNONYMS = (
    ("pelvis", "hip center", "spine base", "mid hip", "hip", "hips", "root"),
    ("spine mid", "spine", "spine navel", "torso"),
    ("shoulder center", "spine shoulder", "thorax", "spine chest", "neck"),
    ("head", "nose"),
    ("clavicle", "collar"),
    ("hand", "wrist"),
    ("hand tip", "handtip", "fingertip"),
    ("index finger", "index"),
    ("little finger", "pinky"),
    ("foot", "toe", "big toe", "foot index", "ankle"),
    ("small toe", "little toe"),
)


@lru_cache(maxsize=1 << 12)
def normal_form(name: str) -> tuple[str, ...]:
    """The words of a name, sorted: ("left", "wrist") for "left wrist", "WRIST_LEFT", "leftWrist" and "LWrist"."""
    words = SEPARATOR.split(CAPITAL.sub(" ", name).casefold())
    return tuple(sorted(SPELLINGS.get(word, word) for word in words if word))


PLACES = {normal_form(name): (group[0], rank) for group in SYNONYMS for rank, name in enumerate(group)}


@lru_cache(maxsize=1 << 12)
def place(name: str) -> tuple[tuple[str, ...], str, int]:
    """The side of a name, the first of its SYNONYMS without the side, and the rank among them."""
    words = normal_form(name)
    side = tuple(word for word in words if word in ("left", "right"))
    rest = tuple(word for word in words if word not in side)
    return side, *PLACES.get(rest, (" ".join(rest), 0))


def matching(from_layout: Layout, to_layout: Layout) -> np.ndarray:
    """(V,) int64: for each joint of `to_layout` that of `from_layout` with its name, else with a synonym, or -1.

    No joint of `from_layout` is taken twice.
    """
    found = np.full(to_layout.size, -1)
    for alike in (_of_one_name, _of_one_place):
        for joint in np.flatnonzero(found < 0):
            free = [name for v, name in enumerate(from_layout.joints) if v not in found]
            if (name := alike(to_layout.joints[joint], free)) is not None:
                found[joint] = from_layout.joints.index(name)
    return found


def _of_one_name(wanted: str, names: list[str]) -> str | None:
    return next((name for name in names if normal_form(name) == normal_form(wanted)), None)


def _of_one_place(wanted: str, names: list[str]) -> str | None:
    side, first, rank = place(wanted)
    alike = [name for name in names if place(name)[:2] == (side, first)]
    return min(alike, key=lambda name: abs(place(name)[2] - rank), default=None)


def filled(order: np.ndarray, layout: Layout) -> np.ndarray:
    """What `matching` gave for the joints of `layout`, with that of the joint before it in the place of each -1.

    The way begins at the joint that was matched nearest to the origin, as it does for joints not found.
    """
    order = order.copy()
    start = min(np.flatnonzero(order >= 0), key=lambda joint: layout.hops[layout.origin, joint])
    for joint, before in layout.outwards(int(start)):
        if order[joint] < 0:
            order[joint] = order[before]
    return order
