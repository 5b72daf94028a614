"""Plays the body tracker: joints as a depth sensor would report them, and their states.

Joints are (T, P, 25, 3) in metres, in camera axes; the given ones are exact. Noise grows with depth. A joint hidden
behind a body, as seen from the lens, is guessed: noisier, drawn towards what hides it, and mostly reported as inferred.
"""

import numpy as np

from danet.simulate.body import JOINT
from danet.simulate.randomness import smooth_noise

NOT_TRACKED, INFERRED, TRACKED = 0, 1, 2

# What can hide a joint: the capsules around these bones, and their radius in metres.
HIDING = {
    ("spine base", "spine shoulder"): 0.13,
    ("left hip", "left knee"): 0.08,
    ("right hip", "right knee"): 0.08,
    ("left knee", "left ankle"): 0.06,
    ("right knee", "right ankle"): 0.06,
    ("left shoulder", "left elbow"): 0.05,
    ("right shoulder", "right elbow"): 0.05,
    ("neck", "head"): 0.10,
}
STARTS, ENDS = np.array([[JOINT[end] for end in bone] for bone in HIDING]).T
RADII = np.array(list(HIDING.values()))
# Real recordings never report a joint of the trunk as hidden by the person's own limbs.
SELF_HIDING = np.ones((len(JOINT), len(HIDING)))
SELF_HIDING[
    [JOINT[name] for name in ("spine base", "spine mid", "spine shoulder", "neck", "head", "left hip", "right hip")]
] = 0
BEHIND = 0.10  # metres behind the middle of a capsule from which on it hides
# The tracker is worse at the ends of the limbs.
UNSTEADY = np.ones(len(JOINT))
UNSTEADY[[JOINT[f"{side} {part}"] for side in ("left", "right") for part in ("hand tip", "thumb")]] = 1.8
UNSTEADY[[JOINT[f"{side} {part}"] for side in ("left", "right") for part in ("hand", "foot")]] = 1.4
UNSTEADY[[JOINT[f"{side} {part}"] for side in ("left", "right") for part in ("wrist", "ankle")]] = 1.2


def hidden(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each joint is hidden, and by what; `seen` (T, P, 25, 3) metres in camera axes.

    Returns (T, P, 25) from 0 to 1, and the points of the hiding bodies nearest to the lines of sight, (T, P, 25, 3).
    """
    frames, people, count, _ = seen.shape
    joints = seen.reshape(frames, people * count, 3)
    starts = seen[:, :, STARTS].reshape(frames, -1, 3)  # (T, P * capsules, 3)
    along = seen[:, :, ENDS].reshape(frames, -1, 3) - starts
    radii = np.tile(RADII, people)
    # In the picture, at the distance of the body: where on the capsule's axis the line of sight passes it.
    picture = joints[..., :2] / joints[..., 2:]  # (T, joints, 2)
    depth = starts[..., 2] + along[..., 2] / 2
    flat_start = starts[..., :2] / starts[..., 2:]
    ends = starts + along
    flat_along = ends[..., :2] / ends[..., 2:] - flat_start
    offset = picture[:, :, None] - flat_start[:, None]  # (T, joints, capsules, 2)
    share = (offset * flat_along[:, None]).sum(axis=-1)
    share /= (flat_along**2).sum(axis=-1)[:, None] + 1e-6
    share = np.clip(share, 0, 1)
    off = offset - share[..., None] * flat_along[:, None]
    aside = np.sqrt((off**2).sum(axis=-1)) * depth[:, None]  # metres
    axis_depth = starts[:, None, :, 2] + share * along[:, None, :, 2]
    behind = joints[:, :, None, 2] - axis_depth
    amount = _soft((radii - aside) / 0.025) * _soft((behind - BEHIND) / 0.03)
    amount *= np.where(
        np.kron(np.eye(people), np.ones_like(SELF_HIDING)) > 0, np.tile(SELF_HIDING, (people, people)), 1
    )
    most = amount.argmax(axis=-1)[..., None]
    part = np.take_along_axis(share, most, axis=-1)
    point = np.take_along_axis(starts, most, axis=1) + part * np.take_along_axis(along, most, axis=1)
    amount = np.take_along_axis(amount, most, axis=-1)
    return amount.reshape(frames, people, count), point.reshape(seen.shape)


def _soft(value: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(value)


def track(rng: np.random.Generator, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The joints as reported, (T, P, 25, 3) metres, and their states, (T, P, 25) int64, of `seen` (T, P, 25, 3)."""
    frames, shape = len(seen), seen.shape[1:]
    amount, point = hidden(seen)
    # How sure the tracker is wavers; how far a guess is drawn is the same throughout a recording.
    doubt = np.clip(amount + 0.12 * smooth_noise(rng, frames, shape[:2], width=5) * (amount > 0.05), 0, 1)
    pull = np.clip(0.35 + 0.2 * rng.standard_normal(shape[:2]), 0, 0.8) * doubt  # (T, P, 25)
    guessed = seen + pull[..., None] * (point - seen)
    spread = 0.006 + 0.002 * seen[..., 2] ** 2  # metres, at 3 m about 24 mm
    spread = spread * UNSTEADY * (1 + 1.5 * doubt)
    axes = np.array([0.8, 0.8, 1.2])  # depth is worse than the picture
    drift = smooth_noise(rng, frames, shape, width=5)
    shake = rng.standard_normal(seen.shape)
    reported = guessed + spread[..., None] * axes * (0.9 * drift + 0.35 * shake)
    states = np.where(doubt > 0.5, INFERRED, TRACKED)
    states[(doubt > 0.85) & (rng.random(doubt.shape) < 0.01)] = NOT_TRACKED
    return reported, states
