"""Computes scores with torch: of a network that is being trained, and of one whose weights are at hand."""

from typing import Any

import numpy as np
import torch

from danet.clips.sequences import ClipBatch, Sequences, crops_of
from danet.device import to_device
from danet.inference.fusion import over_crops
from danet.models.base import ClipTensors, SkeletonModel, take

EVALUATION_BATCH = 64


def as_tensors(batch: ClipBatch, device: torch.device) -> ClipTensors:
    """A batch on the device."""
    channels, joints, owner = (to_device(array, device) for array in (batch.channels, batch.joints, batch.owner))
    return ClipTensors(channels, joints, owner, batch.samples)


@torch.inference_mode()
def scores_of(model: SkeletonModel, sequences: Sequences, samples: np.ndarray, device: torch.device) -> np.ndarray:
    """(B, A) float32 probabilities of the samples, over the crops of each, unchanged otherwise."""
    model.eval()

    def scores(chosen: np.ndarray) -> np.ndarray:
        cuts = (sequences.cut(chosen, None, crop) for crop in crops_of(sequences.settings))
        by_crop = [model(as_tensors(batch, device)).logits.float().softmax(dim=1) for batch in cuts]
        return over_crops(torch.stack(by_crop).cpu().numpy(), model.confidence_power, model.temperature)

    batches = np.split(samples, range(EVALUATION_BATCH, len(samples), EVALUATION_BATCH))
    return np.concatenate([scores(batch) for batch in batches])


class TorchBackend:
    """A network whose weights are at hand, as `danet.inference.fusion.Backend` says."""

    def __init__(self, model: SkeletonModel, description: dict[str, Any], device: torch.device):
        self.model, self.description, self.device = model.to(device).eval(), description, device

    @torch.inference_mode()
    def classify(self, batch: ClipBatch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As `Backend` says."""
        encoded = self.model.encode(as_tensors(batch, self.device))
        first, second = (take(encoded, to_device(samples, self.device)) for samples in (own, other))
        output = self.model.classify(first, second)
        attention = None if output.attention is None else output.attention.joints.float().cpu().numpy()
        return output.logits.float().softmax(dim=1).cpu().numpy(), attention
