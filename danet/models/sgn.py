"""SGN (Zhang et al., Semantics-Guided Neural Networks for Efficient Skeleton-Based Action Recognition, CVPR 2020).

Axes: N samples, T frames, V joints, C channels, M people, A actions; D channels of a layer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import SGNSettings
from danet.models.base import ClipTensors, SkeletonModel
from danet.models.clip_network import ClipNetwork
from danet.skeleton.layout import Layout

WIDTH = 64  # channels of a joint's place, and of its name


class Norm(nn.BatchNorm1d):
    """BatchNorm of the last axis."""

    def forward(self, values: Tensor) -> Tensor:
        """(..., D) to the same."""
        return super().forward(values.flatten(0, -2)).view_as(values)


class Embedding(nn.Module):
    """What each joint is at, each of its channels normed."""

    def __init__(self, channels: int, joints: int):
        super().__init__()
        self.norm = Norm(channels * joints)
        self.layers = nn.Sequential(nn.Linear(channels, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())

    def forward(self, values: Tensor) -> Tensor:
        """(N, T, V, C) to (N, T, V, D)."""
        channels = values.mT
        return self.layers(self.norm(channels.flatten(2)).view_as(channels).mT)


class Names(nn.Module):
    """A vector for each of `count` joints or frames: two layers of one-hot numbers."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(count, WIDTH), nn.Linear(WIDTH, width)

    def forward(self) -> Tensor:
        """(count, D)."""
        return self.second((self.first.weight.mT + self.first.bias).relu()).relu()


class Graph(nn.Module):
    """How much each joint of a frame is to each other one."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.query, self.key = nn.Linear(width, inner), nn.Linear(width, inner)

    def forward(self, joints: Tensor) -> Tensor:
        """(N, T, V, D) to (N, T, V, V), rows that add to 1."""
        return (self.query(joints) @ self.key(joints).mT).softmax(dim=-1)


class GraphConvolution(nn.Module):
    """A joint by itself, and the joints that the graph gives it."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.others = nn.Linear(width, outputs, bias=False)
        self.itself = nn.Linear(width, outputs)
        self.norm = Norm(outputs)

    def forward(self, joints: Tensor, graph: Tensor) -> Tensor:
        """(N, T, V, D) and (N, T, V, V) to (N, T, V, D')."""
        return self.norm(self.others(graph @ joints) + self.itself(joints)).relu()


class SGN(ClipNetwork):
    """Places and speeds of joints, their names and the frames' numbers, through graphs that each frame makes anew.

    The authors write the frames of two people in turns into one sequence (first, second, first, ...), without the
    frames in which someone is absent, and draw 20 of it. So a clip here keeps its T frames: frame t shows actor t
    modulo the number of actors that are there. Someone alone has all frames, and no frame is of nobody. A speed is the
    change since the frame before, whoever that shows.
    """

    published = (
        (r"^place\.", "joint_embed."),
        (r"^speed\.", "dif_embed."),
        (r"^joint\.", "spa_embed."),
        (r"^frame\.", "tem_embed."),
        (r"_embed\.first", "_embed.cnn.0.cnn"),
        (r"_embed\.second", "_embed.cnn.2.cnn"),
        (r"_embed\.norm", "_embed.cnn.0.bn"),
        (r"_embed\.layers\.(\d)", lambda found: f"_embed.cnn.{int(found[1]) + 1}.cnn"),
        (r"^graph\.query", "compute_g1.g1.cnn"),
        (r"^graph\.key", "compute_g1.g2.cnn"),
        (r"^convolutions\.(\d)", lambda found: f"gcn{int(found[1]) + 1}"),
        (r"others", "w.cnn"),
        (r"itself", "w1.cnn"),
        (r"^(gcn\d)\.norm", r"\1.bn"),
        (r"^time\.0", "cnn.cnn1"),
        (r"^time\.1", "cnn.bn1"),
        (r"^time\.4", "cnn.cnn2"),
        (r"^time\.5", "cnn.bn2"),
        (r"^label", "fc"),
    )

    def __init__(self, *, settings: SGNSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        widths = 2 * WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH
        self.place, self.speed = (Embedding(self.channels, layout.size) for _ in range(2))
        self.joint = Names(layout.size, WIDTH)
        self.frame = Names(clips.frames, widths[-1])
        self.graph = Graph(widths[0], widths[-1])
        self.convolutions = nn.ModuleList(map(GraphConvolution, widths, widths[1:]))
        self.time = nn.Sequential(
            nn.Conv1d(widths[-1], widths[-1], 3, padding=1),
            nn.BatchNorm1d(widths[-1]),
            nn.ReLU(),
            nn.Dropout1d(settings.dropout),
            nn.Conv1d(widths[-1], 2 * widths[-1], 1),
            nn.BatchNorm1d(2 * widths[-1]),
            nn.ReLU(),
        )
        self.label = nn.Linear(2 * widths[-1], actions)
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)) and module is not self.label:
                places = len(module.weight) * math.prod(module.weight.shape[2:])
                nn.init.normal_(module.weight, 0, 0 if name.endswith("others") else math.sqrt(2 / places))

    def logits_of(self, clips: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N, A)."""
        places = in_turns(clips)
        speeds = F.pad(places[:, 1:] - places[:, :-1], (0, 0, 0, 0, 1, 0))
        values = self.place(places) + self.speed(speeds)
        joints = torch.cat([values, self.joint().expand_as(values)], dim=3)
        graph = self.graph(joints)
        for convolution in self.convolutions:
            joints = convolution(joints, graph)
        frames = (joints + self.frame()[:, None]).amax(dim=2)  # (N, T, D)
        return self.label(self.time(frames.mT).amax(dim=2))

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
        """The cross-entropy, smoothed over the other actions alone."""
        actions = self.label.out_features
        return super().loss(
            clips,
            labels,
            partners=partners,
            teacher=teacher,
            noise=noise,
            label_smoothing=min(1.0, label_smoothing * actions / max(1, actions - 1)),
        )


def in_turns(clips: Tensor) -> Tensor:
    """(N, C, T, V, M) to (N, T, V, C): frame t of the actor whose turn it is, of those that are not all zero."""
    actors = (clips != 0).flatten(1, 3).any(dim=1).sum(dim=1).clamp(min=1)  # (N,)
    frames, people = (torch.arange(clips.shape[axis], device=clips.device) for axis in (2, 4))
    seen = frames[:, None] % actors[:, None, None] == people  # (N, T, M)
    return (clips.permute(0, 2, 4, 3, 1) * seen[..., None, None]).sum(dim=2)
