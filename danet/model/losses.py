"""What is learnt: the labels, and that two views of one performance agree."""

import torch
from torch import Tensor
from torch.nn import functional as F

from danet.config import Train
from danet.model.danet import Output


def label_loss(output: Output, labels: Tensor, settings: Train) -> Tensor:
    """The mean cross-entropy of the encoders, each of which learns the labels (P,) by itself.

    What they say together is not learnt, so that none leaves its streams to another.
    """
    votes = output.votes.transpose(1, 2)  # (P, actions, E)
    targets = labels[:, None].expand(-1, votes.shape[2])
    return F.cross_entropy(votes, targets, label_smoothing=settings.label_smoothing)


def agreement(own: Output, other: Output, settings: Train) -> Tensor:
    """How far two views of each performance disagree: in which joints they attend to, and in their features.

    Attention maps are compared by the Jensen-Shannon divergence, features by the cosine. Only the joints' maps are
    compared, since the recordings of a performance need not be synchronous.
    """
    maps = own.joint_map.float(), other.joint_map.float()
    middle = ((maps[0] + maps[1]) / 2).log()
    divergence = torch.stack([F.kl_div(middle, one, reduction="batchmean") for one in maps]).mean()
    distance = 1 - F.cosine_similarity(own.features, other.features, dim=2).mean()
    return settings.map_agreement * divergence + settings.feature_agreement * distance
