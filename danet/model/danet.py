"""DANet: clips of one view, or of two views of one performance, in; logits and attention maps out.

Read from top to bottom: tokens, blocks of relation-aware self-attention, cross-attention between views, one label.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from danet.config import Model
from danet.model.attention import CrossAttention, SpatialAttention, TemporalAttention, pair_geometry
from danet.skeleton import Layout


@dataclass(frozen=True)
class Output:
    """What the network says of B samples.

    `logits` (B, actions); `features` (B, 4 D); `joint_map` (B, L) and `moment_map` (B, T): the share of the
    cross-attention that each token and each moment (some frames, see `stride`) receives, each row summing to 1.
    """

    logits: Tensor
    features: Tensor
    joint_map: Tensor
    moment_map: Tensor


View = tuple[Tensor, Tensor]  # what a view is encoded to: tokens in space (B, L, D) and in time (B, T, D)


class Block(nn.Module):
    """Self-attention in space, then in time, then a feed-forward layer; each a residual branch after a LayerNorm."""

    def __init__(self, *, settings: Model, layout: Layout, moments: int):
        super().__init__()
        width = settings.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.space = SpatialAttention(settings, layout)
        self.time = TemporalAttention(settings, moments)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, settings.expansion * width), nn.GELU(), nn.Linear(settings.expansion * width, width)
        )

    def forward(self, tokens: Tensor, geometry: Tensor, weights: Tensor | None) -> Tensor:
        """(K, T, L, D) to (K, T, L, D); `weights` (3, K) of the three branches of each clip, None for 1."""
        tokens = tokens + _weighed(self.space(self.norms[0](tokens), geometry)[0], weights, 0)
        tokens = tokens + _weighed(self.time(self.norms[1](tokens))[0], weights, 1)
        return tokens + _weighed(self.feed_forward(self.norms[2](tokens)), weights, 2)


class DANet(nn.Module):
    """The dual-attention network for one joint layout, one clip length and one list of actions."""

    membership: Tensor
    channel_scale: Tensor

    def __init__(self, *, settings: Model, layout: Layout, frames: int, channels: int, actions: int):
        super().__init__()
        self.settings, self.layout = settings, layout
        moments = frames // settings.stride
        width, tokens = settings.width, layout.size + settings.parts * len(layout.parts)
        membership = torch.zeros(len(layout.parts), layout.size)
        for row, members in enumerate(layout.parts.values()):
            membership[row, list(members)] = 1 / len(members)
        self.register_buffer("membership", membership, persistent=False)  # (P, V), rows sum to 1
        self.register_buffer("channel_scale", torch.ones(channels))  # what `channels` is divided by, set from the data
        self.embed = nn.Sequential(nn.Linear(settings.stride * channels, width), nn.GELU(), nn.Linear(width, width))
        self.token_embedding = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.time_embedding = nn.Parameter(torch.randn(moments, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(settings=settings, layout=layout, moments=moments) for _ in range(settings.blocks)
        )
        self.norm = nn.LayerNorm(width)
        if settings.cross_attention:
            self.cross_space = CrossAttention(width=width, heads=settings.heads)
            self.cross_time = CrossAttention(width=width, heads=settings.heads)
        self.label = nn.Linear(4 * width, actions)

    def draw_branches(self, clips: int, rng: np.random.Generator) -> np.ndarray:
        """(blocks, 3, K) float32: what each residual branch of each clip counts in one step of training.

        Stochastic depth (Huang et al., ECCV 2016): a branch is left out at times, the more often the deeper it lies,
        and counts for more otherwise.
        """
        dropped = np.linspace(0, self.settings.dropout, self.settings.blocks)[:, None, None]
        kept = rng.random((self.settings.blocks, 3, clips)) >= dropped
        return (kept / (1 - dropped)).astype(np.float32)

    def encode(
        self, channels: Tensor, joints: Tensor, owner: Tensor, samples: int, branches: Tensor | None = None
    ) -> View:
        """Each sample by itself: the clips of its actors, as in `tokens`, to its tokens, the mean over its actors.

        `owner` (K,) says which of the B = `samples` samples each clip belongs to.
        """
        tokens = self.tokens(channels, joints, branches)
        return _mean_by(owner, tokens.mean(dim=1), samples), _mean_by(owner, tokens.mean(dim=2), samples)

    def tokens(self, channels: Tensor, joints: Tensor, branches: Tensor | None = None) -> Tensor:
        """Each clip by itself: channels (K, S T, V, C) and joints (K, S T, V, 3), S the stride, to (K, T, L, D).

        `branches` is what `draw_branches` drew, in training.
        """
        stride = self.settings.stride
        moments = (channels / self.channel_scale).unflatten(1, (-1, stride)).transpose(2, 3).flatten(3)
        tokens = self.embed(moments)  # (K, T, V, D)
        places = joints.unflatten(1, (-1, stride)).mean(dim=2)
        if self.settings.parts:
            tokens = torch.cat([tokens, self.membership @ tokens], dim=2)  # (K, T, L, D)
            places = torch.cat([places, self.membership @ places], dim=2)
        tokens = tokens + self.token_embedding + self.time_embedding[:, None]
        geometry = pair_geometry(places, self.settings.stretches)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, geometry, None if branches is None else branches[index])
        return self.norm(tokens)

    def relate(self, own: View, other: View) -> Output:
        """One view in the light of another (or of itself): cross-attention in space and in time, then the label."""
        (own_space, own_time), (other_space, other_time) = own, other
        if self.settings.cross_attention:
            own_space, space_map = self.cross_space(own_space, other_space)
            own_time, time_map = self.cross_time(own_time, other_time)
            joint_map, moment_map = space_map.mean(dim=(1, 2)), time_map.mean(dim=(1, 2))
        else:
            joint_map, moment_map = (part.norm(dim=-1) for part in own)
            joint_map, moment_map = (part / part.sum(dim=1, keepdim=True) for part in (joint_map, moment_map))
        features = torch.cat(
            [pooled for tokens in (own_space, own_time) for pooled in (tokens.mean(1), tokens.amax(1))], 1
        )
        return Output(self.label(features), features, joint_map, moment_map)

    def forward(self, channels: Tensor, joints: Tensor, owner: Tensor, samples: int) -> Output:
        """One view: what is asked of it at test."""
        own = self.encode(channels, joints, owner, samples)
        return self.relate(own, own)


def _weighed(branch: Tensor, weights: Tensor | None, index: int) -> Tensor:
    return branch if weights is None else branch * weights[index, :, None, None, None].to(branch.dtype)


def _mean_by(owner: Tensor, values: Tensor, samples: int) -> Tensor:
    """(K, ...) to (B, ...): the mean over the actors of each sample."""
    total = values.new_zeros(samples, *values.shape[1:]).index_add_(0, owner, values)
    actors = torch.bincount(owner, minlength=samples).to(values.dtype)
    return total / actors.view(-1, *[1] * (values.ndim - 1))
