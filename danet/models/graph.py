"""What the graph networks share: the graph of a skeleton, blocks in space and time, how they begin and end."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from danet.config.clips import ClipSettings
from danet.config.networks import GraphNetworkSettings
from danet.models.clip_network import ClipNetwork, Rule
from danet.skeleton.layout import Layout

GRAPHS = 3  # a joint itself, from parents to children, from children to parents
SMALL = 1e-6  # where a term starts that has to grow
WIDENED = (1, 1, 1, 1, 2, 2, 2, 4, 4, 4)  # the widths of the ten blocks, in multiples of the first one's

LAYER_NAMES: tuple[Rule, ...] = (  # as the code of 2s-AGCN, and what grew from it, has them
    (r"start\.norm", "data_bn"),
    (r"end\.linear", "fc"),
    (r"(blocks\.\d+)\.skip\.0", r"\1.residual.conv"),
    (r"(blocks\.\d+)\.skip\.1", r"\1.residual.bn"),
    (r"blocks\.(\d+)", lambda found: f"l{int(found[1]) + 1}"),
    (r"space\.norm", "gcn1.bn"),
    (r"space\.skip", "gcn1.down"),
    (r"space", "gcn1"),
    (r"time", "tcn1"),
)

Space = Callable[[int, int], nn.Module]  # made from the channels that come and those that go
Time = Callable[[int, int], nn.Module]  # made from the channels and the stride


def spatial_graph(layout: Layout) -> Tensor:
    """(3, V, V): 1 at (u, u); 1 at (parent, child); at (child, parent) a share of 1 among the parent's children."""
    children, parents = layout.bones.T.tolist()
    graph = torch.zeros(GRAPHS, layout.size, layout.size)
    graph[0] = torch.eye(layout.size)
    graph[1, parents, children] = 1
    graph[2, children, parents] = 1
    graph[2] /= graph[2].sum(dim=0).clamp(min=1)
    return graph


def over_frames(width: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution over `kernel` frames, which keeps their number but for the stride."""
    padding = (kernel - 1) // 2 * dilation
    return nn.Conv2d(width, outputs, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))


def normed(width: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution over frames, then BatchNorm."""
    return nn.Sequential(over_frames(width, outputs, kernel, stride, dilation), nn.BatchNorm2d(outputs))


def skip(width: int, outputs: int, stride: int = 1) -> nn.Module:
    """The way past a layer: nothing where shapes stay."""
    return nn.Identity() if width == outputs and stride == 1 else normed(width, outputs, stride=stride)


class Parallel(nn.Conv2d):
    """So many 1x1 convolutions in one, to `outputs` channels together: of the same input, or of a part of it each."""

    bias: nn.Parameter

    def __init__(self, count: int, width: int, outputs: int, *, apart: bool = False):
        super().__init__(width, outputs, 1, groups=count if apart else 1)
        self.count = count


def start_as_skips(blocks: nn.Sequential) -> None:
    """A block begins as the way past its graph, whose norm starts SMALL; convolutions as `start_kaiming` has it."""
    start_kaiming(blocks)
    for name, parameter in blocks.named_parameters():
        if name.endswith("space.norm.weight"):
            nn.init.constant_(parameter, SMALL)


def start_kaiming(network: nn.Module) -> None:
    """Convolutions start from He's normal numbers for the channels that go out of each, their biases at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            outputs = module.out_channels // (module.count if isinstance(module, Parallel) else 1)
            nn.init.normal_(module.weight, 0, math.sqrt(2 / (outputs * math.prod(module.kernel_size))))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Start(nn.Module):
    """BatchNorm of each channel of each joint; the first of `people` has numbers of its own, and so has the next."""

    def __init__(self, channels: int, joints: int, people: int = 1):
        super().__init__()
        self.norm = nn.BatchNorm1d(people * joints * channels)

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N M, C, T, V)."""
        channels, frames, joints = clips.shape[1:4]
        rows = clips.permute(0, 4, 3, 1, 2).reshape(-1, self.norm.num_features, frames)
        return self.norm(rows).view(-1, joints, channels, frames).permute(0, 2, 3, 1).contiguous()


class End(nn.Module):
    """The mean over frames, joints and people, then a linear layer; with a `deviation` its biases start at 0."""

    def __init__(self, width: int, people: int, actions: int, deviation: float | None = None):
        super().__init__()
        self.people = people
        self.linear = nn.Linear(width, actions)
        nn.init.normal_(self.linear.weight, 0, deviation or math.sqrt(2 / actions))
        if deviation:
            nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N M, C, T, V) to logits (N, A)."""
        return self.linear(features.mean(dim=(2, 3)).unflatten(0, (-1, self.people)).mean(dim=1))


class GraphConvolution(nn.Module):
    """The sum over K graphs of a 1x1 convolution of what each graph brings to a joint.

    A bias is added to the sum, or, where it is `carried`, to what the graph is then applied to.
    """

    def __init__(self, width: int, outputs: int, graphs: int = GRAPHS, *, carried: bool = False):
        super().__init__()
        self.carried = carried
        self.weight = nn.Parameter(torch.empty(graphs, outputs, width))
        self.bias = nn.Parameter(torch.zeros(graphs, outputs))
        nn.init.normal_(self.weight, 0, math.sqrt(2 / self.weight.numel()))

    def forward(self, features: Tensor, graphs: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T, V); graphs (K, V, V), or (N, K, V, V), are from joint u to joint v."""
        samples, _, *frames = features.shape
        brought = features.flatten(1, 2)[:, None] @ graphs  # (N, K, C T, V)
        mixed = self.weight.transpose(0, 1).flatten(1) @ brought.view(samples, -1, math.prod(frames))  # (N, C', T V)
        bias = self.bias.T @ graphs.sum(dim=-2) if self.carried else self.bias.sum(dim=0)[:, None]
        return mixed.view(samples, -1, *frames) + bias[..., None, :]


class Branches(nn.Module):
    """Branches over frames, each with its share of the channels, which are put side by side.

    All but the last begin with a 1x1 convolution, BatchNorm and ReLU. Then comes a convolution, dilated in each branch
    by its own step, and in the last but one the largest of three frames. The last branch is a 1x1 convolution alone.
    """

    def __init__(self, width: int, stride: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        branches = len(dilations) + 2
        share = width // branches
        self.sizes = [width - share * (branches - 1), *[share] * (branches - 2)]
        inner = sum(self.sizes)
        self.enter = nn.Sequential(Parallel(branches - 1, width, inner), nn.BatchNorm2d(inner), nn.ReLU())
        self.dilated = nn.ModuleList(
            over_frames(size, size, kernel, stride, dilation)
            for size, dilation in zip(self.sizes, dilations, strict=False)
        )
        self.largest = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.direct = over_frames(width, share, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C, T / stride, V), rounded up."""
        *entered, last = self.enter(features).split(self.sizes, dim=1)
        dilated = [layer(each) for layer, each in zip(self.dilated, entered, strict=True)]
        return torch.cat([*dilated, self.largest(last), self.direct(features)], dim=1)


class Block(nn.Module):
    """relu(time(space(x)) + skip(x))."""

    def __init__(self, space: nn.Module, time: nn.Module, past: nn.Module | None):
        super().__init__()
        self.space, self.time, self.skip = space, time, past

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, T, V) to (N, C', T / stride, V), rounded up."""
        changed = self.time(self.space(features))
        return torch.relu(changed if self.skip is None else changed + self.skip(features))


def ten_blocks(channels: int, first: int, space: Space, time: Time) -> Iterator[Block]:
    """The blocks of WIDENED; the first has no way past it, and where a width doubles, frames are halved."""
    widths = [first * times for times in WIDENED]
    for index, (width, outputs) in enumerate(zip((channels, *widths), widths, strict=False)):
        stride = 2 if index and width != outputs else 1
        yield Block(space(width, outputs), time(outputs, stride), skip(width, outputs, stride) if index else None)


class GraphNetwork(ClipNetwork):
    """Ten blocks between start and end; `normed_together` where the start tells the people of a sample apart."""

    normed_together = True
    head_deviation: float | None = None

    def __init__(self, *, settings: GraphNetworkSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        self.start = Start(self.channels, layout.size, self.people if self.normed_together else 1)
        self.blocks = nn.Sequential(*ten_blocks(self.channels, settings.width, *self.layers(layout)))
        self.end = End(settings.width * WIDENED[-1], self.people, actions, self.head_deviation)

    def layers(self, layout: Layout) -> tuple[Space, Time]:
        """How a block's layers in space and in time are made."""
        raise NotImplementedError

    def logits_of(self, clips: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N, A)."""
        return self.end(self.blocks(self.start(clips)))
