"""Weights in, an ONNX file out that describes itself as they do, and that computes the same without torch."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from danet.config.settings import Clips
from danet.errors import UserError
from danet.inference.onnx import INPUTS, OUTPUTS, OnnxNetwork
from danet.io.files import written_whole
from danet.models.danet.network import DANet
from danet.models.weights import load_model

OPSET = 20
TOLERANCE = 1e-4  # how far a probability may be from that of torch
CHECKED = ((1, 1, 1), (5, 3, 4))  # clips, samples and pairs that are computed with both


class Portable(nn.Module):
    """The network as one function of arrays alone, whose batch may have any size."""

    def __init__(self, model: DANet):
        super().__init__()
        self.model = model

    def forward(
        self, channels: Tensor, joints: Tensor, share: Tensor, own: Tensor, other: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Clips of K actors to the probabilities (N, actions) and joints' maps (N, L) of N pairs of samples.

        `share` (B, K) is what each clip counts in the mean over a sample's actors; `own` and `other` (N,) are the
        samples that are labelled and those in whose light.
        """
        clips = self.model.encode_clips(channels, joints)
        space, time = ((share @ tokens.flatten(1)).unflatten(1, tokens.shape[1:]) for tokens in clips)
        found = self.model.relate((space[own], time[own]), (space[other], time[other]))
        return found.logits.softmax(dim=1), found.joint_map


def export_onnx(weights: Path, out: Path) -> dict[str, float]:
    """Writes the ONNX file and returns by how much at most its probabilities differ from torch's, on random clips.

    Its metadata hold what the weights say of themselves, action names and preparation included, under `danet`.
    Errors: UserError for a file that is none of weights, for another ending than .onnx, and where the difference is
    above TOLERANCE; then nothing is written.
    """
    if out.suffix != ".onnx":
        raise UserError(f"{out}: wanted a name that ends in .onnx, found '{out.suffix}'")
    model, about = load_model(weights)
    portable = Portable(model).eval()
    rng = np.random.default_rng(0)
    content = _as_onnx(portable, _random_inputs(model, about, rng, *CHECKED[-1]), about)
    network = OnnxNetwork(content, str(out))
    furthest = 0.0
    for sizes in CHECKED:
        inputs = _random_inputs(model, about, rng, *sizes)
        with torch.inference_mode():
            wanted = portable(*map(torch.from_numpy, inputs))
        found = network.run(*inputs)
        apart = [np.abs(one - other.numpy()).max() for one, other in zip(found, wanted, strict=True)]
        furthest = float(np.max([furthest, *apart]))  # where there is a NaN, NaN
    if not furthest <= TOLERANCE:
        raise UserError(f"{out}: wanted probabilities within {TOLERANCE} of torch's, found a difference of {furthest}")
    with written_whole(out) as partial:
        partial.write_bytes(content)
    return {"largest_difference": furthest}


def _as_onnx(portable: Portable, inputs: tuple[np.ndarray, ...], about: dict) -> bytes:
    """The ONNX file, without the notes of the exporter on this machine's files and lines."""
    exporter = logging.getLogger("torch.onnx")
    said, exporter.level = exporter.level, logging.ERROR
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                portable,
                tuple(map(torch.from_numpy, inputs)),
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
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
    onnx.helper.set_model_props(made, {"danet": json.dumps(about)})
    return made.SerializeToString()


def _random_inputs(
    model: DANet, about: dict, rng: np.random.Generator, clips: int, samples: int, pairs: int
) -> tuple[np.ndarray, ...]:
    """Arrays of the shapes of INPUTS; each clip belongs to some sample, and each sample has one."""
    frames, size = Clips.model_validate(about["clips"]).frames, model.layout.size
    channels = rng.normal(size=(clips, frames, size, len(model.channel_scale))) * model.channel_scale.numpy()
    joints = rng.normal(size=(clips, frames, size, 3))
    owner = np.sort(np.arange(clips) % samples)
    share = (owner == np.arange(samples)[:, None]).astype(np.float32)
    share /= share.sum(axis=1, keepdims=True)
    own, other = rng.integers(samples, size=(2, pairs))
    return channels.astype(np.float32), joints.astype(np.float32), share, own, other
