"""Chooses the performances that a report draws, and gathers their joints and attention maps."""

from typing import Any

import numpy as np

from danet.clips.sequences import Sequences
from danet.datasets.dataset import Dataset
from danet.errors import UserError

SHOWN = 3  # performances that are drawn when none is asked for


def choose_samples(dataset: Dataset, tests: list[str], asked: tuple[str, ...]) -> list[str]:
    """The test samples to draw: of the actions or samples that were asked for, else of SHOWN actions evenly spread.

    Of an action it is the first test sample by name; an action that is not tested is passed over. Errors: UserError for
    a name that is neither an action nor a test sample.
    """
    by_action: dict[str, str] = {}
    for name in tests:
        by_action.setdefault(dataset.actions[dataset.sample(name).action], name)
    if not asked:
        first = sorted(by_action.values(), key=lambda name: dataset.sample(name).action)
        places = np.linspace(0, len(first) - 1, min(SHOWN, len(first))).round().astype(int)
        return [first[place] for place in places]
    for name in asked:
        if name not in dataset.actions and name not in tests:
            raise UserError(f"{dataset.name}: expected in 'attention' a test sample or an action, got '{name}'")
    return [by_action.get(name, name) for name in asked if name in by_action or name in tests]


def drawn_view(
    sequences: Sequences, index: int, *, view: str, part: str, actions: list[str], maps: tuple[np.ndarray, ...]
) -> dict[str, Any]:
    """One recording as `attention.json` has it. `sequences` are not turned to the camera: they look as it saw them.

    `maps` are the attention to each joint (N, L) and to each patch (N, P), and the scores (N, A), of all recordings.
    """
    joint_attention, patch_attention, scores = (each[index] for each in maps)
    best = int(scores.argmax())
    return {
        "name": sequences.names[index],
        "view": view,
        "part": part,
        "prediction": actions[best],
        "score": float(scores[best]),
        "joints": sequences.cut(np.array([index]), None).joints.astype(np.float64).round(3).tolist(),
        "joint_attention": joint_attention.astype(np.float64).round(5).tolist(),
        "patch_attention": patch_attention.astype(np.float64).round(5).tolist(),
    }
