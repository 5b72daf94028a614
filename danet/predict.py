"""Weights and one raw recording in, its most likely actions out, by way of the very functions that prepare training."""

from pathlib import Path

import numpy as np

from danet.clips import Sequences
from danet.config import Clips, Prepare
from danet.datasets.reading import READERS, reader
from danet.device import pick_device
from danet.errors import UserError
from danet.evaluate import fused_scores
from danet.model.danet import DANet
from danet.model.weights import load_model
from danet.prepare.centre import centre
from danet.prepare.denoise import denoise
from danet.prepare.parse import read_recording
from danet.recording import Sequence
from danet.skeleton import find_layout


class Predictor:
    """A trained network with the preparation that it was trained on."""

    def __init__(self, weights: Path):
        self.device = pick_device()
        model, self.about = load_model(weights)
        self.model: DANet = model.to(self.device)
        self.clips = Clips.model_validate(self.about["clips"])
        self.prepare = Prepare.model_validate(self.about["prepare"])
        self.layout = find_layout(self.about["layout"])

    def scores(self, *files: Path) -> np.ndarray:
        """(actions,) probabilities of one performance, which each of the files shows from another camera.

        Errors: UserError when a file cannot be read or shows nobody.
        """
        views = Sequences([self.sequence(file) for file in files], self.layout, self.clips)
        return fused_scores(self.model, views, np.arange(len(files))[None], self.device)[0]

    def named(self, scores: np.ndarray, top: int) -> list[dict[str, str | float]]:
        """The `top` most likely actions, the likeliest first, with their scores."""
        best = np.argsort(-scores, kind="stable")[:top]
        return [{"action": self.about["actions"][index], "score": float(scores[index])} for index in best]

    def sequence(self, file: Path) -> Sequence:
        """A raw recording as the network is given it. Errors: UserError when it cannot be read or shows nobody."""
        if file.suffix not in READERS:
            raise UserError(f"{file}: wanted a file that ends in {', '.join(READERS)}, found '{file.suffix}'")
        sequence, audit = denoise(read_recording(reader(self.layout), file.stem, str(file)), self.prepare)
        if sequence is None:
            shortest = self.prepare.shortest_body
            raise UserError(
                f"{file}: wanted a body in more than {shortest} frames, found none of {audit['ids']} to be one"
            )
        return centre(sequence, self.layout.origin, self.prepare.timing)
