"""Lets one or two people act: their joints in the room, (T, P, 25, 3) in metres.

Room axes: x, y up, z; the people act around the origin of the floor. At a heading of 0 a person faces +z; at a positive
heading they have turned to their left, towards +x.
"""

from collections.abc import Mapping

import numpy as np

from danet.simulate.body import CHANNELS, SHIFTS, SIDES, Person, about_y, pose_joints
from danet.simulate.randomness import smooth_noise
from danet.simulate.scripts import SCRIPTS, Angles

FRAMES_A_SECOND = 30
OTHER = {"left": "right", "right": "left"}
APART = 1.15  # metres between two people
PREFERENCE = 0.8  # share of performances done with the hand that a person prefers
LARGEST = {"elbow": 145.0, "knee": 140.0}  # degrees; neither bends backwards


def perform(
    rng: np.random.Generator, action: str, people: tuple[Person, ...], *, frames: int, heading_degrees: float
) -> np.ndarray:
    """(T, P, 25, 3) metres: `people` act once; T varies about `frames`; heading and position by chance.

    Two people face each other across the heading, so that who looks against it sees both from the side.
    """
    scripts = SCRIPTS[action]
    length = max(20, round(frames * rng.normal(1, 0.12) / people[0].tempo))
    time = _clock(rng, length)
    repetitions = people[0].agility * rng.normal(1, 0.1)
    position = np.array([rng.normal(0, 0.15), 0, rng.normal(0, 0.15)])
    heading = heading_degrees + rng.normal(0, 4)
    acted = []
    for index, (script, person) in enumerate(zip(scripts, people, strict=True)):
        angles = script(time + 0.01 * index * rng.standard_normal(), repetitions)
        joints = pose_joints(person.lengths, _pose(rng, person, angles, length))
        if len(scripts) == 2:
            joints[..., 2] -= APART / 2
            joints = joints @ about_y(90 - 180 * index + rng.normal(0, 6)).T
        acted.append(joints)
    return np.stack(acted, axis=1) @ about_y(heading).T + position


def _clock(rng: np.random.Generator, frames: int) -> np.ndarray:
    """(T,): the time of the script, from 0 to 1, at a pace that changes and with a wait before and after."""
    linear = np.linspace(0, 1, frames)
    start, end = rng.uniform(-0.02, 0.08), rng.uniform(0.93, 1.02)
    return np.clip((linear - start) / (end - start), 0, 1) ** np.exp(rng.normal(0, 0.12))


def _pose(rng: np.random.Generator, person: Person, angles: Angles, frames: int) -> Mapping[str, np.ndarray]:
    """All channels over time: what the action asks, in this person's manner, over posture and idle sway."""
    pose = {channel: np.full(frames, person.posture.get(channel, 0.0)) for channel in CHANNELS}
    sway = person.sway * smooth_noise(rng, frames, (len(CHANNELS),), width=9)
    size = rng.normal(1, 0.08)
    manner = dict(zip(CHANNELS, rng.normal(size, 0.08, len(CHANNELS)), strict=True))
    main = person.main if rng.random() < PREFERENCE else OTHER[person.main]
    for name, value in angles.items():
        channel, sign = _resolve(name, main)
        pose[channel] = pose[channel] + sign * value * person.habit[channel] * manner[channel]
    for index, channel in enumerate(CHANNELS):
        joint = channel.split()[-1]
        if channel in SHIFTS:
            continue
        # Legs that carry the body sway less than arms that hang.
        pose[channel] = pose[channel] + sway[:, index] * (0.3 if joint in ("thigh", "splay", "knee") else 1.0)
        if joint in LARGEST:
            pose[channel] = _bent(pose[channel], LARGEST[joint])
    for side in SIDES:  # arms hang: when the trunk bends forward they stay upright for the most part
        pose[f"{side} raise"] = pose[f"{side} raise"] + 0.8 * pose["bend"]
    return pose


def _resolve(name: str, main: str) -> tuple[str, float]:
    """The channel that a script's name means for a person of this handedness, and its sign."""
    if name.startswith("towards "):  # turning towards the main or the other side: the trunk, or the head alone
        side, _, what = name.removeprefix("towards ").partition(" ")
        return what or "twist", SIDES[main if side == "main" else OTHER[main]]
    word, _, rest = name.partition(" ")
    sides = {"main": main, "other": OTHER[main]}
    return (f"{sides[word]} {rest}" if word in sides else name), 1.0


def _bent(degrees: np.ndarray, largest: float) -> np.ndarray:
    """Flexion softly kept above 0, and below what a joint allows."""
    return np.minimum(5 * np.logaddexp(0, degrees / 5), largest)
