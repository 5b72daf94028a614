"""Recordings as other programs write them, and what own data is made of them."""

import numpy as np

from danet.importing.forms import import_form
from danet.importing.found import Options
from danet.skeleton.layout import LAYOUTS


def standing(layout, frames=12, seed=0):
    """(T, V, 3) in metres: an upright body of any layout, the camera's axes, somebody who faces it."""
    rng = np.random.default_rng(seed)
    body = np.zeros((layout.size, 3))
    for joint, before in layout.outwards(layout.origin):
        body[joint] = body[before] + rng.normal(0, 0.1, 3)
    return body + [0.1, 0.2, 3] + rng.normal(0, 0.01, (frames, layout.size, 3))


def made(form, source, out, **options):
    """What the command prints, the table, and the arrays by name."""
    labels = options.pop("labels", None)
    report = import_form(form, source, out, Options(**options), labels)
    lines = (out / "samples.csv").read_text().splitlines()
    arrays = {path.stem: np.load(path) for path in (out / "recordings").iterdir()}
    return report, lines, arrays


def landmarks(layout=LAYOUTS["mediapipe_33"], frames=12):
    """(T, 33, 4) world landmarks as MediaPipe gives them, and as own data has them."""
    ours = standing(layout, frames)
    ours -= ours[:, [23, 24]].mean(axis=1, keepdims=True)
    return np.concatenate([ours * [-1, -1, 1], np.ones((frames, 33, 1))], axis=2), ours


def write_set(folder, labels=("sit", "wave"), each=5):
    for label in labels:
        (folder / label).mkdir(parents=True)
        for index in range(each):
            np.save(folder / label / f"{index}.npy", landmarks()[0])
