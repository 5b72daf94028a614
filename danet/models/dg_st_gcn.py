"""DG-STGCN: groups of channels with graphs of their own, learnt without a skeleton and refined by each clip.

Duan et al., DG-STGCN: Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition, 2022. Axes: those of
`danet.models.base`, and K groups.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from danet.models.clip_network import Rule
from danet.models.graph import GraphNetwork, Space, Time, skip
from danet.models.st_gcn_pp import HEAD_DEVIATION, NAMES, MixedBranches
from danet.skeleton.layout import Layout

GROUPS = 8
GRAPH_START = (0.04, 0.02)  # mean and deviation


class GroupedGraphConvolution(nn.Module):
    """Brings each channel to the joints along the graph of its group, as a clip refines it.

    Of `differing` and `alike`, one number a group, the first is used for all groups, as the published network does.
    """

    def __init__(self, width: int, outputs: int, joints: int):
        super().__init__()
        self.graph = nn.Parameter(torch.empty(GROUPS, joints, joints))
        nn.init.normal_(self.graph, *GRAPH_START)
        self.differing = nn.Parameter(torch.zeros(GROUPS))
        self.alike = nn.Parameter(torch.zeros(GROUPS))
        self.enter = nn.Sequential(nn.Conv2d(width, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU())
        self.compared = nn.Conv2d(width, 2 * outputs, 1)
        self.mix = nn.Conv2d(outputs, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.skip = skip(width, outputs)

    def graphs(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', V, V): what joint u gives to joint v."""
        by_group = self.compared(features.mean(dim=2, keepdim=True)).unflatten(1, (2, GROUPS, -1))
        one, two = by_group.unbind(dim=1)  # (N, K, C' / K, 1, V)
        differing = torch.tanh(one.mT - two)
        alike = (one.squeeze(3).mT @ two.squeeze(3)).softmax(dim=2)[:, :, None]
        return (self.graph[:, None] + self.differing[0] * differing + self.alike[0] * alike).flatten(1, 2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T, V)."""
        mixed = self.mix(self.enter(features) @ self.graphs(features))
        return torch.relu(self.norm(mixed) + self.skip(features))


class BodyBranches(MixedBranches):
    """Branches over frames of the joints and of their mean, of which each joint takes its part."""

    def __init__(self, width: int, stride: int, joints: int):
        super().__init__(width, stride)
        self.body = nn.Parameter(torch.zeros(joints))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C, T / stride, V), rounded up."""
        with_body = self.branches(torch.cat([features, features.mean(dim=3, keepdim=True)], dim=3))
        return self.mix(with_body[..., :-1] + with_body[..., -1:] * self.body)


class DGSTGCN(GraphNetwork):
    """One of the four streams; which one, the settings of clips say. The start norms all people alike."""

    normed_together = False
    head_deviation = HEAD_DEVIATION
    published: ClassVar[tuple[Rule, ...]] = (
        *NAMES,
        (r"tcn\.body", "tcn.add_coeff"),
        (r"gcn\.graph", "gcn.A"),
        (r"gcn\.differing", "gcn.alpha"),
        (r"gcn\.alike", "gcn.beta"),
        (r"gcn\.enter", "gcn.pre"),
        (r"gcn\.compared", "gcn.conv{1,2}"),
        (r"gcn\.mix", "gcn.post"),
    )

    def layers(self, layout: Layout) -> tuple[Space, Time]:
        """The grouped graph convolution, and branches over frames of joints and body."""
        return (
            lambda width, outputs: GroupedGraphConvolution(width, outputs, layout.size),
            lambda width, stride: BodyBranches(width, stride, layout.size),
        )
