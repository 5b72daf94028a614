"""Simulates UESTC recordings: a text or `.mat` file for each performance and camera.

No sample of the data set is public. Camera 1 looks at every performance from the front, camera 2 from 45 to 315 degrees
(directions 1..7), or moves round the whole circle (8) while the action is repeated. Every file follows from the seed
and its own name.
"""

import io
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy.io import savemat
from tqdm import tqdm

from danet.errors import UserError
from danet.io.files import written_whole
from danet.simulate.actions import ACTIONS, TWO_PERSON
from danet.simulate.body import draw_person
from danet.simulate.cameras import COLOUR, DEPTH, Camera, pixels
from danet.simulate.motion import perform
from danet.simulate.randomness import generator
from danet.simulate.tracking import track
from danet.skeleton.layout import KINECT_V2

Form = Literal["text", "v", "skel"]  # the two others are keys of a .mat file, of shape (T, 75) and (T, 25, 3)

MOTIONS = tuple(action for index, action in enumerate(ACTIONS) if index not in TWO_PERSON)
DISTANCE, HEIGHT = 3.0, 1.2  # metres; where the authors' cameras stood is not published
DIRECTIONS, VARYING = range(1, 9), 8
COPIED = {5: 3, 6: 2, 7: 1}  # camera 1 of these directions is a copy of camera 1 of those
REPETITIONS = 9  # in the varying view; with a sixteenth of one between any two, 9.5 times a fixed view's length
CUT_SHORT = 0.15  # share of text files whose last frame is not whole

LINES = 1 + 3 * KINECT_V2.size  # a frame
FRAME = "#\n" + "%.6g %.6g %.6g 0\n%.6g %.6g 1\n%.6g %.6g 2\n" * KINECT_V2.size
# By distance from the root: every joint comes after its parent.
OUTWARDS = sorted(KINECT_V2.bones.tolist(), key=lambda bone: KINECT_V2.hops[0, bone[0]])


class UestcPerformance(NamedTuple):
    """One person doing one action once: the action counted from 0, direction and person from 1, as in file names."""

    action: int
    direction: int
    person: int

    @property
    def name(self) -> str:
        """Such as a0_d1_p001."""
        return f"a{self.action}_d{self.direction}_p{self.person:03}"

    def stem(self, camera: int) -> str:
        """A file's name without its ending, such as a0_d1_p01_c2_skeleton; numbers of people are padded unevenly."""
        return f"a{self.action}_d{self.direction}_p{self.person:0{1 + self.person % 3}}_c{camera}_skeleton"


def uestc_motion(seed: int, performance: UestcPerformance, frames: int) -> np.ndarray:
    """(T, 25, 3) metres in the room, free of noise; the person faces camera 1.

    There are fewer motions than UESTC has actions: from the fifteenth on they come again, and nothing tells them apart.
    """
    rng = generator(seed, performance.name)
    person = draw_person(generator(seed, f"p{performance.person:03}"))
    action = MOTIONS[performance.action % len(MOTIONS)]
    times = REPETITIONS if performance.direction == VARYING else 1
    acted = [perform(rng, action, (person,), frames=frames, heading_degrees=0)[:, 0] for _ in range(times)]
    return _joined(acted, max(1, frames // 16))


def _joined(acted: Sequence[np.ndarray], between: int) -> np.ndarray:
    """(T, 25, 3): one after the other; in `between` frames the last pose of each turns into the first of the next."""
    share = (np.arange(1, between + 1) / (between + 1))[:, None, None]
    pieces = [acted[0]]
    for before, after in pairwise(acted):
        straight = (1 - share) * before[-1] + share * after[0]
        turned = straight.copy()
        for joint, parent in OUTWARDS:  # straight ways would shorten the limbs
            bone = straight[:, joint] - straight[:, parent]
            length = np.linalg.norm(after[0, joint] - after[0, parent])
            bone *= length / np.linalg.norm(bone, axis=1, keepdims=True)
            turned[:, joint] = turned[:, parent] + bone
        pieces += [turned, after]
    return np.concatenate(pieces)


def uestc_camera(direction: int, camera: int, frames: int) -> Camera:
    """Where a camera stands during a performance of so many frames."""
    azimuth = np.linspace(0, 360, frames) if direction == VARYING else 45.0 * direction
    return Camera(0.0 if camera == 1 else azimuth, DISTANCE, HEIGHT)


def uestc_record(
    seed: int, performance: UestcPerformance, camera: int, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a camera reports of `joints` (T, 25, 3) in the room: (T, 25, 3) metres, and the states (T, 25)."""
    seen = uestc_camera(performance.direction, camera, len(joints)).see(joints[:, None])
    reported, states = track(generator(seed, f"{performance.name}_c{camera}"), seen)
    return reported[:, 0], states[:, 0]


def uestc_text(joints: np.ndarray) -> str:
    """(T, 25, 3) metres as text: per frame `#`, then per joint x, y, z and 0, colour pixel and 1, depth pixel and 2."""
    columns = np.concatenate([joints, pixels(joints, COLOUR), pixels(joints, DEPTH)], axis=-1)  # (T, 25, 7)
    return FRAME * len(joints) % tuple(columns.ravel().tolist())


def uestc_mat(joints: np.ndarray, key: Literal["v", "skel"]) -> bytes:
    """(T, 25, 3) metres as a MATLAB 5 file, without the date that scipy writes into its first line."""
    stream = io.BytesIO()
    savemat(stream, {key: joints.reshape(len(joints), -1) if key == "v" else joints})
    first_line = 116  # bytes
    return b"MATLAB 5.0 MAT-file, simulated".ljust(first_line) + stream.getvalue()[first_line:]


def simulate_uestc(
    folder: Path,
    *,
    seed: int,
    people: Sequence[int],
    actions: int,
    frames: int,
    forms: Sequence[Form] = ("text",),
    copies_from: int = 10,
) -> int:
    """Writes all recordings into `folder` and returns their number: `people` do `actions` actions in all directions.

    A fixed view lasts about `frames`. Each sample is in one of `forms`, all equally likely. From action `copies_from`
    on, directions 5, 6, 7 show the performances of 3, 2, 1 again: the front's files are copies, byte for byte, and
    camera 2 sees them from a side of its own.
    Errors: UserError for actions or people whose names would not be UESTC's.
    """
    if not 1 <= actions <= 40:
        raise UserError(f"uestc: expected 1 to 40 actions, got {actions}")
    if not all(1 <= person <= 118 for person in people):
        raise UserError(f"uestc: expected people from 1 to 118, got {', '.join(map(str, people))}")
    todo = [UestcPerformance(*numbers) for numbers in product(range(actions), DIRECTIONS, people)]
    for performance in tqdm(todo, desc="simulate", disable=None):
        copied = COPIED.get(performance.direction) if performance.action >= copies_from else None
        original = performance._replace(direction=copied) if copied else performance
        joints = uestc_motion(seed, original, frames)
        for camera, source in ((1, original), (2, performance)):
            suffix, content = _file(seed, source, camera, joints, forms)
            with written_whole(Path(folder) / f"{performance.stem(camera)}{suffix}") as partial:
                partial.write_bytes(content)
    return 2 * len(todo)


def _file(
    seed: int, performance: UestcPerformance, camera: int, joints: np.ndarray, forms: Sequence[Form]
) -> tuple[str, bytes]:
    """The ending and the content of a recording's file."""
    reported, _ = uestc_record(seed, performance, camera, joints)
    rng = generator(seed, f"file of {performance.name}_c{camera}")
    form = forms[int(rng.integers(len(forms)))]
    if form != "text":
        return ".mat", uestc_mat(reported, form)
    text = uestc_text(reported)
    if rng.random() < CUT_SHORT:
        left_off = int(rng.integers(1, LINES))
        text = "".join(text.splitlines(keepends=True)[:-left_off])
    return ".txt", text.encode("ascii")
