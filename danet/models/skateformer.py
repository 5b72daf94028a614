"""SkateFormer (Do and Kim, SkateFormer: Skeletal-Temporal Transformer for Human Action Recognition, ECCV 2024).

Axes: N samples, T frames, L tokens (the joints of all people, person by person), D channels of a token, H heads;
P frames and Q tokens of a partition, within which tokens attend to one another.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import SkateFormerSettings
from danet.models.base import ClipTensors
from danet.models.clip_network import ClipNetwork
from danet.skeleton.layout import Layout

HEADS = 4  # of each of the four kinds of attention
GROUPS = 8  # of channels, each mixed over tokens by a matrix of its own
KERNEL = 7  # frames of a convolution


class Lines(NamedTuple):
    """The joints of one person, line by line, and how many joints a line has."""

    joints: list[int]
    length: int


def lines_of(layout: Layout) -> Lines:
    """A line for each limb, right before left, then lines of the other joints, pairs first, from the middle outwards.

    Limbs are the parts that have a twin. A line is as long as the shortest of them; of a longer one it has the joints
    furthest from the middle, which is the joint with most bones. If one joint is too many, that joint is left out, as
    the authors do with a Kinect's: its neighbours tell its place. If joints are missing, it is said again.
    """
    opposite, owner = layout.mirrored, layout.part_of
    parts = [list(members) for members in layout.parts.values() if members]
    limbs = [opposite[part].tolist() for part in parts if (owner[opposite[part]] != owner[part]).all()]
    length = min(map(len, limbs or parts))
    middle = int((layout.hops == 1).sum(axis=0).argmax())
    away = layout.hops[middle].__getitem__
    outer = [joint for limb in limbs for joint in limb if joint in sorted(limb, key=away)[-length:]]
    rest = sorted(set(range(layout.size)) - set(outer), key=lambda joint: (opposite[joint] == joint, away(joint)))
    missing = -len(rest) % length
    if middle in rest and missing == length - 1 > 1:
        rest.remove(middle)
    else:
        rest += [middle] * missing
    return Lines(outer + rest, length)


def small(*shape: int) -> nn.Parameter:
    """Numbers that start near 0."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))


class PartitionAttention(nn.Module):
    """Attention within partitions of P frames and Q tokens.

    Near frames or tokens of a partition are neighbours; far ones are as far apart as they can be. A bias is learnt for
    the frames between two tokens; for far tokens one for each two of them. `bias_over_frames` says whether the former
    goes by frames, as the paper has it, or, as it was released, by the tokens' places in the partition, modulo P.
    """

    def __init__(self, frames: int, tokens: int, *, far_frames: bool, far_tokens: bool, bias_over_frames: bool):
        super().__init__()
        self.size = frames, tokens
        self.far_frames, self.far_tokens = far_frames, far_tokens
        self.bias = small(2 * frames - 1, *[tokens] * (2 * far_tokens), HEADS)
        self.bias_over_frames = bias_over_frames

    def biases(self) -> Tensor:
        """(H, P Q, P Q)."""
        frames, tokens = self.size
        place = torch.arange(frames * tokens, device=self.bias.device)
        frame, token = place // tokens, place % tokens
        if not (self.far_tokens or self.bias_over_frames):
            frame = place % frames
        between = frame[:, None] - frame + frames - 1
        terms = self.bias[between, token[:, None], token] if self.far_tokens else self.bias[between]
        return terms.permute(2, 0, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Queries, keys and values (N, T, L, 3 H E) to (N, T, L, H E)."""
        (frames, count), far_frames, far_tokens = self.size, self.far_frames, self.far_tokens
        grid = tokens.unflatten(3, (3, HEADS, -1))
        grid = grid.unflatten(2, (count, -1) if far_tokens else (-1, count))
        grid = grid.unflatten(1, (frames, -1) if far_frames else (-1, frames))  # (N, ., ., ., ., 3, H, E)
        frame, token = 2 - far_frames, 4 - far_tokens  # the axes of a partition; beside each, that of the others
        order = (0, 3 - frame, 7 - token, 5, frame, token, 6)
        query, key, value = (each.permute(order).flatten(4, 5) for each in grid.unbind(5))  # (N, ., ., H, P Q, E)
        attention = (query * HEADS**-0.5 @ key.mT + self.biases()).softmax(dim=-1)
        mixed = (attention @ value).unflatten(4, self.size)
        return mixed.permute(sorted(range(7), key=order.__getitem__)).flatten(5, 6).flatten(3, 4).flatten(1, 2)


class Mixer(nn.Module):
    """Tokens mixed in three ways side by side: by learnt matrices, by a convolution in time, and by attention."""

    def __init__(self, width: int, frames: int, lines: Lines, people: int, *, bias_over_frames: bool):
        super().__init__()
        tokens = people * len(lines.joints)
        count = len(lines.joints) // lines.length
        near, far = lines.length * (2 - count % 2), people * count  # a near partition holds two lines if it can
        self.expand = nn.Linear(width, 2 * width)
        self.graph = small(GROUPS, tokens, tokens)
        self.convolution = nn.Conv2d(width // 4, width // 4, (KERNEL, 1), padding=(KERNEL // 2, 0), groups=GROUPS)
        self.attention = nn.ModuleList(
            PartitionAttention(
                frames,
                far if far_tokens else near,
                far_frames=far_frames,
                far_tokens=far_tokens,
                bias_over_frames=bias_over_frames,
            )
            for far_frames in (False, True)
            for far_tokens in (False, True)
        )
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, L, D) to the same."""
        width = tokens.shape[-1]
        by_graph, in_time, attending = self.expand(tokens).split((width // 4, width // 4, 3 * width // 2), dim=-1)
        by_graph = torch.einsum("ntugd,gvu->ntvgd", by_graph.unflatten(3, (GROUPS, -1)), self.graph).flatten(3)
        in_time = self.convolution(in_time.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        attended = (attend(part) for attend, part in zip(self.attention, attending.chunk(4, dim=-1), strict=True))
        return self.project(torch.cat([by_graph, in_time, *attended], dim=-1))


class Halve(nn.Sequential):
    """Half of the frames, rounded up, (N, T, L, D) to (N, T / 2, L, D'): a convolution and BatchNorm."""

    def __init__(self, width: int, outputs: int):
        convolution = nn.Conv2d(width, outputs, (KERNEL, 1), (2, 1), (KERNEL // 2, 0))
        super().__init__(convolution, nn.BatchNorm2d(outputs))

    def forward(self, tokens: Tensor) -> Tensor:
        """As the class says."""
        return super().forward(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Block(nn.Module):
    """A mixer, then a feed-forward layer: residual branches after a LayerNorm, each left out at times in training."""

    def __init__(self, width: int, mixer: Mixer, *, halve: nn.Module, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.halve = halve
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mixer = mixer
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, L, D), or, before it is halved, (N, 2 T, L, D'), to (N, T, L, D)."""
        tokens = self.halve(tokens)
        for norm, branch in zip(self.norms, (self.mixer, self.feed_forward), strict=True):
            kept = F.dropout(tokens.new_ones(len(tokens), 1, 1, 1), self.drop_path, self.training)
            tokens = tokens + kept * branch(norm(tokens))
        return tokens


def waves(frames: int, width: int) -> Tensor:
    """(T, D): sines and cosines, in turn, of a frame's place in the clip, from -1 to 1."""
    steps = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    angles = torch.linspace(-1, 1, frames)[:, None] * steps
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class SkateFormer(ClipNetwork):
    """Attention of four kinds, near and far in time and over the body, in four stages of two blocks."""

    order: Tensor
    waves: Tensor
    published = (
        (r"^place$", "joint_person_embedding"),
        (r"^blocks\.(\d)\.", lambda found: f"stages.{int(found[1]) // 2}.blocks.{int(found[1]) % 2}.transformer."),
        (r"transformer\.halve\.0", "downsample.reduction"),
        (r"transformer\.halve\.1", "downsample.bn"),
        (r"norms\.(\d)", lambda found: f"norm_{int(found[1]) + 1}"),
        (r"mixer\.", ""),
        ("expand", "mapping"),
        ("graph", "gconv"),
        ("convolution", "tconv"),
        (r"(attention\.\d\.)bias", r"\1relative_position_bias_table"),
        ("project", "proj"),
        (r"feed_forward\.0", "mlp.fc1"),
        (r"feed_forward\.2", "mlp.fc2"),
    )

    def __init__(self, *, settings: SkateFormerSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__(settings=settings, layout=layout, clips=clips, actions=actions)
        lines, width = lines_of(layout), settings.width
        narrow = 2 * self.channels, 3 * self.channels
        self.register_buffer("order", torch.tensor(lines.joints), persistent=False)
        self.register_buffer("waves", waves(clips.frames, width), persistent=False)
        self.place = small(width, self.people * len(lines.joints))
        self.stem = nn.Sequential(
            nn.Linear(self.channels, narrow[0]),
            nn.GELU(),
            nn.Linear(narrow[0], narrow[1]),
            nn.GELU(),
            nn.Linear(narrow[1], width),
        )
        depth = 2 * len(partitions := settings.partition_frames(clips.frames))  # two blocks a stage
        widths = [width] * 3 + [2 * width] * (depth - 2)
        self.blocks = nn.ModuleList(
            Block(
                after,
                Mixer(after, partitions[index // 2], lines, self.people, bias_over_frames=settings.bias_over_frames),
                halve=Halve(before, after) if index % 2 == 0 < index else nn.Identity(),
                drop_path=settings.drop_path * index / (depth - 1),
            )
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(widths[depth], actions)

    def arrange(self, clips: ClipTensors) -> Tensor:
        """(N, C, T, V', M), the V' joints in the order of their lines."""
        return super().arrange(clips).index_select(3, self.order)

    def logits_of(self, clips: Tensor) -> Tensor:
        """(N, C, T, V', M) to (N, A)."""
        tokens = clips.permute(0, 2, 4, 3, 1).flatten(2, 3)  # (N, T, L, C)
        tokens = self.stem(tokens) + self.waves[:, None] * self.place.mT
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(dim=(1, 2)))
