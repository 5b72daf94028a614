"""Follows each body of a recording over time, and measures how it moves.

`timing` decides at which frame a joint lies. With `observed` it is the frame where it was seen. With `reference`, as in
the peers' scripts, frames without a body vanish, and a body that leaves and returns is shifted to close the gap.
"""

from dataclasses import dataclass, replace

import numpy as np

from danet.compiled import compiled
from danet.preparation.unseen import bridged, seen_joints
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies

KEPT, UNSEEN, SHORT, NOISY, STILL, NO_ROOM = "kept", "hardly seen", "short", "noisy", "never moves", "no room"
MOST_JITTER = 0.02  # metres: what strays further from frame to frame is motion


@dataclass(frozen=True)
class Track:
    """One body id over time: `frames` (n,) rising, `joints` (n, V, 3) in metres, `motion` in square metres.

    It was seen from recorded frame `first` to `last`. `shifted` counts the sightings that lie at another frame under
    the other timing. `found` is the share of its joints that the sensor found, over its frames. `bridged` counts
    the others, frame by frame; `never_seen`, the joints that were found in no frame.
    """

    body: int
    frames: np.ndarray
    joints: np.ndarray
    first: int
    last: int
    shifted: int
    found: float = 1.0
    bridged: int = 0
    never_seen: int = 0
    motion: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of one body: `rule` is KEPT, UNSEEN, SHORT, NOISY, STILL or NO_ROOM.

    `value` is what the rule looked at: for KEPT the motion in square metres, for UNSEEN the share of joints that were
    found, for SHORT the frames, for NOISY the share of noisy frames, for STILL how far it strays in metres, for NO_ROOM
    the frames in which both slots were taken. `slot` is 1 or 2, 0 for a dropped body. `jump` is the distance in metres,
    mean over joints, at which it continues another body's slot, the largest if it does so more than once; 0 where it
    opens the slot.
    """

    body: int
    rule: str
    value: float
    slot: int = 0
    jump: float = 0.0


def tracks_of(bodies: Bodies, timing: str) -> tuple[list[Track], int]:
    """The tracks in order of first sight, and the number of frames that they are laid out on."""
    index, tracks = bodies.index, []
    for number, body in enumerate(index.ids):
        rows = np.flatnonzero(index.track == number) if len(index.ids) > 1 else slice(None)
        observed = bodies.frame[rows]
        # In reference timing frames without a body do not count, and every later sighting lies at the previous one + 1.
        closed_up = index.present[rows][0] + np.arange(len(observed))
        frames = closed_up if timing == "reference" else observed
        shifted = int(np.count_nonzero(observed != closed_up))
        tracks.append(Track(int(body), frames, bodies.joints[rows], int(observed[0]), int(observed[-1]), shifted))
    return tracks, index.frames if timing == "reference" else bodies.frames


def bridge(track: Track, layout: Layout) -> Track:
    """The track with the joints in place that were not found, without the frames in which none was."""
    seen = seen_joints(track.joints, layout)
    shown = seen.any(axis=1)
    frames, joints, seen = track.frames[shown], track.joints[shown], seen[shown]
    if not len(seen):
        return replace(track, frames=frames, joints=joints, found=0.0)
    return replace(
        track,
        frames=frames,
        joints=bridged(joints, seen, frames, layout),
        found=float(seen.mean()),
        bridged=int((~seen).sum()),
        never_seen=int((~seen.any(axis=0)).sum()),
    )


@compiled
def motion_of(joints: np.ndarray) -> float:
    """The variance of x, y and z over all joints and frames pooled, summed; in square metres.

    Row by row in float32, as `numpy.var(joints.reshape(-1, 3), axis=0).sum()` does, to the last bit and faster.
    """
    frames, size, _ = joints.shape
    count = np.float32(frames * size)
    mean, spread = np.zeros(3, np.float32), np.zeros(3, np.float32)
    for frame in range(frames):
        for joint in range(size):
            for axis in range(3):
                mean[axis] += joints[frame, joint, axis]
    mean /= count
    for frame in range(frames):
        for joint in range(size):
            for axis in range(3):
                away = joints[frame, joint, axis] - mean[axis]
                spread[axis] += away * away
    spread /= count
    return spread[0] + spread[1] + spread[2]


@compiled
def sound_frames(joints: np.ndarray, widest: float) -> np.ndarray:
    """(n, V, 3) to (n,) bool: where a body is at most `widest` times as wide as it is high."""
    frames, size, _ = joints.shape
    sound = np.empty(frames, np.bool_)
    for frame in range(frames):
        low, high = joints[frame, 0].copy(), joints[frame, 0].copy()
        for joint in range(1, size):
            for axis in range(2):
                low[axis] = min(low[axis], joints[frame, joint, axis])
                high[axis] = max(high[axis], joints[frame, joint, axis])
        sound[frame] = high[0] - low[0] <= np.float32(widest) * (high[1] - low[1])
    return sound


@compiled
def stray_of(joints: np.ndarray) -> float:
    """How far the joints (n, V, 3) stray from their mean places, in metres, beyond their jitter from frame to frame."""
    frames, size, _ = joints.shape
    rows = joints.reshape(frames, size * 3)
    mean = np.zeros(size * 3)
    for row in rows:
        mean += row
    mean /= frames
    spread, steps = 0.0, 0.0
    for frame in range(frames):
        for place in range(size * 3):
            spread += (rows[frame, place] - mean[place]) ** 2
            if frame:
                steps += (rows[frame, place] - rows[frame - 1, place]) ** 2
    jitter = min(steps / (2 * size * max(1, frames - 1)), MOST_JITTER**2)
    return max(0.0, spread / (size * frames) - jitter) ** 0.5
