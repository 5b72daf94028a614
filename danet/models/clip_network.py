"""Base of the networks that take whole clips, all actors of a sample side by side, as the published ones do."""

import re
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from danet.clips.streams import channel_count, channel_places
from danet.config.clips import ClipSettings
from danet.config.networks import ClipNetworkSettings
from danet.models.base import ClipTensors, Output, SkeletonModel
from danet.skeleton.layout import Layout

MOST_ACTORS = 2  # of a sequence
PublishedName = str | tuple[str, ...]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]  # a pattern, and what stands in its place


class ClipNetwork(SkeletonModel):
    """A network of clips (N, C, T, V, M), with M `people` of each sample: it has to say `logits_of`.

    Channels are those of the streams that the settings of clips name, in their order. "joint" is the joint's place.
    """

    published: ClassVar[tuple[Rule, ...]] = ()

    def __init__(self, *, settings: ClipNetworkSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__()
        self.people = settings.people or MOST_ACTORS
        self.channels = channel_count(clips.streams, layout)
        self._place = channel_places(clips.streams, layout).get("joint")

    def logits_of(self, clips: Tensor) -> Tensor:
        """(N, C, T, V, M) to (N, A)."""
        raise NotImplementedError

    def arrange(self, clips: ClipTensors) -> Tensor:
        """(N, C, T, V, M): an actor's place among M is the number of its sample's actors before it."""
        channels = clips.channels
        if self._place is not None:
            place = slice(self._place.start, self._place.stop)
            joints = clips.joints
            if self.training:  # a joint whose channels are masked is nowhere
                joints = joints * (channels[..., place] != 0).any(dim=3).any(dim=1)[:, None, :, None]
            channels = torch.cat([channels[..., : place.start], joints, channels[..., place.stop :]], dim=3)
        return clips.side_by_side(channels, self.people).permute(0, 4, 2, 3, 1)

    def encode(self, clips: ClipTensors, noise: Tensor | None = None) -> Tensor:
        """The logits (B, A): nothing is left to do once views are encoded."""
        return self.logits_of(self.arrange(clips))

    def classify(self, own: Tensor, other: Tensor) -> Output:  # type: ignore[override]
        """Each sample by itself."""
        return Output(own)

    def published_names(self) -> dict[str, PublishedName]:
        """The names that its authors' code gives to the tensors of `state_dict`, counters of batches left out.

        A tensor holds the same numbers, perhaps in another shape. Several names are of tensors that one of ours holds
        one after the other, along its first axis. The rules of `published` are applied in turn; `{a,b}` makes several.
        """
        names = (name for name in self.state_dict() if not name.endswith("num_batches_tracked"))
        return {name: _expanded(_renamed(name, self.published)) for name in names}


def _renamed(name: str, rules: tuple[Rule, ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _expanded(name: str) -> PublishedName:
    """`x.{a,b}.y` to (`x.a.y`, `x.b.y`), several such pairs of braces to all combinations, the first one slowest."""
    found = re.search(r"\{(.*?)\}", name)
    if not found:
        return name
    several = (_expanded(name[: found.start()] + each + name[found.end() :]) for each in found[1].split(","))
    return tuple(one for each in several for one in ((each,) if isinstance(each, str) else each))
