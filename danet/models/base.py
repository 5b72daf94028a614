"""What every network is: clips in, an answer out, and a loss of its own.

Axes: B samples, K clips (one for each actor of each sample), T frames, P patches of frames, V joints, L tokens (joints,
perhaps body parts), C channels, A actions.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.clips.sequences import ClipBatch

Encoded = Tensor | tuple[Tensor, ...]  # what `encode` gives: tensors whose first axis is that of the samples


@dataclass(frozen=True)
class ClipTensors:
    """A `ClipBatch` on the device: `channels` (K, T, V, C), `joints` (K, T, V, 3) in metres, `owner` (K,) int64.

    `owner` says which of the B = `samples` samples each clip belongs to; B stands for none of them.
    """

    channels: Tensor
    joints: Tensor
    owner: Tensor
    samples: int

    @property
    def belongs(self) -> Tensor:
        """(B, K) bool: whether a clip is of a sample."""
        return self.owner == torch.arange(self.samples, device=self.owner.device)[:, None]

    def side_by_side(self, values: Tensor, people: int) -> Tensor:
        """(K, ...) to (B, M, ...): of each sample the first M actors, zeros where it has fewer."""
        belongs = self.belongs
        places = torch.arange(people, device=belongs.device)[:, None]
        chosen = belongs[:, None] & (belongs.int().cumsum(dim=1)[:, None] == places + 1)  # (B, M, K), at most one of K
        found = values[chosen.int().argmax(dim=2)]
        return torch.where(chosen.any(dim=2).view(*found.shape[:2], *[1] * (values.ndim - 1)), found, 0.0)

    def mean_over_actors(self, values: Tensor) -> Tensor:
        """(K, ...) to (B, ...): of each sample the mean over its actors."""
        total, actors = (
            each.new_zeros(self.samples + 1, *each.shape[1:]).index_add_(0, self.owner, each)[: self.samples]
            for each in (values, values.new_ones(len(self.owner)))
        )
        return total / actors.view(-1, *[1] * (values.ndim - 1))


@dataclass(frozen=True)
class Attention:
    """Where a network looks: `joints` (B, L) and `frames` (B, P), shares that add to 1 in each row.

    `pairs` (B, L, L) is how much each token of the first view attends to each of the second one, rows adding to 1; None
    for a network that does not compare views.
    """

    joints: Tensor
    frames: Tensor
    pairs: Tensor | None


@dataclass(frozen=True)
class Output:
    """What a network says of B samples: `logits` (B, A), where it looked, and what its own loss needs beside them."""

    logits: Tensor
    attention: Attention | None = None
    extra: Any = None


class ParameterGroup(NamedTuple):
    """Parameters that are trained alike: with weight decay or without, by orthogonal steps (Muon) or by AdamW's."""

    parameters: list[nn.Parameter]
    decays: bool
    orthogonal: bool = False


class SkeletonModel(nn.Module):
    """Base of all networks, made for one joint layout, one kind of clip and one list of actions.

    A network is made with `settings`, `layout`, `clips` and `actions`, their number, by keyword; also on torch's meta
    device, where tensors have no numbers to look at. It has to say how it encodes samples and classifies what it
    encoded. All else has a default that suits a network which sees one view.
    """

    uses_pairs = False  # whether a second view changes the answer
    learns_from_pairs = False  # whether the loss looks at a partner, another view of each sample's performance
    confidence_power = 4.0  # the power of its highest score by which a test crop counts
    temperature = 1.0  # by which the logarithms of the scores are divided once they are averaged
    fused_members = 1  # how many labels of its own the network averages
    exports_to_onnx = True  # whether it can be written for ONNX Runtime

    @property
    def tokens(self) -> list[str]:
        """Names of the L tokens of its attention; none for a network without maps."""
        return []

    def encode(self, clips: ClipTensors, noise: Tensor | None = None) -> Encoded:
        """Each sample by itself. `noise` is what `sample_noise` drew, in training."""
        raise NotImplementedError

    def classify(self, own: Encoded, other: Encoded) -> Output:
        """Samples, as `encode` gave them, in the light of other views of theirs; of themselves, where there is none."""
        raise NotImplementedError

    def forward(self, clips: ClipTensors) -> Output:
        """Each sample alone, as at test."""
        own = self.encode(clips)
        return self.classify(own, own)

    def loss(
        self,
        clips: ClipTensors,
        labels: Tensor,
        *,
        partners: ClipTensors | None,
        teacher: "SkeletonModel",
        noise: Tensor | None,
        label_smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        """What is learnt from B samples with these labels (B,): a number, and the logits (B, A) of each sample alone.

        `partners` are views of the same performances, where a network learns from pairs; `teacher` is the running mean
        of this network (EMA), from which no gradient flows. The default is the cross-entropy of the labels.
        """
        own = self.encode(clips, noise)
        logits = self.classify(own, own).logits
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing), logits

    def guessing_loss(self, actions: int, paired: bool) -> float:
        """What the loss is at least while the network guesses; `paired` where each sample has a partner."""
        return math.log(actions)

    def sample_noise(self, clips: ClipBatch, rng: np.random.Generator) -> np.ndarray | None:
        """What is random in a step, drawn before a batch is divided: float32, its last axis that of the clips.

        A network that draws from torch's own generator, as dropout does, needs none of this.
        """
        return None

    def parameter_groups(self) -> list[ParameterGroup]:
        """Every parameter, in one group: weights of two or more axes decay, biases and norms do not."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            ParameterGroup([each for each in parameters if each.ndim >= 2], decays=True),
            ParameterGroup([each for each in parameters if each.ndim < 2], decays=False),
        ]

    def set_channel_scale(self, scale: np.ndarray) -> None:
        """Takes the root mean square (C,) of each channel over the training samples; ignored by default."""


def take(encoded: Encoded, samples: Tensor | slice) -> Encoded:
    """Some of the samples of what `encode` gave."""
    return encoded[samples] if isinstance(encoded, Tensor) else tuple(each[samples] for each in encoded)


def parameters_of(model: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in model.parameters())
