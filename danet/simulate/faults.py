"""Adds the faults of a sensor to tracked people: changed ids, lost frames and ghosts.

Joints (T, P, 25, 3) in metres of P people become the sightings of bodies, R in all.
"""

from dataclasses import dataclass

import numpy as np

from danet.simulate.tracking import INFERRED, TRACKED

FIRST_ID = 2**56  # ids of real recordings lie just above, beyond what a float64 counts exactly
CHANCE = {"lost": 0.08, "late": 0.02, "new_id": 0.06, "person_missed": 0.08, "short_ghost": 0.06, "flat_ghost": 0.05}
SHORTEST_KEPT = 12  # frames: a body seen in fewer is a ghost to the reference preparation


@dataclass(frozen=True)
class Sightings:
    """Every body sighting of one recording, by frame, R in all.

    `frame` (R,) int64 from 0, `body` (R,) int64, `joints` (R, 25, 3) metres, `states` (R, 25) int64; `frames` counts
    the frames without a body too.
    """

    frames: int
    frame: np.ndarray
    body: np.ndarray
    joints: np.ndarray
    states: np.ndarray


def sight(rng: np.random.Generator, joints: np.ndarray, states: np.ndarray) -> Sightings:
    """Tracked people, `joints` (T, P, 25, 3) metres and `states` (T, P, 25), as a sensor with its faults files them."""
    frames, people = states.shape[:2]
    happens = {fault: rng.random() < chance for fault, chance in CHANCE.items()}
    ids = (FIRST_ID + rng.integers(1_000, 60_000) + np.cumsum(rng.integers(1, 40, people + 3))).tolist()
    everywhere = np.arange(frames)
    rows: list[tuple[np.ndarray, ...]] = [
        (everywhere, np.full(frames, ids[p]), joints[:, p], states[:, p]) for p in range(people)
    ]
    if happens["new_id"]:
        rows[0] = (everywhere, _changed(rng, rows[0][1], ids[people]), *rows[0][2:])
    if happens["person_missed"] and people > 1:  # the second is found late
        first = rng.integers(1, frames // 4)
        rows[1] = tuple(column[first:] for column in rows[1])
    if happens["short_ghost"]:
        rows.append(_short_ghost(rng, joints[:, 0], ids[people + 1]))
    if happens["flat_ghost"]:
        rows.append(_flat_ghost(rng, joints[:, 0], ids[people + 2]))
    kept = np.ones(frames, bool)
    if happens["lost"]:
        start = rng.integers(frames)
        kept[start : start + rng.integers(1, 6)] = False
    if happens["late"]:
        kept[: rng.integers(1, frames // 4)] = False
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    order = np.lexsort((columns[1] if rng.random() < 0.5 else -columns[1], columns[0]))
    order = order[kept[columns[0][order]]]
    return Sightings(frames, *(column[order] for column in columns))


def _changed(rng: np.random.Generator, ids: np.ndarray, new: int) -> np.ndarray:
    """The sensor takes the person for another one from some frame on, or for a while."""
    frames, ids = len(ids), ids.copy()
    start = rng.integers(frames // 4, frames // 2)
    end = frames if rng.random() < 0.4 else start + rng.integers(2, max(3, frames // 3))
    ids[start:end] = new
    return ids


def _short_ghost(rng: np.random.Generator, joints: np.ndarray, number: int) -> tuple[np.ndarray, ...]:
    """A second person where there is none, for at most 11 frames: the first one's pose, thrown on something behind."""
    length = int(rng.integers(2, SHORTEST_KEPT))
    start = int(rng.integers(len(joints) - length + 1))
    pose = joints[start] + [rng.choice([-1, 1]) * rng.uniform(0.6, 1.1), rng.normal(0, 0.1), rng.uniform(0.3, 0.9)]
    ghost = pose + rng.normal(0, 0.05, (length, *pose.shape))
    states = np.where(rng.random(ghost.shape[:2]) < 0.5, INFERRED, TRACKED)
    return np.arange(start, start + length), np.full(length, number), ghost, states


def _flat_ghost(rng: np.random.Generator, joints: np.ndarray, number: int) -> tuple[np.ndarray, ...]:
    """Furniture taken for a body: wider than 0.8 of its height in nearly every frame, for longer than 11 frames."""
    frames = len(joints)
    length = int(rng.integers(SHORTEST_KEPT, frames + 1))
    start = int(rng.integers(frames - length + 1))
    middle = joints[start].mean(axis=0) + [rng.choice([-1, 1]) * rng.uniform(0.7, 1.2), -0.4, rng.uniform(0.0, 0.8)]
    shape = rng.uniform(-1, 1, (joints.shape[1], 3)) * [0.45, 0.2, 0.15]
    ghost = middle + shape + rng.normal(0, 0.03, (length, *shape.shape))
    states = np.where(rng.random(ghost.shape[:2]) < 0.7, INFERRED, TRACKED)
    return np.arange(start, start + length), np.full(length, number), ghost, states
