"""Counts what becomes of simulated recordings in which ids change while somebody enters, or in which furniture stands.

    python benchmarks/actors.py OUT [--weights WEIGHTS]

Takes the demo's recordings in which the sensor saw as many bodies as there are people. Glued is a recording of which
one actor shows two people. With the weights of a network, also the share that it labels rightly, of the test subjects
of cross_subject. Writes OUT/actors.csv.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from danet.config.settings import Prepare, Simulate
from danet.inference.predictor import Predictor
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise
from danet.simulate.actions import ACTIONS
from danet.simulate.simulate import Performance, motion, performances, record
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import Bodies, Sequence

ASIDE = np.array([1.1, 0, 0])  # metres from the actor to whoever or whatever else is there
People = list[np.ndarray]  # (T, 25, 3) each, zeros where a person is not seen
Case = Callable[[People, np.ndarray], list[tuple[np.ndarray, np.ndarray]]]  # to (frames, joints) of each id


def entering(lost: int) -> Case:
    """The actor is lost for some frames, then has a new id; somebody enters as it is lost."""

    def case(people: People, other: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        actor, half = people[0], len(people[0]) // 2
        entrant = np.zeros_like(actor)
        entrant[half:] = np.resize(other, actor.shape)[half:] + ASIDE
        people.append(entrant)
        return [*pieces(actor, 0, half), *pieces(actor, half + lost, len(actor)), *pieces(entrant, half, len(actor))]

    return case


def both_change(people: People, _: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two people have new ids from the middle on."""
    half = len(people[0]) // 2
    return [piece for person in people for ends in ((0, half), (half, len(person))) for piece in pieces(person, *ends)]


def chair(jitter: float) -> Case:
    """Something sits beside the actor from the first frame to the last, with so much jitter on each axis."""

    def case(people: People, other: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        noise = np.random.default_rng(len(other)).normal(0, jitter, people[0].shape)
        thing = other[len(other) // 2] + ASIDE + noise
        people.append(thing)
        return [*pieces(people[0], 0, len(thing)), *pieces(thing, 0, len(thing))]

    return case


def pieces(person: np.ndarray, start: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is seen of a person in these frames, as one id."""
    frames = start + np.flatnonzero(person[start:end].any(axis=(1, 2)))
    yield frames, person[frames]


CASES: dict[str, tuple[int, Case]] = {  # by name, how many people there are, and what happens
    "nothing": (1, lambda people, _: list(pieces(people[0], 0, len(people[0])))),
    "new id while somebody enters": (1, entering(0)),
    "the same, lost for 10 frames": (1, entering(10)),
    "two people, both new ids": (2, both_change),
    **{f"chair, jitter {round(1000 * jitter)} mm": (1, chair(jitter)) for jitter in (0, 0.003, 0.006, 0.012)},
}


def people_of(performance: Performance, camera: int) -> People:
    """The people of a recording whose ids are as many, else none."""
    sightings = record(Simulate(), performance, camera, motion(Simulate(), performance))
    ids = np.unique(sightings.body)
    if len(ids) != 1 + (performance.action > len(ACTIONS) - 2):
        return []
    people = []
    for body in ids:
        rows = sightings.body == body
        people.append(np.zeros((sightings.frames, 25, 3), np.float32))
        people[-1][sightings.frame[rows]] = sightings.joints[rows]
    return people


def as_bodies(tracks: list[tuple[np.ndarray, np.ndarray]], frames: int) -> Bodies:
    """Each track as an id of its own, in the order of the frames."""
    frame = np.concatenate([track[0] for track in tracks])
    body = np.repeat(np.arange(len(tracks)), [len(track[0]) for track in tracks])
    order = np.argsort(frame, kind="stable")
    joints = np.concatenate([track[1] for track in tracks]).astype(np.float32)
    return Bodies("simulated", frames, frame[order].astype(np.int32), body[order], joints[order])


def glued(sequence: Sequence, people: People) -> bool:
    """Whether some actor shows two people."""
    shown = [
        [(actor == person.astype(np.float32)).all(axis=(1, 2)) & actor.any(axis=(1, 2)) for person in people]
        for actor in sequence.joints.swapaxes(0, 1)
    ]
    return any(sum(frames.any() for frames in own) > 1 for own in shown)


def main() -> None:
    """Counts every case, and prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(options.weights) if options.weights else None
    recorded = [(each, people_of(each, camera)) for each in performances(Simulate()) for camera in (1, 2, 3)]
    recorded = [(performance, people) for performance, people in recorded if people]
    sitting = [people[0] for each, people in recorded if ACTIONS[each.action - 1] == "sitting down"]
    rows = []
    for name, (wanted, case) in CASES.items():
        row = {"case": name, "recordings": 0, "glued": 0, "jumps": 0, "actors": 0}
        tested, labels = [], []
        for index, (performance, seen) in enumerate(recorded):
            if len(seen) == wanted:
                people = list(seen)
                bodies = as_bodies(case(people, sitting[index % len(sitting)]), len(seen[0]))
                sequence, audit = denoise(bodies, Prepare(), KINECT_V2)
                counts = {"recordings": 1, "glued": glued(sequence, people)}
                counts |= {"jumps": audit.get("jumps", 0) > 0, "actors": audit["actors"]}
                row |= {key: row[key] + int(count) for key, count in counts.items()}
                if performance.performer % 2 == 0:
                    tested.append(centre(sequence, KINECT_V2.origin, "observed"))
                    labels.append(performance.action - 1)
        if predictor:
            row["right_percent"] = 100 * np.mean(predictor.scores_of_each(tested).argmax(axis=1) == labels)
        rows.append(row)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "actors.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
