"""Exports a network as an ONNX file that describes itself, and that computes the same without torch."""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from danet.clips.sequences import Sequences
from danet.config.clips import ClipSettings
from danet.errors import UserError
from danet.inference.onnx import ATTENTION, INPUTS, PROBABILITIES, OnnxBackend
from danet.io.files import written_whole
from danet.models.base import ClipTensors, SkeletonModel, take
from danet.models.weights import load_model
from danet.skeleton.layout import find_layout
from danet.skeleton.recording import Sequence

OPSET = 20
TOLERANCE = 1e-4  # how far a probability may be from that of torch
CHECKED = ((1, 1, 1), (5, 3, 4))  # clips, samples and pairs that are computed with both


@dataclass(frozen=True)
class SharedClips(ClipTensors):
    """Clips whose mean over actors is a product, so that a batch may have any size: `share` (B, K) is their weights."""

    share: Tensor

    @property
    def belongs(self) -> Tensor:
        """(B, K) bool."""
        return self.share > 0

    def mean_over_actors(self, values: Tensor) -> Tensor:
        """(K, ...) to (B, ...)."""
        return (self.share @ values.flatten(1)).unflatten(1, values.shape[1:])


class Portable(nn.Module):
    """The network as one function of arrays alone, whose batch may have any size."""

    def __init__(self, model: SkeletonModel):
        super().__init__()
        self.model = model

    def forward(
        self, channels: Tensor, joints: Tensor, share: Tensor, own: Tensor, other: Tensor
    ) -> tuple[Tensor, ...]:
        """Clips of K actors to the probabilities (N, A) of N pairs of samples, and the attention (N, L) to each token.

        `share` (B, K) is what each clip counts in the mean over a sample's actors; `own` and `other` (N,) are the
        samples that are labelled and those in whose light.
        """
        owner = torch.zeros(0, dtype=torch.int64)
        encoded = self.model.encode(SharedClips(channels, joints, owner, share.shape[0], share))
        output = self.model.classify(take(encoded, own), take(encoded, other))
        attention = () if output.attention is None else (output.attention.joints,)
        return output.logits.softmax(dim=1), *attention


def export_onnx(weights: Path, out: Path) -> dict[str, float]:
    """Writes the ONNX file and returns by how much at most its probabilities differ from torch's, on random clips.

    Its metadata hold what the weights say of themselves, action names and preparation included, under `danet`.
    Errors: UserError for a file that is none of weights, for another ending than .onnx, and where the difference is
    above TOLERANCE; then nothing is written.
    """
    if out.suffix != ".onnx":
        raise UserError(f"{out}: expected a name that ends in .onnx, got '{out.suffix}'")
    model, description = load_model(weights)
    if not model.exports_to_onnx:
        raise UserError(f"{weights}: expected a network that ONNX can hold, got a {description['model']['name']}")
    portable = Portable(model).eval()
    rng = np.random.default_rng(0)
    content = _as_onnx(portable, _random_inputs(description, rng, *CHECKED[-1]), description)
    backend = OnnxBackend(content, str(out))
    furthest = 0.0
    for sizes in CHECKED:
        inputs = _random_inputs(description, rng, *sizes)
        with torch.inference_mode():
            expected = portable(*map(torch.from_numpy, inputs))
        outputs = backend.run(*inputs)
        apart = [np.abs(output - tensor.numpy()).max() for output, tensor in zip(outputs, expected, strict=True)]
        furthest = float(np.max([furthest, *apart]))  # where there is a NaN, NaN
    if not furthest <= TOLERANCE:
        raise UserError(f"{out}: expected probabilities within {TOLERANCE} of torch's, got a difference of {furthest}")
    with written_whole(out) as partial:
        partial.write_bytes(content)
    return {"largest_difference": furthest}


def _as_onnx(portable: Portable, inputs: tuple[np.ndarray, ...], description: dict) -> bytes:
    """The ONNX file, without the notes of the exporter on this machine's files and lines."""
    exporter = logging.getLogger("torch.onnx")
    said, exporter.level = exporter.level, logging.ERROR
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                portable,
                tuple(map(torch.from_numpy, inputs)),
                input_names=list(INPUTS),
                output_names=[PROBABILITIES, ATTENTION][: len(portable(*map(torch.from_numpy, inputs)))],
                dynamic_shapes={name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in INPUTS.items()},
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        exporter.level = said
    assert program is not None  # only a deprecated way of calling gives none
    made = program.model_proto
    for named in (made.graph, *made.graph.node, *made.graph.input, *made.graph.output, *made.graph.value_info):
        named.ClearField("metadata_props")
    for node in made.graph.node:
        node.ClearField("doc_string")
    onnx.helper.set_model_props(made, {"danet": json.dumps(description)})
    return made.SerializeToString()


def _random_inputs(
    description: dict, rng: np.random.Generator, clips: int, samples: int, pairs: int
) -> tuple[np.ndarray, ...]:
    """Arrays of the shapes of INPUTS, cut from random walks; each clip belongs to some sample, and each has one."""
    layout, settings = find_layout(description["layout"]), ClipSettings.model_validate(description["clips"])
    walks = rng.normal(size=(clips, 2 * settings.frames, 1, layout.size, 3)).cumsum(axis=1) / 10
    sequences = Sequences(
        [Sequence(str(index), walk.astype(np.float32)) for index, walk in enumerate(walks)], layout, settings
    )
    batch = sequences.cut(np.arange(clips), None)
    owner = np.sort(np.arange(clips) % samples)
    share = (owner == np.arange(samples)[:, None]).astype(np.float32)
    share /= share.sum(axis=1, keepdims=True)
    own, other = rng.integers(samples, size=(2, pairs))
    return batch.channels, batch.joints, share, own, other
