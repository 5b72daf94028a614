"""Writes sightings as NTU RGB+D's `.skeleton` text."""

import numpy as np

from danet.simulate.cameras import COLOUR, DEPTH, pixels
from danet.simulate.faults import Sightings
from danet.skeleton.layout import KINECT_V2

PARENTS = np.array(KINECT_V2.parents)
ENDS = np.setdiff1d(np.arange(KINECT_V2.size), PARENTS)  # real files give these no orientation

# Header: id, clipped edges, confidence and state of the left and the right hand, restricted, lean x and y, state.
BODY = "%d 0 1 1 1 1 0 %.7g %.7g 2\n" + f"{KINECT_V2.size}\n" + (" ".join(["%.7g"] * 11) + " %d\n") * KINECT_V2.size


def skeleton_text(sightings: Sightings) -> str:
    """The text: frame count; per frame the body count; per body its header, 25 and a line of 12 columns per joint."""
    bodies = np.bincount(sightings.frame, minlength=sightings.frames)
    template = f"{sightings.frames}\n" + "".join(f"{count}\n" + BODY * count for count in bodies.tolist())
    columns = np.concatenate(
        [
            sightings.joints,
            pixels(sightings.joints, DEPTH),
            pixels(sightings.joints, COLOUR),
            orientations(sightings.joints),
            sightings.states[..., None],
        ],
        axis=-1,
    )  # (R, 25, 12)
    numbers = np.concatenate([_lean(sightings.joints), columns.reshape(len(columns), columns[0].size)], axis=1)
    values: list[float] = []
    for body, row in zip(sightings.body.tolist(), numbers.tolist(), strict=True):  # ids never become floats
        values.append(body)
        values += row
    return template % tuple(values)


def orientations(joints: np.ndarray) -> np.ndarray:
    """(R, 25, 4): unit quaternions w, x, y, z that turn the y axis along the bone that ends in a joint; 0 at the ends.

    The root takes the direction of the spine above it. The turn about the bone itself is left at the least.
    """
    bones = joints - joints[:, PARENTS]
    bones[:, 0] = bones[:, 1]
    bones /= np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    turn = np.stack([1 + bones[..., 1], bones[..., 2], np.zeros(bones.shape[:2]), -bones[..., 0]], axis=-1)
    size = np.linalg.norm(turn, axis=-1, keepdims=True)
    straight_down = [0.0, 1.0, 0.0, 0.0]
    turn = np.where(size > 1e-6, turn / np.maximum(size, 1e-6), straight_down)
    turn[:, ENDS] = 0
    return turn


def _lean(joints: np.ndarray) -> np.ndarray:
    """(R, 2): how far the trunk leans to the side and to the front of the picture, from -1 to 1."""
    trunk = joints[:, KINECT_V2.joints.index("spine shoulder")] - joints[:, KINECT_V2.joints.index("spine base")]
    return (trunk[:, [0, 2]] / np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-9)) * [1, -1]
