"""CTR-GCN, one stream of it: each channel has a graph of its own, by how the joints of a clip differ.

Chen et al., Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action Recognition, ICCV 2021. Axes:
those of `danet.models.base`, and K graphs.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import CTRGCNSettings
from danet.models.clip_network import Rule
from danet.models.graph import (
    GRAPHS,
    LAYER_NAMES,
    Branches,
    GraphNetwork,
    Parallel,
    Space,
    Time,
    skip,
    spatial_graph,
    start_as_skips,
)
from danet.skeleton.layout import Layout

KERNEL, DILATIONS = 5, (1, 2)
NORM_DEVIATION = 0.02  # around 1, of the weights of norms in time when they start


class RefinedGraphConvolution(nn.Module):
    """A graph convolution along learnt graphs, which each clip refines for each channel."""

    def __init__(self, width: int, outputs: int, layout: Layout):
        super().__init__()
        reduced = max(width // 8, 8)
        self.graph = nn.Parameter(spatial_graph(layout))
        self.refined = nn.Parameter(torch.zeros(1))
        self.compared = Parallel(2 * GRAPHS, width, 2 * GRAPHS * reduced)
        self.refine = Parallel(GRAPHS, GRAPHS * reduced, GRAPHS * outputs, apart=True)
        self.mix = Parallel(GRAPHS, width, GRAPHS * outputs)
        self.norm = nn.BatchNorm2d(outputs)
        self.skip = skip(width, outputs)

    def graphs(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, K, C', V, V): what joint u takes from joint v."""
        compared = self.compared(features.mean(dim=2, keepdim=True)).unflatten(1, (GRAPHS, 2, -1))
        one, two = compared.unbind(dim=2)  # (N, K, R, 1, V)
        differing = torch.tanh(one.mT - two).flatten(1, 2)
        weight, bias = (self.refined * each for each in self.refine.parameters())  # fewer numbers than the graphs have
        return self.graph[:, None] + F.conv2d(differing, weight, bias, groups=GRAPHS).unflatten(1, (GRAPHS, -1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T, V)."""
        mixed = self.mix(features).unflatten(1, (GRAPHS, -1))
        brought = (mixed @ self.graphs(features).mT).sum(dim=1)
        return torch.relu(self.norm(brought) + self.skip(features))


class CTRGCN(GraphNetwork):
    """One of the four streams; which one, the settings of clips say."""

    published: ClassVar[tuple[Rule, ...]] = (
        *LAYER_NAMES,
        (r"tcn1\.0\.enter", "tcn1.branches.{0,1,2}"),
        (r"tcn1\.0\.dilated\.(\d)", r"tcn1.branches.\1.3.conv"),
        (r"tcn1\.0\.direct", "tcn1.branches.3.0"),
        (r"tcn1\.1", "tcn1.branches.{0.3.bn,1.3.bn,2.4,3.1}"),
        (r"graph", "PA"),
        (r"refined", "alpha"),
        (r"compared", "convs.{0,1,2}.conv{1,2}"),
        (r"refine", "convs.{0,1,2}.conv4"),
        (r"mix", "convs.{0,1,2}.conv3"),
    )

    def __init__(self, *, settings: CTRGCNSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        start_as_skips(self.blocks)
        for name, parameter in self.blocks.named_parameters():
            if ".time." in name and name.endswith("weight") and parameter.ndim == 1:
                nn.init.normal_(parameter, 1, NORM_DEVIATION)

    def layers(self, layout: Layout) -> tuple[Space, Time]:
        """The refined graph convolution, and branches over frames."""
        return (
            lambda width, outputs: RefinedGraphConvolution(width, outputs, layout),
            lambda width, stride: nn.Sequential(Branches(width, stride, KERNEL, DILATIONS), nn.BatchNorm2d(width)),
        )
