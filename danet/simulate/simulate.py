"""Simulates recordings: one NTU-style `.skeleton` file for each performance and camera.

Every recording follows from the seed and its own name: performers are drawn by theirs, motion by the performance's,
which its three cameras share, and what a camera makes of it by the recording's.
"""

from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from danet.config.settings import Simulate
from danet.io.files import write_text
from danet.simulate.actions import ACTIONS, TWO_PERSON
from danet.simulate.body import draw_person
from danet.simulate.cameras import CAMERA_AZIMUTHS, ntu_camera, ntu_heading_degrees
from danet.simulate.faults import Sightings, sight
from danet.simulate.motion import perform
from danet.simulate.randomness import generator
from danet.simulate.text import skeleton_text
from danet.simulate.tracking import track


class Performance(NamedTuple):
    """One performer doing one action once; all counted from 1, as in the file names."""

    setup: int
    performer: int
    replication: int
    action: int

    @property
    def name(self) -> str:
        """Such as S001P002R001A013."""
        return f"S{self.setup:03}P{self.performer:03}R{self.replication:03}A{self.action:03}"

    def recording(self, camera: int) -> str:
        """The recording's name, such as S001C001P002R001A013."""
        return f"S{self.setup:03}C{camera:03}" + self.name[4:]


def performances(settings: Simulate) -> list[Performance]:
    """All of them, in the order of their names' fields.

    Performers take the setups in pairs, so that odd and even ones, the two sides of cross-subject, meet all setups.
    """
    return [
        Performance(1 + (performer - 1) // 2 % settings.setups, performer, replication, action)
        for performer, replication, action in product(
            range(1, settings.performers + 1), range(1, settings.replications + 1), range(1, len(ACTIONS) + 1)
        )
    ]


def motion(settings: Simulate, performance: Performance) -> np.ndarray:
    """(T, P, 25, 3) metres in the room, free of noise.

    Each performer has a partner of their own, so that cross-subject meets nobody of the training part again.
    """
    people = (f"P{performance.performer:03}", f"partner of P{performance.performer:03}")
    return perform(
        generator(settings.seed, performance.name),
        ACTIONS[performance.action - 1],
        tuple(
            draw_person(generator(settings.seed, name)) for name in people[: 1 + (performance.action - 1 in TWO_PERSON)]
        ),
        frames=settings.frames,
        heading_degrees=ntu_heading_degrees(performance.replication),
    )


def record(settings: Simulate, performance: Performance, camera: int, joints: np.ndarray) -> Sightings:
    """What a camera, 1, 2 or 3, reports of a performance's `joints` (T, P, 25, 3) in the room."""
    rng = generator(settings.seed, performance.recording(camera))
    return sight(rng, *track(rng, ntu_camera(performance.setup, camera).see(joints)))


def simulate(folder: Path, settings: Simulate) -> int:
    """Writes all recordings into `folder` and returns their number."""
    todo = tqdm(performances(settings), desc="simulate", disable=None)
    return sum(_write(Path(folder), settings, performance) for performance in todo)


def simulate_text(settings: Simulate, performance: Performance, camera: int) -> str:
    """One recording as the text of its `.skeleton` file."""
    return skeleton_text(record(settings, performance, camera, motion(settings, performance)))


def _write(folder: Path, settings: Simulate, performance: Performance) -> int:
    for camera in CAMERA_AZIMUTHS:
        path = folder / f"{performance.recording(camera)}.skeleton"
        write_text(path, simulate_text(settings, performance, camera))
    return len(CAMERA_AZIMUTHS)
