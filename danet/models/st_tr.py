"""ST-TR's two streams: attention over the joints of each frame (S-TR), and over the frames of each joint (T-TR).

Plizzari, Cannici, Matteucci: Skeleton-based action recognition via spatial and temporal transformer networks (2021).
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import TransformerStreamSettings
from danet.models.clip_network import ClipNetwork, Rule
from danet.models.graph import SMALL, End, GraphConvolution, Start, over_frames, spatial_graph
from danet.skeleton.layout import Layout

WIDENED = (1, 2, 4)  # the widths of three blocks each, all doubled where clips have DOUBLED channels: joint and bone
DOUBLED = 6
FRAMES = 9  # of a convolution over time
HEADS = 8


def unit(width: int, outputs: int, frames: int, stride: int = 1, dropout: float = 0.0) -> nn.Sequential:
    """(K, C, T, V) to (K, C', T / stride, V): a convolution over frames, normed, then ReLU."""
    convolution = over_frames(width, outputs, frames, stride)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
    return nn.Sequential(nn.Dropout(dropout), convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def past(width: int, outputs: int, stride: int) -> nn.Module:
    """The way past a layer: nothing where shapes stay."""
    return nn.Identity() if width == outputs and stride == 1 else unit(width, outputs, 1, stride)


class MaskedGraph(nn.Module):
    """Joints mixed along the skeleton, each edge of it by a learnt factor."""

    graph: Tensor

    def __init__(self, width: int, outputs: int, layout: Layout):
        super().__init__()
        self.register_buffer("graph", spatial_graph(layout), persistent=False)
        self.mask = nn.Parameter(torch.ones_like(self.graph))
        self.mix = GraphConvolution(width, outputs)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.normal_(self.mix.weight, 0, math.sqrt(2 / outputs))
        nn.init.uniform_(self.mix.bias, -(width**-0.5), width**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(K, C, T, V) to (K, C', T, V)."""
        return self.norm(self.mix(features, self.graph * self.mask)).relu()


class KeyDropout(nn.Dropout):
    """In training drops whole keys, each for all queries of a head."""

    def forward(self, shares: Tensor) -> Tensor:
        """(..., L, L), of each query its shares in the keys; those that are kept add to 1 again."""
        if not self.training:
            return shares
        kept = shares * F.dropout(torch.ones_like(shares[..., :1, :]), self.p)
        return kept / kept.sum(dim=-1, keepdim=True).clamp_min(1e-8)  # where none is kept, zeros


class Attention(nn.Module):
    """What attention over joints and attention over frames share: norms, queries, keys and values of 8 heads."""

    def __init__(self, width: int, outputs: int, joints: int, dropout: float, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.sizes = [outputs // 4, outputs // 4, outputs]
        self.before = nn.BatchNorm1d(width * joints)
        self.qkv = nn.Conv2d(width, sum(self.sizes), (1, kernel), (1, stride))
        self.dropout = KeyDropout(dropout)
        self.out = nn.Conv2d(outputs, outputs, 1)
        self.after = nn.BatchNorm2d(outputs)

    def by_joint(self, features: Tensor) -> Tensor:
        """(K, C, T, V) to (K, C, V, T), each channel of each joint normed."""
        rows = features.transpose(2, 3)
        return self.before(rows.flatten(1, 2)).view(rows.shape)

    def attend(self, features: Tensor) -> Tensor:
        """(K, C, P, L) to (K, C', P, L / stride): at each of P places, over the last axis."""
        query, key, value = (part.unflatten(1, (HEADS, -1)) for part in self.qkv(features).split(self.sizes, dim=1))
        shares = torch.einsum("khcpu,khcpv->khpuv", query * query.shape[2] ** -0.5, key).softmax(dim=-1)
        return self.out(torch.einsum("khpuv,khcpv->khcpu", self.dropout(shares), value).flatten(1, 2))


class JointAttention(Attention):
    """Over the joints of each frame."""

    def forward(self, features: Tensor) -> Tensor:
        """(K, C, T, V) to (K, C', T, V)."""
        attended = self.attend(self.by_joint(features).transpose(2, 3))
        return self.after(attended + features if attended.shape == features.shape else attended).relu()


class FrameAttention(Attention):
    """Over the frames of each joint; each is made of one frame where joints are even in number, else of `stride`."""

    def __init__(self, width: int, joints: int, dropout: float, stride: int):
        super().__init__(width, width, joints, dropout, kernel=stride if joints % 2 else 1, stride=stride)
        self.skip = past(width, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(K, C, T, V) to (K, C, T / stride, V), rounded up."""
        whole = F.pad(self.by_joint(features), (0, -features.shape[2] % self.qkv.kernel_size[1]))
        return self.after(self.attend(whole).transpose(2, 3) + self.skip(features)).relu()


class Block(nn.Module):
    """time(space(x)) + skip(x), without a ReLU."""

    def __init__(self, space: nn.Module, time: nn.Module, skip: nn.Module):
        super().__init__()
        self.space, self.time, self.skip = space, time, skip

    def forward(self, features: Tensor) -> Tensor:
        """(K, C, T, V) to (K, C', T / stride, V), rounded up."""
        return self.time(self.space(features)) + self.skip(features)


class IdleNorm(nn.BatchNorm1d):
    """A norm of people that the published network holds and never uses: it learns along, and changes nothing."""

    def forward(self, features: Tensor) -> Tensor:
        """(K, C, T, V) as they are."""
        if not self.training:
            return features
        idle = SMALL * (features.detach() * self.weight[:, None, None] + self.bias[:, None, None])
        return features + (idle - idle.detach())


class TransformerStream(ClipNetwork):
    """Three blocks of graphs, then six with attention, which see the clips once more as they came."""

    published: ClassVar[tuple[Rule, ...]] = (
        (r"^start\.norm", "data_bn"),
        (r"^end\.linear", "fcn"),
        (r"^idle", "person_bn"),
        (r"^first\.0", "gcn0"),
        (r"^first\.1", "tcn0"),
        (r"^graphs", "backbone"),
        (r"^attention\.(\d)", lambda found: f"backbone.{int(found[1]) + 3}"),
        (r"\.space\.", ".gcn1."),
        (r"\.time\.", ".tcn1."),
        (r"tcn1\.skip\.", "tcn1.down."),
        (r"\.skip\.", ".down1."),
        (r"\.before\.", ".data_bn."),
        (r"\.1\.(weight|bias)$", r".conv.\1"),
        (r"\.(?:2|norm|after)\.(\w+)$", r".bn.\1"),
        (r"\.mix\.", ".conv_list.{0,1,2}."),
        (r"gcn1\.(qkv|out)\.", r"gcn1.attention_conv.\1."),
        (r"\.qkv\.", ".qkv_conv."),
        (r"\.out\.", ".attn_out."),
    )

    def __init__(self, *, settings: TransformerStreamSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        self.layout, self.settings = layout, settings
        width = settings.width * (2 if self.channels == DOUBLED else 1)
        small, middle, large = (width * times for times in WIDENED)
        self.start = Start(self.channels, layout.size, self.people)
        self.first = nn.Sequential(MaskedGraph(self.channels, small, layout), unit(small, small, FRAMES))
        self.graphs = nn.Sequential(
            *(Block(MaskedGraph(small, small, layout), self.convolution(small, 1), nn.Identity()) for _ in range(3))
        )
        widths = (small + self.channels, middle, middle, middle, large, large, large)
        self.attention = nn.Sequential(
            *(
                Block(*self.layers(inputs, outputs, stride), past(inputs, outputs, stride))
                for inputs, outputs, stride in zip(widths, widths[1:], (2, 1, 1, 2, 1, 1), strict=False)
            )
        )
        self.idle = IdleNorm(large)
        self.end = End(large, self.people, actions)

    def convolution(self, width: int, stride: int) -> nn.Sequential:
        """A block's convolution over frames."""
        return unit(width, width, FRAMES, stride, self.settings.dropout)

    def layers(self, width: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
        """A block's layers in space and in time, one of which is attention."""
        raise NotImplementedError

    def logits_of(self, clips: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N, A)."""
        seen = self.graphs(self.first(self.start(clips)))
        as_they_came = clips.permute(0, 4, 1, 2, 3).flatten(0, 1)
        return self.end(self.idle(self.attention(torch.cat([seen, as_they_came], dim=1))))


class SpatialTransformer(TransformerStream):
    """S-TR: attention over the joints of each frame, then a convolution over frames."""

    def layers(self, width: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
        """A block's layers in space and in time."""
        space = JointAttention(width, outputs, self.layout.size, self.settings.key_dropout)
        return space, self.convolution(outputs, stride)


class TemporalTransformer(TransformerStream):
    """T-TR: joints mixed along the skeleton, then attention over the frames of each joint."""

    def layers(self, width: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
        """A block's layers in space and in time."""
        time = FrameAttention(outputs, self.layout.size, self.settings.key_dropout, stride)
        return MaskedGraph(width, outputs, self.layout), time
