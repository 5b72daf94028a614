"""Labels raw recordings with a trained network, by way of the very functions that prepared its training data."""

import errno
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Ordered
from itertools import islice
from pathlib import Path

import numpy as np

from danet.clips.sequences import Sequences
from danet.config.settings import Prepare
from danet.errors import UserError
from danet.extras import train_extra
from danet.inference.fusion import Backend, multi_view_scores
from danet.inference.onnx import OnnxBackend
from danet.inference.recordings import Complain, joints_taken, read_bodies, read_sequence, rearranged, sequence_of
from danet.models.description import read_description
from danet.skeleton.doubts import FLAT, Doubts, doubts_of
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies, Sequence

Recording = str | Path | Sequence  # a file, or what was prepared of one
PREPARE = Prepare()
FILES_AT_A_TIME = 64


class Predictor:
    """A trained network with the preparation that it was trained on.

    `recorded` is the layout of the recordings, that of the weights by default. Joints are matched by name. Which ones
    the recordings lack is logged. Errors: UserError for recordings with fewer than half of the joints.
    """

    def __init__(self, weights: Path, recorded: Layout | None = None):
        self.weights = weights
        self.backend = open_backend(weights)
        self.description = self.backend.description
        described = read_description(self.description, str(weights))
        if described.prepare is None:
            raise UserError(f"{weights}: expected the settings of the preparation, 'prepare', got none")
        self.clips, self.prepare, self.layout = described.clips, described.prepare, described.layout
        self.recorded = recorded or self.layout
        alike = self.recorded.joints == self.layout.joints  # whatever the bones
        self.order = None if alike else joints_taken(self.recorded, self.layout, str(weights))
        self.doubts = Doubts()  # about the files that were read

    def scores(self, *files: Recording) -> np.ndarray:
        """(actions,) probabilities of one performance, which each of the files shows from another camera.

        Errors: UserError when a file cannot be read or shows nobody.
        """
        views = Sequences([self.sequence(file) for file in files], self.layout, self.clips)
        return self._scores(views, np.arange(len(files))[None])[0]

    def _scores(self, sequences: Sequences, performances: np.ndarray) -> np.ndarray:
        """As `multi_view_scores`. Errors: UserError for weights that no probabilities come of."""
        with np.errstate(all="ignore"):  # what is not finite is refused below
            scores = multi_view_scores(self.backend, sequences, performances)
        if not np.isfinite(scores).all():
            raise UserError(
                f"{self.weights}: expected a network that gives probabilities, got numbers beyond all bounds"
            )
        return scores

    @property
    def unknown_below(self) -> float:
        """The score that 95 % of the rightly labelled validation samples reach. Errors: UserError without such ones."""
        if (threshold := self.description.get("unknown_below")) is None:
            expected = "a network that knew some action of a validation part"
            raise UserError(f"{self.weights}: expected {expected}, got none; say --unknown-below instead")
        return threshold

    def named(self, scores: np.ndarray, top: int) -> list[dict[str, str | float]]:
        """The `top` most likely actions, the likeliest first, with their scores."""
        best = np.argsort(-scores, kind="stable")[:top]
        return [{"action": self.description["actions"][index], "score": float(scores[index])} for index in best]

    def sequence(self, recording: Recording) -> Sequence:
        """A raw recording as the network is given it.

        Errors: UserError when it cannot be read, shows nobody, or was prepared with other joints.
        """
        if isinstance(recording, Sequence):
            if (joints := recording.joints.shape[2]) != self.layout.size:
                raise UserError(f"{recording.name}: expected {self.layout.size} joints, got {joints}")
            return recording
        bodies, _ = read_bodies(recording, self.recorded)
        self.doubts.add(doubts_of(bodies, self.recorded))
        return sequence_of(self.as_known(bodies), recording, self.prepare, self.layout)

    def as_known(self, bodies: Bodies) -> Bodies:
        """The sightings in a recording with the joints that the network knows."""
        return bodies if self.order is None else rearranged(bodies, self.order)

    def doubtful(self, doubts: Doubts | None = None) -> list[str]:
        """A line for each kind of doubt, about the files that were read by default.

        Flat key points are none where the network does not turn people to face the camera.
        """
        return (doubts or self.doubts).lines(passed_over=() if self.clips.face_camera else FLAT)

    def scores_of_each(self, recordings: Ordered[Recording]) -> np.ndarray:
        """(B, actions) probabilities of B recordings, each for itself, computed together.

        Errors: UserError when one cannot be read or shows nobody.
        """
        sequences = Sequences([self.sequence(recording) for recording in recordings], self.layout, self.clips)
        return self._scores(sequences, np.arange(len(sequences))[:, None])

    def joint_attention(self, recording: Recording) -> np.ndarray:
        """(V,) the share of the attention that each joint of one recording gets, parts left out.

        Errors: UserError when a file cannot be read or shows nobody, or when the network has no attention.
        """
        alone = np.zeros(1, np.int64)
        batch = Sequences([self.sequence(recording)], self.layout, self.clips).cut(alone, None)
        attention = self.backend.classify(batch, alone, alone)[1]
        if attention is None:
            raise UserError(f"{self.weights}: expected a network with attention maps, got one without")
        return attention[0, : self.layout.size]

    def label(self, *views: Recording) -> str:
        """The likeliest action of one performance. Errors: UserError when a file cannot be read or shows nobody."""
        return str(self.named(self.scores(*views), 1)[0]["action"])


def load(weights: str | Path, recorded: Layout | None = None) -> Predictor:
    """The trained network in a file of weights, or in an exported one (.onnx), ready to label; as `Predictor`.

    Errors: UserError for any other file.
    """
    return Predictor(Path(weights), recorded)


def prepare(file: str | Path, settings: Prepare = PREPARE, layout: Layout | None = None) -> Sequence:
    """A recording's file as a network is given it: (T, M, V, 3) metres, the first actor's origin joint at (0, 0, 0).

    `settings` and `layout` are those that a network was trained with, `prepare` and `layout` of `load(weights)`;
    without a layout it is that of the file's format, for an array the one that ships for as many joints.
    Errors: UserError when the file cannot be read, shows other joints or nobody, or leaves its layout open.
    """
    return read_sequence(file, settings, layout)


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
    predictor: Predictor, files: Iterable[Path], complain: Complain, size: int = FILES_AT_A_TIME
) -> Iterator[tuple[Path, np.ndarray]]:
    """Each file that can be read, with its scores (actions,); so many are computed together as `size` says."""
    readable = sequences_of(predictor, files, complain)
    while batch := list(islice(readable, size)):
        scores = predictor.scores_of_each([sequence for _, sequence in batch])
        yield from zip((file for file, _ in batch), scores, strict=True)


def open_backend(path: Path) -> Backend:
    """The network in a file of weights, or in an exported one (.onnx). Errors: UserError for any other file."""
    if path.suffix == ".onnx":
        try:
            if path.exists() and not path.is_file():
                raise OSError(errno.EINVAL, "no regular file")
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: expected a network that danet exported, got: {error.strerror}") from None
        return OnnxBackend(content, str(path))
    with train_extra("read weights (.safetensors)", ", or export the weights to .onnx"):
        from danet.device import pick_device
        from danet.inference.scores import TorchBackend
        from danet.models.weights import load_model

    return TorchBackend(*load_model(path), pick_device())
