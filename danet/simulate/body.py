"""Turns the joint angles of an articulated person into joint positions.

Angles are (T,) arrays in degrees, one for each channel; positions are (T, 25, 3) in metres. The person's axes: x to
their left, y up, z to the front. The origin lies on the floor where the person stands at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from danet.skeleton.layout import KINECT_V2

JOINT = {name: index for index, name in enumerate(KINECT_V2.joints)}
SIDES = {"left": 1.0, "right": -1.0}

TORSO = ("bend", "lean", "twist", "nod", "look")  # forward, to the left, to the left; head down, head to the left
ARM = ("raise", "spread", "roll", "elbow", "wrist")  # forward, sideways, forearm inwards, flexion of elbow and wrist
LEG = ("thigh", "splay", "knee")  # forward, sideways, flexion
ANGLES = (*TORSO, *(f"{side} {angle}" for side in SIDES for angle in (*ARM, *LEG)))
SHIFTS = ("forward",)  # of the whole body, metres
CHANNELS = (*ANGLES, *SHIFTS)

# Lengths of an adult of 1.75 m, metres; the proportions are rounded from Winter, Biomechanics of Human Movement.
MEAN_LENGTHS = {
    "waist": 0.26, "chest": 0.24, "neck": 0.07, "head": 0.15, "shoulder": 0.17, "collar": 0.04, "upper arm": 0.29,
    "forearm": 0.25, "hand": 0.07, "fingers": 0.08, "thumb": 0.07, "hip": 0.085, "hip drop": 0.04, "thigh": 0.41,
    "shin": 0.40, "ankle": 0.08, "foot": 0.13,
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One performer: limb lengths in metres, and how they move.

    `posture` (degrees) is added to every pose; `habit` (factors near 1) scales what an action asks of each channel.
    `main` is the hand they prefer, `tempo` scales speed, `agility` the number of repetitions, `sway` the idle movement.
    """

    lengths: dict[str, float]
    posture: dict[str, float]
    habit: dict[str, float]
    main: str
    tempo: float
    agility: float
    sway: float


def draw_person(rng: np.random.Generator) -> Person:
    """A performer: 1.52 to 1.94 m tall, limbs that depart from the mean by some 4 %, one in seven left-handed."""
    stature = rng.uniform(1.52, 1.94) / 1.75
    lengths = {part: mean * stature * rng.normal(1, 0.04) for part, mean in MEAN_LENGTHS.items()}
    posture = {"bend": rng.normal(3, 3), "lean": rng.normal(0, 1.5), "nod": rng.normal(4, 5)}
    spread, elbow, roll, splay = rng.normal(9, 3), rng.normal(14, 5), rng.normal(25, 12), abs(rng.normal(4, 2))
    for side in SIDES:
        posture |= {f"{side} spread": spread, f"{side} elbow": elbow, f"{side} roll": roll, f"{side} splay": splay}
    habit = {channel: rng.normal(1, 0.07) for channel in CHANNELS}
    main = "left" if rng.random() < 1 / 7 else "right"
    tempo, agility, sway = rng.uniform(0.85, 1.2), rng.uniform(0.8, 1.25), rng.uniform(1.2, 3.0)
    return Person(lengths, posture, habit, main, tempo, agility, sway)


def about_x(degrees: np.ndarray) -> np.ndarray:
    """(T, 3, 3): turns y towards z, that is forward and down."""
    return _rotation(degrees, 1, 2)


def about_y(degrees: float | np.ndarray) -> np.ndarray:
    """(T, 3, 3), or (3, 3) for one angle: turns z towards x, that is to the left."""
    return _rotation(degrees, 2, 0)


def about_z(degrees: np.ndarray) -> np.ndarray:
    """(T, 3, 3): turns x towards y, that is what hangs down to the left."""
    return _rotation(degrees, 0, 1)


def _rotation(degrees: float | np.ndarray, first: int, second: int) -> np.ndarray:
    angle = np.radians(degrees)
    matrix = np.zeros((*np.shape(angle), 3, 3))
    matrix[..., :, :] = np.eye(3)
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -matrix[..., second, first]
    return matrix


def pose_joints(lengths: Mapping[str, float], pose: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 25, 3) metres: the joints of a person standing on the floor; `pose` holds (T,) arrays for all CHANNELS."""
    frames = len(pose["bend"])
    joints = np.zeros((frames, KINECT_V2.size, 3))  # seen from the spine base, until the last line

    def put(joint: str, parent: str, turn: np.ndarray, *offset: float) -> None:
        joints[:, JOINT[joint]] = joints[:, JOINT[parent]] + turn @ np.array(offset)

    pelvis = about_x(0.4 * pose["bend"])
    segment = about_z(-pose["lean"] / 2) @ about_x(0.3 * pose["bend"]) @ about_y(pose["twist"] / 2)
    waist = pelvis @ segment
    chest = waist @ segment
    head = chest @ about_y(pose["look"]) @ about_x(pose["nod"])
    put("spine mid", "spine base", waist, 0, lengths["waist"], 0)
    put("spine shoulder", "spine mid", chest, 0, lengths["chest"], 0)
    put("neck", "spine shoulder", chest, 0, lengths["neck"], 0)
    put("head", "neck", head, 0, lengths["head"], 0.15 * lengths["head"])
    for side, sign in SIDES.items():
        _put_arm(put, lengths, pose, chest, side, sign)
        _put_leg(put, lengths, pose, pelvis, side, sign)
    return joints + _stand(lengths, joints, pose)[:, None]


def _put_arm(put, lengths: Mapping[str, float], pose: Mapping[str, np.ndarray], chest, side: str, sign: float) -> None:
    raised = chest @ about_x(-pose[f"{side} raise"]) @ about_z(sign * pose[f"{side} spread"])
    upper = raised @ about_y(-sign * pose[f"{side} roll"])
    fore = upper @ about_x(-pose[f"{side} elbow"])
    hand = fore @ about_x(-pose[f"{side} wrist"])
    put(f"{side} shoulder", "spine shoulder", chest, sign * lengths["shoulder"], -lengths["collar"], 0)
    put(f"{side} elbow", f"{side} shoulder", upper, 0, -lengths["upper arm"], 0)
    put(f"{side} wrist", f"{side} elbow", fore, 0, -lengths["forearm"], 0)
    put(f"{side} hand", f"{side} wrist", hand, 0, -lengths["hand"], 0)
    put(f"{side} hand tip", f"{side} hand", hand, 0, -lengths["fingers"], 0)
    put(f"{side} thumb", f"{side} wrist", hand, 0, -0.8 * lengths["thumb"], 0.6 * lengths["thumb"])


def _put_leg(put, lengths: Mapping[str, float], pose: Mapping[str, np.ndarray], pelvis, side: str, sign: float) -> None:
    thigh = about_z(sign * pose[f"{side} splay"]) @ about_x(-pose[f"{side} thigh"])
    shin = thigh @ about_x(pose[f"{side} knee"])
    tip = np.clip(pose[f"{side} knee"] - pose[f"{side} thigh"], -30, 60)  # a foot in the air follows half of the shin
    foot = about_y(sign * np.full(len(tip), 12.0)) @ about_x(0.5 * tip)
    put(f"{side} hip", "spine base", pelvis, sign * lengths["hip"], -lengths["hip drop"], 0)
    put(f"{side} knee", f"{side} hip", thigh, 0, -lengths["thigh"], 0)
    put(f"{side} ankle", f"{side} knee", shin, 0, -lengths["shin"], 0)
    put(f"{side} foot", f"{side} ankle", foot, 0, -0.4 * lengths["ankle"], lengths["foot"])


def _stand(lengths: Mapping[str, float], joints: np.ndarray, pose: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 3) metres: where the spine base must be for the lower foot to stay on its place on the floor."""
    ankles = joints[:, [JOINT["left ankle"], JOINT["right ankle"]]]  # (T, 2, 3)
    lowest = ankles[..., 1].min(axis=1)
    weight = np.exp(-(ankles[..., 1] - lowest[:, None]) / 0.04)
    weight /= weight.sum(axis=1, keepdims=True)
    slip = (weight[..., None] * (ankles - ankles[:1])).sum(axis=1)
    base = np.empty((len(joints), 3))
    base[:, 0] = -slip[:, 0]
    base[:, 1] = lengths["ankle"] - lowest
    base[:, 2] = pose["forward"] - slip[:, 2] - ankles[0, :, 2].mean()
    return base
