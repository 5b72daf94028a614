"""Measures how accuracy holds when test recordings are turned or corrupted before anything else is done to them."""

from collections.abc import Sequence as Ordered
from dataclasses import replace

import numpy as np

from danet.clips.sequences import Sequences, rotation
from danet.config.clips import ClipSettings
from danet.datasets.dataset import Dataset
from danet.evaluation.corruptions import CORRUPTIONS, swap_people
from danet.inference.scores import TorchBackend, scores_of
from danet.results import Corruption, Turned
from danet.skeleton.recording import Sequence

TURNS = range(-180, 181, 15)  # degrees about the vertical


class Robustness:
    """Accuracies of one network on at most so many of the test recordings, spread evenly over their names."""

    def __init__(self, backend: TorchBackend, recordings: Ordered[Sequence], dataset: Dataset, most: int):
        ordered = sorted(recording.name for recording in recordings)
        places = np.linspace(0, len(ordered) - 1, most).round().astype(int)
        chosen = {ordered[place] for place in places}
        self.recordings = [recording for recording in recordings if recording.name in chosen]
        self.labels = np.array([dataset.sample(recording.name).action for recording in self.recordings])
        self.clips = ClipSettings.model_validate(backend.description["clips"])
        self.backend, self.layout = backend, dataset.layout

    def turned(self) -> Turned:
        """Top-1 accuracy at each of TURNS."""
        shares = []
        for degrees in TURNS:
            turn = rotation(np.radians([degrees]), 1)[0].astype(np.float32)
            turned = [replace(recording, joints=recording.joints @ turn.T) for recording in self.recordings]
            shares.append(float(self._right(turned).mean()))
        return Turned(samples=len(self.recordings), degrees=tuple(TURNS), top1=tuple(shares))

    def corrupted(self) -> tuple[Corruption, ...]:
        """Top-1 accuracy under each of CORRUPTIONS. People are swapped only where there are two."""
        plain = self._right(self.recordings)
        two_people = np.array([recording.seen.any(axis=0).sum() > 1 for recording in self.recordings])
        measured = []
        for corruption in CORRUPTIONS:
            concerned = two_people if corruption.corrupt is swap_people else np.ones(len(self.recordings), bool)
            if not concerned.any():
                continue
            rng = np.random.default_rng(0)
            corrupted = [replace(each, joints=corruption(each.joints, self.layout, rng)) for each in self.recordings]
            measured.append(
                Corruption(
                    what=corruption.what,
                    level=corruption.level,
                    unit=corruption.unit,
                    samples=int(concerned.sum()),
                    plain=float(plain[concerned].mean()),
                    top1=float(self._right(corrupted)[concerned].mean()),
                )
            )
        return tuple(measured)

    def _right(self, recordings: Ordered[Sequence]) -> np.ndarray:
        """(N,) bool: which of these recordings get their label."""
        sequences = Sequences(recordings, self.layout, self.clips)
        scores = scores_of(self.backend.model, sequences, np.arange(len(sequences)), self.backend.device)
        return scores.argmax(axis=1) == self.labels
