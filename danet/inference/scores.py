"""A model and sequences in, their scores out, and what scores are worth; in training, at test and in use."""

import numpy as np
import torch
from torch import Tensor

from danet.clips.sequences import Batch, Sequences, windows
from danet.device import to_device
from danet.inference.fusion import over_windows
from danet.models.danet.network import DANet

EVALUATION_BATCH = 64


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
