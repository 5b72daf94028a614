"""Corrupts recordings as sensors and trackers do: what robustness is measured on.

Each function takes the joints of one recording, (T, M, V, 3) in metres, zero where an actor was not seen, and gives new
ones; T may be less. What is random comes from the generator.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from danet.preparation.unseen import bridged
from danet.skeleton.layout import Layout
from danet.skeleton.recording import seen_in

Rng = np.random.Generator


@dataclass(frozen=True)
class Corruption:
    """One way of corrupting a recording: `what` is done, to what `level` in `unit`."""

    what: str
    level: float
    unit: str
    corrupt: Callable[[np.ndarray, float, Layout, Rng], np.ndarray]

    def __call__(self, joints: np.ndarray, layout: Layout, rng: Rng) -> np.ndarray:
        """The corrupted joints, float32."""
        return self.corrupt(joints, self.level, layout, rng).astype(np.float32)


def lose_joints(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Some joints, drawn anew for each recording, lie where the next joint towards the middle of the body lies."""
    lost = rng.random(layout.size) < percent / 100
    kept = np.arange(layout.size)
    for joint in kept:
        while lost[kept[joint]] and layout.parents[kept[joint]] != kept[joint]:
            kept[joint] = layout.parents[kept[joint]]
    return joints[:, :, kept]


def miss_joints(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Joints, drawn anew in each frame, are not found by the sensor, and bridged as the preparation does."""
    found = (rng.random(joints.shape[:3]) >= percent / 100) & seen_in(joints)[:, :, None]
    missed = np.zeros_like(joints)
    for actor in range(joints.shape[1]):
        frames = np.flatnonzero(found[:, actor].any(axis=1))
        if len(frames):
            missed[frames, actor] = bridged(joints[frames, actor], found[frames, actor], frames, layout)
    return missed


def jitter(joints: np.ndarray, centimetres: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Every joint of every frame is moved by normal noise of that deviation along each axis."""
    noise = rng.normal(0, centimetres / 100, joints.shape)
    return np.where(seen_in(joints)[:, :, None, None], joints + noise, 0)


def lose_frames(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """In some frames, drawn one by one, nobody is seen; one frame at least is kept."""
    lost = rng.random(len(joints)) < percent / 100
    seen = _shown(joints)
    if len(seen) and lost[seen].all():
        lost[rng.choice(seen)] = False
    return np.where(lost[:, None, None, None], 0, joints)


def slow_down(joints: np.ndarray, factor: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Only one frame in `factor` was recorded, the first one that shows anybody among them."""
    seen = _shown(joints)
    return joints[seen[0] if len(seen) else 0 :: int(factor)]


def cut_short(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Of the frames between the first and the last that show anybody, only a part is kept, at least one frame.

    It lies anywhere among them, as if the camera had been started late or stopped early.
    """
    seen = _shown(joints)
    if not len(seen):
        return joints
    shown = joints[seen[0] : seen[-1] + 1]
    kept = max(1, round(len(shown) * (1 - percent / 100)))
    start = rng.integers(len(shown) - kept + 1)
    return shown[start : start + kept]


def swap_people(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """After that share of the recording the tracker takes each of two people for the other one."""
    swapped = joints.copy()
    start = round(len(joints) * percent / 100)
    swapped[start:] = joints[start:, ::-1]
    return swapped


def _shown(joints: np.ndarray) -> np.ndarray:
    """The frames that show anybody, by index."""
    return np.flatnonzero(seen_in(joints).any(axis=1))


CORRUPTIONS = (
    *(Corruption("joints not found", percent, "% of the joints", miss_joints) for percent in (2, 5, 20)),
    *(Corruption("joints lost", percent, "% of the joints", lose_joints) for percent in (10, 25, 50)),
    *(Corruption("jitter", centimetres, "cm", jitter) for centimetres in (1, 2, 5)),
    *(Corruption("frames lost", percent, "% of the frames", lose_frames) for percent in (25, 50, 75)),
    *(Corruption("lower frame rate", factor, "times", slow_down) for factor in (2, 4, 8)),
    *(Corruption("cut short", percent, "% of the frames", cut_short) for percent in (25, 50, 75)),
    Corruption("people swapped", 50, "% into the recording", swap_people),
)
