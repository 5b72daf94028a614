"""What is learnt: the labels, and that two views of one performance agree."""

from torch import Tensor
from torch.nn import functional as F

from danet.config.settings import Train
from danet.models.base import Output


def label_loss(output: Output, labels: Tensor, settings: Train) -> Tensor:
    """The mean cross-entropy of the encoders, each of which learns the labels (P,) by itself.

    What they say together is not learnt, so that none leaves its streams to another.
    """
    votes = output.votes.transpose(1, 2)  # (P, actions, E)
    targets = labels[:, None].expand(-1, votes.shape[2])
    return F.cross_entropy(votes, targets, label_smoothing=settings.label_smoothing)


def agreement(own: Output, other: Output, settings: Train) -> Tensor:
    """How far two views of each performance disagree, as each encoder sees them: in which joints they attend to, and in
    their features.

    Attention maps are compared by their correlation, features by their cosine: neither grows smaller when what it
    compares gets fainter. Only the joints' maps are compared, since the recordings of a performance need not be
    synchronous.
    """
    maps = [each.joint_maps.float() - 1 / each.joint_maps.shape[2] for each in (own, other)]  # of which the mean is 0
    of_maps, of_features = (
        1 - F.cosine_similarity(one, two, dim=2).mean() for one, two in (maps, (own.features, other.features))
    )
    return settings.map_agreement * of_maps + settings.feature_agreement * of_features
