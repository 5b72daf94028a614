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


def drawn_performance(
    sequences: Sequences,
    indices: list[int],
    dataset: Dataset,
    part_of: dict[str, str],
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """The views of one performance, by index, as `attention.json` has them.

    `sequences` are not turned to the camera: they look as it saw them. `maps` are the attention to each joint (N, L)
    and to each patch (N, P), and the scores (N, A), of all recordings.
    """
    sample = dataset.sample(sequences.names[indices[0]])
    views = []
    for index in indices:
        name = sequences.names[index]
        joint_attention, patch_attention, scores = (each[index] for each in maps)
        best = int(scores.argmax())
        view = {
            "name": name,
            "view": dataset.sample(name).view,
            "part": part_of[name],
            "prediction": dataset.actions[best],
            "score": float(scores[best]),
            "joints": sequences.cut(np.array([index]), None).joints.astype(np.float64).round(3).tolist(),
            "joint_attention": joint_attention.astype(np.float64).round(5).tolist(),
            "patch_attention": patch_attention.astype(np.float64).round(5).tolist(),
        }
        views.append(view)
    return {"action": dataset.actions[sample.action], "performance": sample.performance, "views": views}
