"""What every network is."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Output:
    """What the network says of B samples, or what each of its E encoders does.

    `logits` (B, actions): the mean over the encoders of the logarithm of the probabilities that `votes` (B, E, actions)
    stand for, so that their softmax is the geometric mean of those; `features` (B, E, 4 D); `joint_maps` (B, E, L) and
    `moment_map` (B, T): the share of the cross-attention that each token and each moment (some frames, see `stride`)
    receives, each row summing to 1; `pair_map` (B, L, L): how much each token attends to each, rows summing to 1, None
    without cross-attention. `joint_map`, `moment_map` and `pair_map` are the mean over the encoders.
    """

    logits: Tensor
    votes: Tensor
    features: Tensor
    joint_maps: Tensor
    moment_map: Tensor
    pair_map: Tensor | None

    @property
    def joint_map(self) -> Tensor:
        """(B, L), rows summing to 1."""
        return self.joint_maps.mean(dim=1)


View = tuple[Tensor, Tensor]  # what a view is encoded to: tokens in space (B, E, L, D) and in time (B, E, T, D)


def mean_by_owner(owner: Tensor, values: Tensor, samples: int) -> Tensor:
    """(K, ...) to (B, ...): the mean over the actors of each of B = `samples` samples."""
    total, actors = (
        each.new_zeros(samples + 1, *each.shape[1:]).index_add_(0, owner, each)[:samples]
        for each in (values, values.new_ones(len(owner)))
    )
    return total / actors.view(-1, *[1] * (values.ndim - 1))
