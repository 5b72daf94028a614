"""The vocabulary: axes, joint layouts, bones, body parts and distances on the body graph.

Axes, in this order wherever they meet: N samples, T frames, M bodies, V joints, C coordinates (x, y, z in metres;
the camera at the origin, y up, z away from the lens).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Which joints a sensor reports and how they hang together.

    `parents[v]` is the joint nearer to the middle of the body, the root's is itself. `parts` are the limbs and the
    torso, together every joint once. `mirror` pairs the joints of the left and the right side. `origin` is the joint
    that preparation moves to (0, 0, 0). `across` are (left, right) pairs whose line runs from side to side.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    parts: dict[str, tuple[int, ...]]
    mirror: tuple[tuple[int, int], ...]
    origin: int
    across: tuple[tuple[int, int], ...]

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
    def mirrored(self) -> np.ndarray:
        """(V,) int64: the joint on the other side; itself in the middle of the body."""
        other = np.arange(self.size)
        for left, right in self.mirror:
            other[left], other[right] = right, left
        return other


KINECT_V2 = Layout(
    name="kinect_v2_25",
    joints=(
        "spine base", "spine mid", "neck", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
        "spine shoulder", "left hand tip", "left thumb", "right hand tip", "right thumb",
    ),
    parents=(0, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 6, 11, 10),
    parts={
        "torso": (0, 1, 20, 2, 3),
        "left arm": (4, 5, 6, 7, 21, 22),
        "right arm": (8, 9, 10, 11, 23, 24),
        "left leg": (12, 13, 14, 15),
        "right leg": (16, 17, 18, 19),
    },
    mirror=(
        (4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24),
    ),
    origin=1,
    across=((4, 8), (12, 16)),
)  # fmt: skip

KINECT_V1 = Layout(
    name="kinect_v1_20",
    joints=(
        "hip center", "spine", "shoulder center", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
    ),
    parents=(0, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
    parts={
        "torso": (0, 1, 2, 3),
        "left arm": (4, 5, 6, 7),
        "right arm": (8, 9, 10, 11),
        "left leg": (12, 13, 14, 15),
        "right leg": (16, 17, 18, 19),
    },
    mirror=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19)),
    origin=1,
    across=((4, 8), (12, 16)),
)  # fmt: skip

LAYOUTS = {layout.name: layout for layout in (KINECT_V2, KINECT_V1)}
