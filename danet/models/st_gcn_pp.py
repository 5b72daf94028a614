"""ST-GCN++: graphs that are learnt from the skeleton's on, and branches over frames.

Duan et al., PYSKL: Towards Good Practices for Skeleton Action Recognition, ACM MM 2022.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from danet.models.clip_network import Rule
from danet.models.graph import Branches, GraphConvolution, GraphNetwork, Space, Time, skip, spatial_graph
from danet.skeleton.layout import Layout

KERNEL, DILATIONS = 3, (1, 2, 3, 4)
HEAD_DEVIATION = 0.01  # of the last layer's weights when they start
NAMES: tuple[Rule, ...] = (  # as pyskl has them
    (r"start\.norm", "backbone.data_bn"),
    (r"end\.linear", "fc_cls"),
    (r"(blocks\.\d+)\.skip\.0", r"\1.residual.conv"),
    (r"(blocks\.\d+)\.skip\.1", r"\1.residual.bn"),
    (r"blocks", "backbone.gcn"),
    (r"space\.norm", "gcn.bn"),
    (r"space\.skip", "gcn.down"),
    (r"space", "gcn"),
    (r"time\.branches\.enter", "tcn.branches.{0,1,2,3,4}"),
    (r"time\.branches\.dilated\.(\d)", r"tcn.branches.\1.3.conv"),
    (r"time\.branches\.direct", "tcn.branches.5"),
    (r"time\.mix\.0", "tcn.transform.0"),
    (r"time\.mix\.2", "tcn.transform.2"),
    (r"time\.mix\.3", "tcn.bn"),
    (r"time", "tcn"),
)


class MixedBranches(nn.Module):
    """Branches over frames, then a 1x1 convolution between two norms."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.branches = Branches(width, stride, KERNEL, DILATIONS)
        self.mix = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C, T / stride, V), rounded up."""
        return self.mix(self.branches(features))


class LearntGraphConvolution(nn.Module):
    """A graph convolution along learnt graphs."""

    def __init__(self, width: int, outputs: int, layout: Layout):
        super().__init__()
        self.graph = nn.Parameter(spatial_graph(layout))
        self.mix = GraphConvolution(width, outputs, carried=True)
        self.norm = nn.BatchNorm2d(outputs)
        self.skip = skip(width, outputs)
        for each in self.mix.parameters():  # as torch starts a convolution
            nn.init.uniform_(each, -(width**-0.5), width**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T, V)."""
        return torch.relu(self.norm(self.mix(features, self.graph)) + self.skip(features))


class STGCNPlusPlus(GraphNetwork):
    """One of the four streams; which one, the settings of clips say. The start norms all people alike."""

    normed_together = False
    head_deviation = HEAD_DEVIATION
    published: ClassVar[tuple[Rule, ...]] = (*NAMES, (r"gcn\.graph", "gcn.A"), (r"gcn\.mix", "gcn.conv"))

    def layers(self, layout: Layout) -> tuple[Space, Time]:
        """The graph convolution, and branches over frames that are mixed."""
        return lambda width, outputs: LearntGraphConvolution(width, outputs, layout), MixedBranches
