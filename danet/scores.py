"""A model and sequences in, their scores out, and what scores are worth; in training, at test and in use."""

import numpy as np
import torch
from torch import Tensor

from danet.clips import Batch, Sequences, windows
from danet.device import to_device
from danet.model.danet import DANet
from danet.network import over_windows

EVALUATION_BATCH = 64
UNKNOWN_SHARE = 0.05


def as_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor, int]:
    """A batch as the arguments of the network."""
    channels, joints, owner = (to_device(array, device) for array in (batch.channels, batch.joints, batch.owner))
    return channels, joints, owner, batch.samples


@torch.inference_mode()
def scores_of(model: DANet, sequences: Sequences, samples: np.ndarray, device: torch.device) -> np.ndarray:
    """(B, actions) float32 probabilities of the samples, over the windows of each, unchanged otherwise."""
    model.eval()

    def scores(chosen: np.ndarray) -> np.ndarray:
        cuts = (sequences.cut(chosen, None, window) for window in windows(sequences.settings))
        found = [model(*as_tensors(batch, device)).logits.float().softmax(dim=1) for batch in cuts]
        return over_windows(torch.stack(found).cpu().numpy(), len(model.encoders))

    batches = np.split(samples, range(EVALUATION_BATCH, len(samples), EVALUATION_BATCH))
    return np.concatenate([scores(batch) for batch in batches])


class TorchNetwork:
    """A network whose weights are at hand, as `danet.network.Network` says."""

    def __init__(self, model: DANet, about: dict, device: torch.device):
        self.model, self.about, self.device = model.to(device).eval(), about, device

    @torch.inference_mode()
    def relate(self, batch: Batch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Network` says."""
        space, time = self.model.encode(*as_tensors(batch, self.device))
        first, second = (to_device(samples, self.device) for samples in (own, other))
        found = self.model.relate((space[first], time[first]), (space[second], time[second]))
        return found.logits.float().softmax(dim=1).cpu().numpy(), found.joint_map.float().cpu().numpy()


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of samples whose label is among the k highest scores; scores (B, actions)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def apart_from_copies(right: np.ndarray, copy: np.ndarray) -> dict:
    """How many of the B test samples show what a training sample shows, and the share that is right of the others, None
    where there are no others.

    right (B,) and copy (B,) bool.
    """
    share = float(right[~copy].mean()) if not copy.all() else None
    return {"copies_of_training": int(copy.sum()), "top1_without_copies": share}


def unknown_below(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """The highest score that all but UNKNOWN_SHARE of the rightly labelled samples reach; None where none is right.

    scores (B, actions), labels (B,).
    """
    right = scores.argmax(axis=1) == labels
    return float(np.quantile(scores.max(axis=1)[right], UNKNOWN_SHARE)) if right.any() else None
