"""Finds the joints of a body that the sensor did not find, and bridges them inside the body's track.

Files say so by a joint at exactly (0, 0, 0) or (-1, -1, -1), or by what is no number, which stands here as (0, 0, 0).
"""

from dataclasses import replace

import numpy as np

from danet.compiled import compiled
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies


def zero_what_is_not_finite(bodies: Bodies) -> Bodies:
    """The bodies with each joint at (0, 0, 0) that is not finite, without sightings of which nothing else is left."""
    finite = np.isfinite(bodies.joints).all(axis=2)
    if finite.all():
        return bodies
    joints = np.where(finite[:, :, None], bodies.joints, 0)
    shown = finite.all(axis=1) | joints.any(axis=(1, 2))
    return replace(bodies, frame=bodies.frame[shown], body=bodies.body[shown], joints=joints[shown])


@compiled
def may_lack_joints(joints: np.ndarray) -> bool:
    """Whether any joint of (n, V, 3) lies at (0, 0, 0) or (-1, -1, -1)."""
    for row in range(joints.shape[0]):
        for joint in range(joints.shape[1]):
            x = joints[row, joint, 0]
            if (x == 0 or x == -1) and joints[row, joint, 1] == x and joints[row, joint, 2] == x:
                return True
    return False


def seen_joints(joints: np.ndarray, layout: Layout) -> np.ndarray:
    """(n, V, 3), the frames of one body, to (n, V) bool: which joints were found.

    Where the origin of the coordinates lies in the body, as in files that were centred, one joint is always at zero and
    found all the same. Its neighbours are then no farther from zero than the longest bone.
    """
    at_zero = ~joints.any(axis=2)
    seen = ~(at_zero | (joints == -1).all(axis=2))
    ends = joints[:, layout.bones]  # (n, V - 1, 2, 3)
    both = seen[:, layout.bones].all(axis=2)
    if both.any():
        longest = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=2)[both].max()
        for joint in np.flatnonzero(at_zero.all(axis=0)):
            beside = np.flatnonzero(layout.hops[joint] == 1)
            reach = np.linalg.norm(joints[:, beside], axis=2)[seen[:, beside]]
            seen[:, joint] = len(reach) > 0 and np.median(reach) <= longest
    return seen


def bridged(joints: np.ndarray, seen: np.ndarray, frames: np.ndarray, layout: Layout) -> np.ndarray:
    """The frames (n, V, 3) of one body, with those joints in place that were not `seen` (n, V); `frames` (n,) rise.

    The joint found most often moves on a straight line from sighting to sighting, and stands still before the first and
    after the last one. From it outwards each joint keeps its place as seen from the joint before it, in the same way. A
    joint that was never found takes the place of the joint before it.
    """
    filled = joints.copy()
    anchor = int(np.lexsort((layout.hops[layout.origin], -seen.sum(axis=0)))[0])
    for joint, before in [(anchor, anchor), *layout.outwards(anchor)]:
        known = np.flatnonzero(seen[:, joint])
        base = 0 if joint == before else filled[:, before]
        if len(known) == len(frames):
            continue
        if not len(known):
            filled[:, joint] = base
            continue
        place = np.interp(frames, frames[known], np.arange(len(known)))
        low = place.astype(np.int64)
        weight = (place - low).astype(np.float32)[:, None]
        offset = (joints[:, joint] - base)[known]
        between = offset[low] * (1 - weight) + offset[np.minimum(low + 1, len(known) - 1)] * weight
        filled[:, joint] = np.where(seen[:, joint, None], joints[:, joint], base + between)
    return filled
