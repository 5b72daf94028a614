"""2s-AGCN, one stream of it: graphs that are learnt, and drawn from each clip, beside the skeleton's.

Shi et al., Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action Recognition, CVPR 2019. Shorter
clips than its 300 frames will do. Axes: those of `danet.models.base`, and K graphs.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from danet.config.clips import ClipSettings
from danet.config.networks import TwoStreamAGCNSettings
from danet.models.clip_network import Rule
from danet.models.graph import (
    GRAPHS,
    LAYER_NAMES,
    SMALL,
    GraphConvolution,
    GraphNetwork,
    Parallel,
    Space,
    Time,
    normed,
    skip,
    spatial_graph,
    start_as_skips,
)
from danet.skeleton.layout import Layout

KERNEL = 9


class AdaptiveGraphConvolution(nn.Module):
    """A graph convolution along the skeleton's bones, along what was learnt, and by how alike a clip's joints are."""

    skeleton: Tensor

    def __init__(self, width: int, outputs: int, layout: Layout):
        super().__init__()
        self.register_buffer("skeleton", spatial_graph(layout), persistent=False)
        self.learnt = nn.Parameter(torch.full_like(self.skeleton, SMALL))
        self.compared = Parallel(2 * GRAPHS, width, 2 * GRAPHS * (outputs // 4))
        self.mix = GraphConvolution(width, outputs)
        self.norm = nn.BatchNorm2d(outputs)
        self.skip = skip(width, outputs)

    def likeness(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, K, V, V): the share that each joint u has in what joint v is like."""
        by_graph = self.compared(features).unflatten(1, (2, GRAPHS, -1)).flatten(3, 4)  # (N, 2, K, C' T, V)
        one, two = by_graph.unbind(dim=1)
        return (one.mT @ two / one.shape[2]).softmax(dim=2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T, V)."""
        mixed = self.mix(features, self.skeleton + self.learnt + self.likeness(features))
        return torch.relu(self.norm(mixed) + self.skip(features))


class TwoStreamAGCN(GraphNetwork):
    """One of the two streams; which one, joints or bones, the settings of clips say."""

    published: ClassVar[tuple[Rule, ...]] = (
        *LAYER_NAMES,
        (r"tcn1\.0", "tcn1.conv"),
        (r"tcn1\.1", "tcn1.bn"),
        (r"learnt", "PA"),
        (r"compared", "conv_{a,b}.{0,1,2}"),
        (r"mix", "conv_d.{0,1,2}"),
    )

    def __init__(self, *, settings: TwoStreamAGCNSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        start_as_skips(self.blocks)

    def layers(self, layout: Layout) -> tuple[Space, Time]:
        """The adaptive graph convolution, and a convolution over nine frames."""
        return (
            lambda width, outputs: AdaptiveGraphConvolution(width, outputs, layout),
            lambda width, stride: normed(width, width, KERNEL, stride),
        )
