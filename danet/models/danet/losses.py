"""What DANet learns: the labels, and that two views of one performance have the same features."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


class EncoderOutputs(NamedTuple):
    """What each of E encoders says of B samples: `logits` (B, E, A) and `features` (B, E, 4 D)."""

    logits: Tensor
    features: Tensor


def label_loss(encoders: EncoderOutputs, labels: Tensor, label_smoothing: float) -> Tensor:
    """The mean cross-entropy of the encoders, each of which learns the labels (B,) by itself.

    What they say together is not learnt, so that none leaves its streams to another.
    """
    logits = encoders.logits.transpose(1, 2)  # (B, A, E)
    targets = labels[:, None].expand(-1, logits.shape[2])
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def feature_disagreement(first: EncoderOutputs, second: EncoderOutputs) -> Tensor:
    """How far the features of two views of each performance differ: 1 minus their cosine, the mean over the encoders.

    The cosine does not grow smaller when what it compares gets fainter.
    """
    return 1 - F.cosine_similarity(first.features, second.features, dim=2).mean()
