"""DANet: clips of one view, or of two views of one performance, in; logits and attention maps out.

Read from top to bottom: tokens, blocks of relation-aware self-attention, cross-attention between views, one label. An
encoder does all of it for some of the streams; the network is one or several of them side by side, learnt together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from danet.clips.streams import channel_places
from danet.config.networks import Model, Stream
from danet.models.base import Output, View, mean_by_owner
from danet.models.danet.attention import CrossAttention, SpatialAttention, TemporalAttention, pair_geometry
from danet.skeleton.layout import Layout


class Reading(NamedTuple):
    """What one encoder makes of B samples: the fields of Output, of itself alone."""

    vote: Tensor
    features: Tensor
    joint_map: Tensor
    moment_map: Tensor
    pair_map: Tensor | None


class PartPlaces(nn.Module):
    """Puts the places of the body parts beside those of the joints; a part is where its joints are on average."""

    membership: Tensor

    def __init__(self, layout: Layout):
        super().__init__()
        membership = torch.zeros(len(layout.parts), layout.size)
        for row, members in enumerate(layout.parts.values()):
            membership[row, list(members)] = 1 / len(members)
        self.register_buffer("membership", membership, persistent=False)  # (P, V), rows sum to 1

    def forward(self, places: Tensor) -> Tensor:
        """(..., V, 3) to (..., L, 3)."""
        return torch.cat([places, self.membership @ places], dim=-2)


class PartTokens(nn.Module):
    """Puts the tokens of the body parts beside those of the joints.

    A part mixes the tokens of its joints, each by a matrix of its own: their mean cannot tell one from another.
    """

    members: Tensor

    def __init__(self, layout: Layout, width: int):
        super().__init__()
        parts = layout.parts.values()
        self.sizes = [len(members) for members in parts]
        self.register_buffer("members", torch.tensor([joint for part in parts for joint in part]), persistent=False)
        self.mixes = nn.ModuleList(nn.Linear(size * width, width) for size in self.sizes)

    def forward(self, joints: Tensor) -> Tensor:
        """(..., V, D) to (..., L, D)."""
        members = joints.index_select(-2, self.members).split(self.sizes, dim=-2)
        parts = [mix(each.flatten(-2)) for mix, each in zip(self.mixes, members, strict=True)]
        return torch.cat([joints, torch.stack(parts, dim=-2)], dim=-2)


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


class Encoder(nn.Module):
    """Some of the channels of a clip to tokens, and the tokens of one view in the light of another to a label.

    `seen` (C',) are the places of those channels.
    """

    seen: Tensor

    def __init__(self, *, settings: Model, layout: Layout, moments: int, seen: list[int], actions: int):
        super().__init__()
        width, tokens = settings.width, layout.size + settings.parts * len(layout.parts)
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        self.embed = nn.Sequential(nn.Linear(settings.stride * len(seen), width), nn.GELU(), nn.Linear(width, width))
        self.parts = PartTokens(layout, width) if settings.parts else nn.Identity()
        self.token_embedding = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.time_embedding = nn.Parameter(torch.randn(moments, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(settings=settings, layout=layout, moments=moments) for _ in range(settings.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.cross_attention = settings.cross_attention
        if self.cross_attention:
            self.cross_space = CrossAttention(width=width, heads=settings.heads)
            self.cross_time = CrossAttention(width=width, heads=settings.heads)
        self.label = nn.Linear(4 * width, actions)

    def forward(self, moments: Tensor, geometry: Tensor, branches: Tensor | None) -> tuple[Tensor, Tensor]:
        """Each clip by itself: (K, T, S, V, C), S the stride, to its tokens in space (K, L, D), the mean over time, and
        in time (K, T, D), the mean over the body.

        `geometry` is what `pair_geometry` gives, `branches` (blocks, 3, K) what each residual branch counts.
        """
        channels = moments.index_select(-1, self.seen).transpose(2, 3).flatten(3)
        tokens = self.parts(self.embed(channels))  # (K, T, L, D)
        tokens = tokens + self.token_embedding + self.time_embedding[:, None]
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, geometry, None if branches is None else branches[index])
        tokens = self.norm(tokens)
        return tokens.mean(dim=1), tokens.mean(dim=2)

    def relate(self, own: View, other: View) -> Reading:
        """One view in the light of another, as this encoder sees them: tokens (B, L, D) and (B, T, D) of each."""
        (own_space, own_time), (other_space, other_time) = own, other
        if self.cross_attention:
            own_space, space_map = self.cross_space(own_space, other_space)
            own_time, time_map = self.cross_time(own_time, other_time)
            pair_map = space_map.mean(dim=1)
            joint_map, moment_map = pair_map.mean(dim=1), time_map.mean(dim=(1, 2))
        else:
            pair_map = None
            joint_map, moment_map = (part.norm(dim=-1) for part in own)
            joint_map, moment_map = (part / part.sum(dim=1, keepdim=True) for part in (joint_map, moment_map))
        features = torch.cat(
            [pooled for tokens in (own_space, own_time) for pooled in (tokens.mean(1), tokens.amax(1))], 1
        )
        return Reading(self.label(features), features, joint_map, moment_map, pair_map)


class DANet(nn.Module):
    """The dual-attention network for one joint layout, one clip length, some streams and one list of actions."""

    channel_scale: Tensor
    encoders: Sequence[Encoder]

    def __init__(self, *, settings: Model, layout: Layout, frames: int, streams: tuple[Stream, ...], actions: int):
        super().__init__()
        places = channel_places(streams, layout)
        self.settings, self.layout = settings, layout
        self.register_buffer("channel_scale", torch.ones(sum(map(len, places.values()))))  # set from the data
        self.parts = PartPlaces(layout) if settings.parts else nn.Identity()
        self.encoders = nn.ModuleList(  # type: ignore[assignment]
            Encoder(
                settings=settings,
                layout=layout,
                moments=frames // settings.stride,
                seen=[place for name in names for place in places[name]],
                actions=actions,
            )
            for names in settings.encoders or (streams,)
        )

    def draw_branches(self, clips: int, rng: np.random.Generator) -> np.ndarray:
        """(E, blocks, 3, K) float32: what each residual branch of each clip counts in one step of training.

        Stochastic depth (Huang et al., ECCV 2016): a branch is left out at times, the more often the deeper it lies,
        and counts for more otherwise.
        """
        dropped = np.linspace(0, self.settings.dropout, self.settings.blocks)[:, None, None]
        kept = rng.random((len(self.encoders), self.settings.blocks, 3, clips)) >= dropped
        return (kept / (1 - dropped)).astype(np.float32)

    def encode(
        self, channels: Tensor, joints: Tensor, owner: Tensor, samples: int, branches: Tensor | None = None
    ) -> View:
        """Each sample by itself: the clips of its actors, as in `encode_clips`, to the mean of their tokens.

        `owner` (K,) says which of the B = `samples` samples each clip belongs to, B: to none.
        """
        space, time = self.encode_clips(channels, joints, branches)
        return mean_by_owner(owner, space, samples), mean_by_owner(owner, time, samples)

    def encode_clips(self, channels: Tensor, joints: Tensor, branches: Tensor | None = None) -> View:
        """Each clip by itself: channels (K, S T, V, C) and joints (K, S T, V, 3), S the stride, to a View of K clips.

        `branches` is what `draw_branches` drew, in training.
        """
        moments, places = (each.unflatten(1, (-1, self.settings.stride)) for each in (channels, joints))
        moments = moments / self.channel_scale
        geometry = pair_geometry(self.parts(places.mean(dim=2)), self.settings.stretches)
        found = [
            encoder(moments, geometry, None if branches is None else branches[index])
            for index, encoder in enumerate(self.encoders)
        ]
        space, time = zip(*found, strict=True)
        return torch.stack(space, dim=1), torch.stack(time, dim=1)

    def relate(self, own: View, other: View) -> Output:
        """One view in the light of another (or of itself): cross-attention in space and in time, then the label."""
        readings = [
            encoder.relate(*((space[:, index], time[:, index]) for space, time in (own, other)))
            for index, encoder in enumerate(self.encoders)
        ]
        votes = torch.stack([each.vote for each in readings], dim=1)
        pair_maps = [each.pair_map for each in readings if each.pair_map is not None]
        return Output(
            logits=votes.log_softmax(dim=2).mean(dim=1),
            votes=votes,
            features=torch.stack([each.features for each in readings], dim=1),
            joint_maps=torch.stack([each.joint_map for each in readings], dim=1),
            moment_map=torch.stack([each.moment_map for each in readings]).mean(dim=0),
            pair_map=torch.stack(pair_maps).mean(dim=0) if pair_maps else None,
        )

    def forward(self, channels: Tensor, joints: Tensor, owner: Tensor, samples: int) -> Output:
        """One view: what is asked of it at test."""
        own = self.encode(channels, joints, owner, samples)
        return self.relate(own, own)


def _weighed(branch: Tensor, weights: Tensor | None, index: int) -> Tensor:
    return branch if weights is None else branch * weights[index, :, None, None, None].to(branch.dtype)
