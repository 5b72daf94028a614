"""Describes skeletons: the axes of arrays, joint layouts, bones, body parts and distances on the body graph.

Axes, in this order wherever they meet: N samples, T frames, M bodies, V joints, C coordinates (x, y, z in metres;
the camera at the origin, y up, z away from the lens).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from danet.config.base import Settings, check, refuse_endless
from danet.errors import UserError, shown
from danet.io.yaml_text import read_yaml
from danet.skeleton import layouts

MOST_JOINTS = 1000  # of a layout: what is computed of it grows with their square

# Words in the names of joints, by which a part of the body is found: head, shoulders, hips, ankles, toes.
ANATOMY = (("head", "nose", "eye"), ("shoulder",), ("hip",), ("ankle", "heel"), ("foot", "toe"))

Name = Annotated[str, Field(min_length=1, max_length=100)]


class Definition(Settings):
    """A layout as its YAML file has it, every joint by its name; `joints` stand in the order of the recordings."""

    name: Name
    joints: tuple[Name, ...] = Field(min_length=2, max_length=MOST_JOINTS)
    parents: dict[Name, Name]
    parts: dict[Name, tuple[Name, ...]] = Field(min_length=1)
    mirror: tuple[tuple[Name, Name], ...]
    origin: Name
    across: tuple[tuple[Name, Name], ...] = Field(min_length=1)


@dataclass(frozen=True)
class Layout:
    """Which joints a sensor reports and how they are connected.

    `parents[v]` is the joint nearer to the middle of the body; the root is its own parent. `parts` are the limbs and
    the torso, and hold every joint once. `mirror` pairs the joints of the left and the right side. `origin` is the
    joint that preparation moves to (0, 0, 0). `across` are (left, right) pairs whose line runs from side to side.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    parts: dict[str, tuple[int, ...]]
    mirror: tuple[tuple[int, int], ...]
    origin: int
    across: tuple[tuple[int, int], ...]

    @property
    def definition(self) -> dict[str, Any]:
        """The layout as its YAML file has it."""
        name = self.joints.__getitem__
        return {
            "name": self.name,
            "joints": list(self.joints),
            "parents": {name(v): name(p) for v, p in enumerate(self.parents) if v != p},
            "parts": {part: list(map(name, members)) for part, members in self.parts.items()},
            "mirror": [list(map(name, pair)) for pair in self.mirror],
            "origin": name(self.origin),
            "across": [list(map(name, pair)) for pair in self.across],
        }

    @property
    def described(self) -> str | dict[str, Any]:
        """What a file says of the layout of its recordings: its name where it ships, else its definition."""
        return self.name if LAYOUTS.get(self.name) == self else self.definition

    @property
    def size(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    @cached_property
    def bones(self) -> np.ndarray:
        """(V - 1, 2) int64: each joint but the root, and its parent."""
        return np.array([(v, p) for v, p in enumerate(self.parents) if v != p])

    @cached_property
    def hops(self) -> np.ndarray:
        """(V, V) int64: number of bones between two joints."""
        distance = np.full((self.size, self.size), self.size)
        np.fill_diagonal(distance, 0)
        for a, b in self.bones:
            distance[a, b] = distance[b, a] = 1
        for middle in range(self.size):  # Floyd and Warshall
            distance = np.minimum(distance, distance[:, middle, None] + distance[None, middle])
        return distance

    @cached_property
    def part_of(self) -> np.ndarray:
        """(V,) int64: index of the part that a joint belongs to, in the order of `parts`."""
        owner = np.full(self.size, -1)
        for index, members in enumerate(self.parts.values()):
            owner[list(members)] = index
        return owner

    @cached_property
    def landmarks(self) -> list[int]:
        """The root, and of each part the joint that is furthest from it: head, hands and feet."""
        root = next(v for v, p in enumerate(self.parents) if v == p)
        return [root, *(max(members, key=lambda v: self.hops[root, v]) for members in self.parts.values())]

    @cached_property
    def anatomy(self) -> tuple[np.ndarray, ...]:
        """For each entry of ANATOMY (n,) int64: the joints with one of its words in their name; there may be none."""
        names = [joint.lower() for joint in self.joints]
        found = ([v for v, name in enumerate(names) if any(word in name for word in words)] for words in ANATOMY)
        return tuple(np.array(joints, np.int64) for joints in found)

    @cached_property
    def sides(self) -> np.ndarray:
        """(2, n) int64: the left and the right ends of `across`."""
        return np.ascontiguousarray(np.array(self.across).T)

    @cached_property
    def twin_bones(self) -> np.ndarray:
        """(n, 2) int64: the bones, as rows of `bones`, that end at the joints of a pair of `mirror`."""
        bone_of = {int(joint): bone for bone, (joint, _) in enumerate(self.bones)}
        pairs = [(bone_of[a], bone_of[b]) for a, b in self.mirror if a in bone_of and b in bone_of]
        return np.array(pairs, np.int64).reshape(-1, 2)

    @cached_property
    def mirrored(self) -> np.ndarray:
        """(V,) int64: the joint on the other side; itself in the middle of the body."""
        opposite = np.arange(self.size)
        for left, right in self.mirror:
            opposite[left], opposite[right] = right, left
        return opposite

    def outwards(self, start: int) -> list[tuple[int, int]]:
        """Every joint but `start`, and the one before it on the way from there; nearer ones first."""
        away = self.hops[start]
        beside = [np.flatnonzero(row == 1) for row in self.hops]
        return [(int(v), int(min(beside[v], key=lambda u: away[u]))) for v in np.argsort(away, kind="stable")[1:]]


def make_layout(values: object, where: str) -> Layout:
    """The layout that a definition gives; `where` names its source in messages.

    Errors: UserError unless each joint is named once and in one part, every joint leads to a single root, and the pairs
    of `mirror` are of different joints.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a layout's {', '.join(Definition.model_fields)}, got {shown(values)}")
    refuse_endless(values, where)
    definition = check(Definition, values, where)
    index_of = {joint: index for index, joint in enumerate(definition.joints)}
    pairs = {"mirror": definition.mirror, "across": definition.across}
    used = {
        "parents": (*definition.parents, *definition.parents.values()),
        "parts": tuple(joint for members in definition.parts.values() for joint in members),
        "origin": (definition.origin,),
        **{key: tuple(joint for pair in value for joint in pair) for key, value in pairs.items()},
    }
    for key, joints in used.items():
        for joint in joints:
            if joint not in index_of:
                raise UserError(f"{where}: expected '{key}' to name joints, got '{joint}'")
    for key, joints in (("joints", definition.joints), ("parts", used["parts"]), ("mirror", used["mirror"])):
        if again := _repeated(joints):
            raise UserError(f"{where}: expected each joint once in '{key}', got '{again}' twice")
    if missing := [joint for joint in definition.joints if joint not in used["parts"]]:
        raise UserError(f"{where}: expected each joint in one of the 'parts', got '{missing[0]}' in none")
    roots = [joint for joint in definition.joints if joint not in definition.parents]
    if len(roots) != 1:
        said = ", ".join(map(repr, roots)) or "none: they go in circles"
        raise UserError(f"{where}: expected one joint without one of the 'parents', got {said}")
    for joint in definition.joints:
        at, steps = joint, 0
        while at != roots[0] and steps < len(index_of):
            at, steps = definition.parents[at], steps + 1
        if at != roots[0]:
            raise UserError(f"{where}: expected the 'parents' of '{joint}' to lead to '{roots[0]}', got a circle")
    return Layout(
        name=definition.name,
        joints=definition.joints,
        parents=tuple(index_of[definition.parents.get(joint, joint)] for joint in definition.joints),
        parts={part: tuple(index_of[joint] for joint in members) for part, members in definition.parts.items()},
        mirror=tuple((index_of[left], index_of[right]) for left, right in definition.mirror),
        origin=index_of[definition.origin],
        across=tuple((index_of[left], index_of[right]) for left, right in definition.across),
    )


def _repeated(joints: Iterable[str]) -> str | None:
    return next((joint for joint, count in Counter(joints).items() if count > 1), None)


def read_layout(path: Path) -> Layout:
    """The layout of a YAML file. Errors: UserError when it cannot be read or is no layout."""
    return make_layout(read_yaml(path, "a YAML file of a layout"), str(path))


def find_layout(described: str | dict[str, Any], where: str = "layout") -> Layout:
    """The inverse of `Layout.described`; `where` names its source. Errors: UserError for a name that is not known."""
    if isinstance(described, dict):
        return make_layout(described, where)
    if not isinstance(described, str) or described not in LAYOUTS:
        raise UserError(f"{where}: expected one of the layouts {', '.join(LAYOUTS)}, got {shown(described)}")
    return LAYOUTS[described]


def layout_named(name_or_file: str) -> Layout:
    """The layout that ships under a name, or that of a YAML file. Errors: UserError for what is neither."""
    return LAYOUTS.get(name_or_file) or read_layout(Path(name_or_file))


def layout_by_size(size: int, where: str, say: str) -> Layout:
    """The layout that ships for so many joints, where only one does; `say` is how a layout is said.

    Errors: UserError where there is none, or the choice.
    """
    alike = [layout for layout in LAYOUTS.values() if layout.size == size]
    if len(alike) == 1:
        return alike[0]
    names = " or ".join(layout.name for layout in alike)
    sizes = ", ".join(map(str, sorted({layout.size for layout in LAYOUTS.values()})))
    expected = f"{say} to say {names}" if alike else f"{sizes} joints, or {say}"
    raise UserError(f"{where}: expected {expected}, got {size} joints")


SHIPPED = (
    "kinect_v2_25",
    "kinect_v1_20",
    "azure_kinect_32",
    "nite_15",
    "openni_15",
    "coco_17",
    "h36m_17",
    "mediapipe_33",
    "openpose_25",
    "openpose_18",
)
LAYOUTS = {name: read_layout(Path(str(files(layouts)), f"{name}.yaml")) for name in SHIPPED}
KINECT_V2, KINECT_V1 = LAYOUTS["kinect_v2_25"], LAYOUTS["kinect_v1_20"]
