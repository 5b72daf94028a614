"""Recordings in, the same recordings made worse out, as sensors and trackers make them: what robustness is measured on.

Each function takes the joints of one recording, (T, M, V, 3) in metres, zero where an actor was not seen, and gives new
ones; T may be less. What is random comes from the generator.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from danet.clips.sequences import Sequences, rotation
from danet.config.settings import Clips
from danet.datasets.registry import find_dataset
from danet.inference.scores import scores_of
from danet.io.store import open_records
from danet.models.danet.network import DANet
from danet.skeleton.layout import Layout, find_layout
from danet.skeleton.recording import Sequence, seen_in

Rng = np.random.Generator


@dataclass(frozen=True)
class Stress:
    """One way of making a recording worse: `what` is done, to what `level` in `unit`."""

    what: str
    level: float
    unit: str
    worsen: Callable[[np.ndarray, float, Layout, Rng], np.ndarray]

    def __call__(self, joints: np.ndarray, layout: Layout, rng: Rng) -> np.ndarray:
        """The joints made worse, float32."""
        return self.worsen(joints, self.level, layout, rng).astype(np.float32)


def lose_joints(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Some joints, drawn anew for each recording, lie where the next joint towards the middle of the body lies."""
    lost = rng.random(layout.size) < percent / 100
    kept = np.arange(layout.size)
    for joint in kept:
        while lost[kept[joint]] and layout.parents[kept[joint]] != kept[joint]:
            kept[joint] = layout.parents[kept[joint]]
    return joints[:, :, kept]


def jitter(joints: np.ndarray, centimetres: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Every joint of every frame is moved by normal noise of that deviation along each axis."""
    noise = rng.normal(0, centimetres / 100, joints.shape)
    return np.where(seen_in(joints)[:, :, None, None], joints + noise, 0)


def lose_frames(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """In some frames, drawn one by one, nobody is seen; one frame at least is kept."""
    lost = rng.random(len(joints)) < percent / 100
    seen = _shown(joints)
    if len(seen) and lost[seen].all():
        lost[rng.choice(seen)] = False
    return np.where(lost[:, None, None, None], 0, joints)


def slow_down(joints: np.ndarray, factor: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Only one frame in `factor` was recorded, the first one that shows anybody among them."""
    seen = _shown(joints)
    return joints[seen[0] if len(seen) else 0 :: int(factor)]


def cut_short(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """Of the frames between the first and the last that show anybody, only a stretch is kept, at least one frame.

    It lies anywhere among them, as if the camera had been started late or stopped early.
    """
    seen = _shown(joints)
    if not len(seen):
        return joints
    shown = joints[seen[0] : seen[-1] + 1]
    kept = max(1, round(len(shown) * (1 - percent / 100)))
    start = rng.integers(len(shown) - kept + 1)
    return shown[start : start + kept]


def swap_people(joints: np.ndarray, percent: float, layout: Layout, rng: Rng) -> np.ndarray:
    """After that share of the recording the tracker takes each of two people for the other one."""
    swapped = joints.copy()
    start = round(len(joints) * percent / 100)
    swapped[start:] = joints[start:, ::-1]
    return swapped


def _shown(joints: np.ndarray) -> np.ndarray:
    """The frames that show anybody, by index."""
    return np.flatnonzero(seen_in(joints).any(axis=1))


STRESSES = (
    *(Stress("joints lost", percent, "% of the joints", lose_joints) for percent in (10, 25, 50)),
    *(Stress("jitter", centimetres, "cm", jitter) for centimetres in (1, 2, 5)),
    *(Stress("frames lost", percent, "% of the frames", lose_frames) for percent in (25, 50, 75)),
    *(Stress("lower frame rate", factor, "times", slow_down) for factor in (2, 4, 8)),
    *(Stress("cut short", percent, "% of the frames", cut_short) for percent in (25, 50, 75)),
    Stress("people swapped", 50, "% into the recording", swap_people),
)


TURNS = range(-180, 181, 15)  # degrees about the vertical


STRESSED_SAMPLES = 512


def stressed_accuracies(model: DANet, centred: Path, names: set[str], clips: Clips, device: torch.device) -> dict:
    """Top-1 accuracy on recordings that are changed before anything else is done to them.

    Of at most STRESSED_SAMPLES samples, evenly spread over their names. `turned`: turned about the vertical, with
    `samples`, `degrees` and `top1`; `worse`: one entry for each of STRESSES, with `samples`, `top1` and `plain`, the
    accuracy of the same samples unchanged. People are swapped only where there are two.
    """
    ordered = sorted(names)
    chosen = {ordered[place] for place in np.linspace(0, len(ordered) - 1, STRESSED_SAMPLES).round().astype(int)}
    with open_records(centred, "centred") as records:
        recordings = [Sequence.from_record(record) for record in records if record.name in chosen]
        dataset, layout = find_dataset(records.about["dataset"]), find_layout(records.about["layout"])
    labels = np.array([dataset.sample(recording.name).action for recording in recordings])

    def right(changed: list[Sequence]) -> np.ndarray:
        scores = scores_of(model, Sequences(changed, layout, clips), np.arange(len(changed)), device)
        return scores.argmax(axis=1) == labels

    plain = right(recordings)
    turned = []
    for degrees in TURNS:
        turn = rotation(np.radians([degrees]), 1)[0].astype(np.float32)
        turned.append(right([replace(recording, joints=recording.joints @ turn.T) for recording in recordings]))
    two = np.array([recording.seen.any(axis=0).sum() > 1 for recording in recordings])
    worse = []
    for stress in STRESSES:
        concerned = two if stress.worsen is swap_people else np.ones(len(recordings), bool)
        if not concerned.any():
            continue
        rng = np.random.default_rng(0)
        changed = right([replace(each, joints=stress(each.joints, layout, rng)) for each in recordings])
        about = {"what": stress.what, "level": stress.level, "unit": stress.unit, "samples": int(concerned.sum())}
        worse.append(about | {"plain": float(plain[concerned].mean()), "top1": float(changed[concerned].mean())})
    shares = [float(each.mean()) for each in turned]
    return {"turned": {"samples": len(recordings), "degrees": list(TURNS), "top1": shares}, "worse": worse}
