"""Weights and one raw recording in, its most likely actions out, by way of the very functions that prepare training."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Ordered
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from danet.clips import Sequences
from danet.config import Clips, Prepare
from danet.device import pick_device
from danet.errors import UserError
from danet.evaluate import EVALUATION_BATCH, as_tensors, fused_scores
from danet.inputs import Complain, read_sequence
from danet.model.danet import DANet
from danet.model.weights import load_model
from danet.recording import Sequence
from danet.skeleton import find_layout

Recording = str | Path | Sequence  # a file, or what was prepared of one
PREPARE = Prepare()


class Predictor:
    """A trained network with the preparation that it was trained on."""

    def __init__(self, weights: Path):
        self.device = pick_device()
        model, self.about = load_model(weights)
        self.model: DANet = model.to(self.device)
        self.clips = Clips.model_validate(self.about["clips"])
        self.prepare = Prepare.model_validate(self.about["prepare"])
        self.layout = find_layout(self.about["layout"])

    def scores(self, *files: Recording) -> np.ndarray:
        """(actions,) probabilities of one performance, which each of the files shows from another camera.

        Errors: UserError when a file cannot be read or shows nobody.
        """
        views = Sequences([self.sequence(file) for file in files], self.layout, self.clips)
        return fused_scores(self.model, views, np.arange(len(files))[None], self.device)[0]

    def named(self, scores: np.ndarray, top: int) -> list[dict[str, str | float]]:
        """The `top` most likely actions, the likeliest first, with their scores."""
        best = np.argsort(-scores, kind="stable")[:top]
        return [{"action": self.about["actions"][index], "score": float(scores[index])} for index in best]

    def sequence(self, recording: Recording) -> Sequence:
        """A raw recording as the network is given it. Errors: UserError when it cannot be read or shows nobody."""
        if isinstance(recording, Sequence):
            return recording
        return read_sequence(recording, self.prepare, self.layout)

    def scores_of_each(self, recordings: Ordered[Recording]) -> np.ndarray:
        """(B, actions) probabilities of B recordings, each for itself, computed together.

        Errors: UserError when one cannot be read or shows nobody.
        """
        made = Sequences([self.sequence(recording) for recording in recordings], self.layout, self.clips)
        return fused_scores(self.model, made, np.arange(len(made))[:, None], self.device)

    @torch.inference_mode()
    def joint_map(self, recording: Recording) -> np.ndarray:
        """(V,) the share of the cross-attention that each joint of one recording gets, parts left out.

        Errors: UserError when a file cannot be read or shows nobody.
        """
        clips = self.clips.model_copy(update={"windows": 1})
        batch = Sequences([self.sequence(recording)], self.layout, clips).cut(np.zeros(1, np.int64), None)
        maps = self.model(*as_tensors(batch, self.device)).joint_map
        return maps[0, : self.layout.size].float().cpu().numpy()

    def label(self, *views: Recording) -> str:
        """The likeliest action of one performance. Errors: UserError when a file cannot be read or shows nobody."""
        return str(self.named(self.scores(*views), 1)[0]["action"])


def load(weights: str | Path) -> Predictor:
    """The trained network in a file of weights, ready to label. Errors: UserError for any other file."""
    return Predictor(Path(weights))


def prepare(file: str | Path, settings: Prepare = PREPARE) -> Sequence:
    """A recording's file as a network is given it: (T, M, V, 3) metres, the first actor's mid spine at the origin.

    `settings` are those that a network was trained with, `load(weights).prepare`.
    Errors: UserError when the file cannot be read or shows nobody.
    """
    return read_sequence(file, settings)


def sequences_of(predictor: Predictor, files: Iterable[Path], complain: Complain) -> Iterator[tuple[Path, Sequence]]:
    """Each file that can be read, with its sequence; `complain` is told what is wrong with the others."""
    for file in files:
        try:
            sequence = predictor.sequence(file)
        except UserError as error:
            complain(error)
        else:
            yield file, sequence


def scores_by_file(
    predictor: Predictor, files: Iterable[Path], complain: Complain, size: int = EVALUATION_BATCH
) -> Iterator[tuple[Path, np.ndarray]]:
    """Each file that can be read, with its scores (actions,); so many are computed together as `size` says."""
    readable = sequences_of(predictor, files, complain)
    while batch := list(islice(readable, size)):
        scores = predictor.scores_of_each([sequence for _, sequence in batch])
        yield from zip((file for file, _ in batch), scores, strict=True)
