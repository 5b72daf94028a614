"""DANet: clips of one view, or of two views of one performance, to logits and attention maps.

Read from top to bottom: tokens, blocks of relation-aware self-attention, cross-attention between views, one label. An
encoder does all of it for some of the streams; the network is one or several of them side by side, learnt together.

Axes: those of `danet.models.base`, and D channels of a token, E encoders, F frames of a patch.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from danet.clips.sequences import ClipBatch
from danet.clips.streams import channel_count, channel_places
from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.models.base import Attention, ClipTensors, Output, ParameterGroup, SkeletonModel
from danet.models.danet.attention import CrossAttention, SpatialAttention, TemporalAttention, pair_geometry
from danet.models.danet.losses import EncoderOutputs, feature_disagreement, label_loss
from danet.skeleton.layout import Layout

View = tuple[Tensor, Tensor]  # what a view is encoded to: tokens in space (B, E, L, D) and in time (B, E, P, D)

OUTER = ("embed.0.weight", "label.weight")  # the matrices that see the channels or give the labels
SEVERAL_ENCODERS = 1 / 1.3  # the temperature that makes them as confident together as they are right: they err apart


class EncoderOutput(NamedTuple):
    """What one encoder makes of B samples: logits (B, A), features (B, 4 D), and where it looked."""

    logits: Tensor
    features: Tensor
    attention: Attention


class PartPositions(nn.Module):
    """Puts the positions of the body parts beside those of the joints; a part is where its joints are on average."""

    membership: Tensor

    def __init__(self, layout: Layout):
        super().__init__()
        membership = torch.zeros(len(layout.parts), layout.size)
        for row, members in enumerate(layout.parts.values()):
            membership[row, list(members)] = 1 / len(members)
        self.register_buffer("membership", membership, persistent=False)  # (parts, V), rows add to 1

    def forward(self, positions: Tensor) -> Tensor:
        """(..., V, 3) to (..., L, 3)."""
        return torch.cat([positions, self.membership @ positions], dim=-2)


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

    def __init__(self, *, settings: DANetSettings, layout: Layout, patches: int):
        super().__init__()
        width = settings.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.space = SpatialAttention(settings, layout)
        self.time = TemporalAttention(settings, patches)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, settings.expansion * width), nn.GELU(), nn.Linear(settings.expansion * width, width)
        )

    def forward(self, tokens: Tensor, geometry: Tensor, kept: Tensor | None) -> Tensor:
        """(K, P, L, D) to (K, P, L, D); `kept` (3, K) is what each branch of each clip counts, None for 1."""
        tokens = tokens + _drop_path(self.space(self.norms[0](tokens), geometry)[0], kept, 0)
        tokens = tokens + _drop_path(self.time(self.norms[1](tokens))[0], kept, 1)
        return tokens + _drop_path(self.feed_forward(self.norms[2](tokens)), kept, 2)


class Encoder(nn.Module):
    """Some of the channels of a clip to tokens, and the tokens of one view in the light of another to a label.

    `seen` (C',) are the indices of those channels.
    """

    seen: Tensor

    def __init__(self, *, settings: DANetSettings, layout: Layout, patches: int, seen: list[int], actions: int):
        super().__init__()
        width, tokens = settings.width, layout.size + settings.parts * len(layout.parts)
        self.register_buffer("seen", torch.tensor(seen), persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(settings.patch_frames * len(seen), width), nn.GELU(), nn.Linear(width, width)
        )
        self.parts = PartTokens(layout, width) if settings.parts else nn.Identity()
        self.token_embedding = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.time_embedding = nn.Parameter(torch.randn(patches, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(settings=settings, layout=layout, patches=patches) for _ in range(settings.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.cross_attention = settings.cross_attention
        if self.cross_attention:
            self.cross_space = CrossAttention(width=width, heads=settings.heads)
            self.cross_time = CrossAttention(width=width, heads=settings.heads)
        self.label = nn.Linear(4 * width, actions)

    def forward(self, patches: Tensor, geometry: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Each clip by itself: (K, P, F, V, C) to its tokens in space (K, L, D), the mean over time, and in time
        (K, P, D), the mean over the body.

        `geometry` is what `pair_geometry` gives, `kept` (blocks, 3, K) what each residual branch counts.
        """
        channels = patches.index_select(-1, self.seen).transpose(2, 3).flatten(3)
        tokens = self.parts(self.embed(channels))  # (K, P, L, D)
        tokens = tokens + self.token_embedding + self.time_embedding[:, None]
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, geometry, None if kept is None else kept[index])
        tokens = self.norm(tokens)
        return tokens.mean(dim=1), tokens.mean(dim=2)

    def classify(self, own: View, other: View) -> EncoderOutput:
        """One view in the light of another, as this encoder sees them: tokens (B, L, D) and (B, P, D) of each."""
        (own_space, own_time), (other_space, other_time) = own, other
        if self.cross_attention:
            own_space, space_map = self.cross_space(own_space, other_space)
            own_time, time_map = self.cross_time(own_time, other_time)
            pairs = space_map.mean(dim=1)
            attention = Attention(pairs.mean(dim=1), time_map.mean(dim=(1, 2)), pairs)
        else:
            joints, frames = (tokens.norm(dim=-1) for tokens in own)
            joints, frames = (norm / norm.sum(dim=1, keepdim=True) for norm in (joints, frames))
            attention = Attention(joints, frames, pairs=None)
        features = torch.cat(
            [pooled for tokens in (own_space, own_time) for pooled in (tokens.mean(1), tokens.amax(1))], 1
        )
        return EncoderOutput(self.label(features), features, attention)


class DANet(SkeletonModel):
    """The dual-attention network.

    Its logits are the mean over the encoders of the logarithm of the probabilities that each of them gives, so that
    their softmax is the geometric mean of those. Its attention is the mean of theirs: the share of the cross-attention
    that each token and each patch receives, or, without cross-attention, of the length of the tokens.
    """

    channel_scale: Tensor
    encoders: Sequence[Encoder]
    learns_from_pairs = True

    def __init__(self, *, settings: DANetSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__()
        places = channel_places(clips.streams, layout)
        self.settings, self.layout = settings, layout
        self.uses_pairs = settings.cross_attention
        self.fused_members = max(1, len(settings.encoders))
        self.temperature = SEVERAL_ENCODERS if len(settings.encoders) > 1 else 1.0
        self.register_buffer("channel_scale", torch.ones(channel_count(clips.streams, layout)))  # set from the data
        self.parts = PartPositions(layout) if settings.parts else nn.Identity()
        self.encoders = nn.ModuleList(  # type: ignore[assignment]
            Encoder(
                settings=settings,
                layout=layout,
                patches=clips.frames // settings.patch_frames,
                seen=[index for name in streams for index in places[name]],
                actions=actions,
            )
            for streams in settings.encoders or (clips.streams,)
        )

    @property
    def tokens(self) -> list[str]:
        """The joints, and the body parts if there are tokens of them."""
        return [*self.layout.joints, *(self.layout.parts if self.settings.parts else ())]

    def set_channel_scale(self, scale: np.ndarray) -> None:
        """Each channel is divided by its spread: motion is far smaller than position."""
        self.channel_scale.copy_(torch.from_numpy(scale))

    def sample_noise(self, clips: ClipBatch, rng: np.random.Generator) -> np.ndarray:
        """(E, blocks, 3, K) float32: what each residual branch of each clip counts in one step of training.

        Drop path (Huang et al., Deep Networks with Stochastic Depth, ECCV 2016): a branch is left out at times, the
        more often the deeper it lies, and counts for more otherwise.
        """
        dropped = np.linspace(0, self.settings.drop_path, self.settings.blocks)[:, None, None]
        kept = rng.random((len(self.encoders), self.settings.blocks, 3, len(clips.owner))) >= dropped
        return (kept / (1 - dropped)).astype(np.float32)

    def encode(self, clips: ClipTensors, noise: Tensor | None = None) -> View:
        """The mean over each sample's actors of the tokens of their clips."""
        patches, positions = (
            each.unflatten(1, (-1, self.settings.patch_frames)) for each in (clips.channels, clips.joints)
        )
        patches = patches / self.channel_scale
        geometry = pair_geometry(self.parts(positions.mean(dim=2)), self.settings.segments)
        encoded = [
            encoder(patches, geometry, None if noise is None else noise[index])
            for index, encoder in enumerate(self.encoders)
        ]
        space, time = (clips.mean_over_actors(torch.stack(tokens, dim=1)) for tokens in zip(*encoded, strict=True))
        return space, time

    def classify(self, own: View, other: View) -> Output:  # type: ignore[override]
        """One view in the light of another (or of itself): cross-attention in space and in time, then the label."""
        outputs = [
            encoder.classify(*((space[:, index], time[:, index]) for space, time in (own, other)))
            for index, encoder in enumerate(self.encoders)
        ]
        logits = torch.stack([each.logits for each in outputs], dim=1)
        maps = [each.attention for each in outputs]
        pairs = [each.pairs for each in maps if each.pairs is not None]
        attention = Attention(
            joints=torch.stack([each.joints for each in maps], dim=1).mean(dim=1),
            frames=torch.stack([each.frames for each in maps]).mean(dim=0),
            pairs=torch.stack(pairs).mean(dim=0) if pairs else None,
        )
        extra = EncoderOutputs(logits, torch.stack([each.features for each in outputs], dim=1))
        return Output(logits.log_softmax(dim=2).mean(dim=1), attention, extra)

    def loss(
        self,
        clips: ClipTensors,
        labels: Tensor,
        *,
        partners: ClipTensors | None,
        teacher: SkeletonModel,
        noise: Tensor | None,
        label_smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        """Each sample is labelled by itself, as at test, and in the light of its partner, whose features it shares.

        The partner is seen by the teacher (Tarvainen and Valpola, Mean teachers, NeurIPS 2017), so that all of a step's
        samples can be of different performances.
        """
        own = self.encode(clips, noise)
        alone = self.classify(own, own)
        loss = label_loss(alone.extra, labels, label_smoothing)
        if partners is None:
            return loss, alone.logits
        with torch.no_grad():
            other = teacher.encode(partners)
            taught = teacher.classify(other, other)
        if self.uses_pairs:
            crossed = self.classify(own, other)  # type: ignore[arg-type]
            loss = loss + self.settings.cross_view_weight * label_loss(crossed.extra, labels, label_smoothing)
        agreement = feature_disagreement(alone.extra, taught.extra)
        return loss + self.settings.feature_agreement * agreement, alone.logits

    def guessing_loss(self, actions: int, paired: bool) -> float:
        """That of each label that is learnt: a clip's own, and that in the light of its partner."""
        crossed = self.settings.cross_view_weight if self.uses_pairs and paired else 0.0
        return (1 + crossed) * math.log(actions)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Muon for inner matrices; decay on matrices, not on biases, norms, embeddings and relation terms.

        The first and the last matrices are AdamW's, as is the custom with Muon. With orthogonal steps for the first,
        noise in the joints costs more (docs/choices.md).
        """
        named = dict(self.named_parameters())
        matrices = [name for name, parameter in named.items() if parameter.ndim == 2 and name.endswith("weight")]
        inner = [name for name in matrices if not name.endswith(OUTER)]
        return [
            ParameterGroup([named[name] for name in inner], decays=True, orthogonal=True),
            ParameterGroup([named[name] for name in matrices if name not in inner], decays=True),
            ParameterGroup([named[name] for name in named if name not in matrices], decays=False),
        ]


def _drop_path(branch: Tensor, kept: Tensor | None, index: int) -> Tensor:
    return branch if kept is None else branch * kept[index, :, None, None, None].to(branch.dtype)
