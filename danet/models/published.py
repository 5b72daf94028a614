"""Published weights as ours: which tensors of a published network hold the numbers of which of ours, and its bones."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from danet.models.clip_network import ClipNetwork
from danet.models.graph import Branches, GraphConvolution
from danet.skeleton.layout import KINECT_V1, KINECT_V2, Layout

PARENTS = {  # of all joints; of Kinect v2 without the last four, tips and thumbs, on which the authors differ
    KINECT_V2.name: (1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 20),
    KINECT_V1.name: (1, 2, 2, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
}
TIPS = (22, 7, 24, 11)  # a tip hangs on its thumb
TIPS_OF = dict.fromkeys(("st_gcn_pp", "dg_st_gcn"), (7, 7, 11, 11))

Shapes = dict[str, tuple[int, ...]]


def published_layout(layout: Layout, network: str) -> Layout:
    """A Kinect's layout with the bones, and the root, of a network's authors."""
    parents = (*PARENTS[layout.name], *TIPS_OF.get(network, TIPS))[: layout.size]
    return replace(layout, name=f"{layout.name}_{network}", parents=parents)


def published_shapes(network: ClipNetwork) -> dict[str, Shapes]:
    """For each of our tensors the published ones, by name, whose numbers it holds one after the other.

    Their shapes lack the axes of one number at their end, as `bare` has it.
    """
    modules, state = dict(network.named_modules()), network.state_dict()
    parts = {f"{name}.enter.": each.sizes for name, each in modules.items() if isinstance(each, Branches)}
    found = {}
    for key, named in network.published_names().items():
        names = (named,) if isinstance(named, str) else named
        of_graphs = isinstance(modules[key.rpartition(".")[0]], GraphConvolution)
        first, *others = bare((state[key].flatten(0, 1) if of_graphs else state[key]).shape)
        equal = [first // len(names)] * len(names)
        sizes = next((sizes for start, sizes in parts.items() if key.startswith(start)), equal)
        found[key] = {name: (size, *others) for name, size in zip(names, sizes, strict=True)}
    return found


def bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the axes of one number at its end; the first axis stays."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return tuple(shape)


@torch.no_grad()
def load_published(network: ClipNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Puts published tensors, by the names and with the numbers of `published_shapes`, into the network."""
    own = network.state_dict()
    for key, shapes in published_shapes(network).items():
        own[key].copy_(torch.cat([tensors[name].flatten() for name in shapes]).view_as(own[key]))
