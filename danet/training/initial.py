"""What a network takes over from a trained one: every tensor that fits, and of those of joints the joints that it has.

What depends on the actions starts anew, unless they are the same. Which axes of a tensor count actions, joints or
tokens is found by building the network for one action, or one joint, more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from danet.errors import UserError
from danet.models.weights import build_model, load_model
from danet.skeleton.layout import Layout, find_layout
from danet.skeleton.names import matching

ONE_MORE = "one more"  # an action, or a joint, that no data set has

Shapes = dict[str, torch.Size]
Pairs = list[tuple[int, int]]  # places in the trained network, and in the new one


@dataclass(frozen=True)
class Start:
    """Tensors to start from, by name; `total` is how many the new network has, `anew` the joints that start anew.

    `same_data` says that they have learnt from the very recordings that the new network learns from, or is tried on.
    """

    tensors: dict[str, Tensor]
    total: int
    anew: tuple[str, ...]
    same_data: bool

    def __str__(self) -> str:
        joints = f"; joints that start anew: {', '.join(self.anew)}" if self.anew else ""
        seen = "; they have seen these recordings: the accuracy on those held out is too high" if self.same_data else ""
        return f"{len(self.tensors)} of {self.total} tensors taken over{joints}{seen}"


def start_from(weights: Path, description: dict[str, Any]) -> Start:
    """What the network of a description takes over from the file of a trained one.

    Errors: UserError for what are no weights, and where nothing of them fits.
    """
    trained, source = load_model(weights)
    held = trained.state_dict()
    fresh = build_model(description).state_dict()
    old, new = find_layout(source["layout"], str(weights)), find_layout(description["layout"])
    of_actions = _shapes(description | {"actions": [*description["actions"], ONE_MORE]})
    same_actions = list(source["actions"]) == list(description["actions"])
    same_joints = (old.joints, old.parts) == (new.joints, new.parts)
    of_joints = _shapes(source | {"layout": _with_one_more(old).described})
    taken = {}
    for name, value in fresh.items():
        if name not in held or (of_actions[name] != value.shape and not same_actions):
            continue
        if same_joints or of_joints.get(name) == held[name].shape:
            if held[name].shape == value.shape:
                taken[name] = held[name]
        elif (joined := _by_name(held[name], value, of_joints[name], old, new)) is not None:
            taken[name] = joined
    if not taken:
        raise UserError(f"{weights}: expected a network of which a tensor fits, got {source['model']['name']}")
    known = {to for _, to in matched_joints(old, new)}
    anew = tuple(name for joint, name in enumerate(new.joints) if joint not in known)
    return Start(taken, len(fresh), anew, source.get("data_hash") == description["data_hash"])


def matched_joints(old: Layout, new: Layout) -> Pairs:
    """Joints that are the same by their names."""
    return [(int(joint), to) for to, joint in enumerate(matching(old, new)) if joint >= 0]


def matched_parts(old: Layout, new: Layout) -> Pairs:
    """Part tokens, which follow the joints, that are the same by their names."""
    places = {name: old.size + index for index, name in enumerate(old.parts)}
    return [(places[name], new.size + index) for index, name in enumerate(new.parts) if name in places]


def _by_name(held: Tensor, fresh: Tensor, one_more: torch.Size, old: Layout, new: Layout) -> Tensor | None:
    """The fresh tensor with what is held of the joints, or tokens, of the same names; None where it does not fit.

    `one_more` is the shape of `held` with one joint more: an axis of joints, or of tokens, is longer by one.
    """
    joints, parts = matched_joints(old, new), matched_parts(old, new)
    counted = {old.size: (new.size, joints)}
    counted[old.size + len(old.parts)] = (new.size + len(new.parts), joints + parts)
    if held.dim() != fresh.dim():
        return None
    pairs: list[Pairs] = []
    for size, longer, wanted in zip(held.shape, one_more, fresh.shape, strict=True):
        if longer == size + 1 and size in counted and wanted == counted[size][0]:
            pairs.append(counted[size][1])
        elif longer == size == wanted:
            pairs.append([(index, index) for index in range(size)])
        else:
            return None
    if not all(pairs):
        return None
    source, target = (
        torch.meshgrid(*(torch.tensor([pair[side] for pair in each]) for each in pairs), indexing="ij")
        for side in (0, 1)
    )
    joined = fresh.clone()
    joined[target] = held[source].to(fresh.dtype)
    return joined


def _shapes(description: dict[str, Any]) -> Shapes:
    """The shape of each tensor of a network, which is not filled with numbers."""
    with torch.device("meta"):
        return {name: value.shape for name, value in build_model(description).state_dict().items()}


def _with_one_more(layout: Layout) -> Layout:
    """The layout with a joint more, in its first part."""
    root = next(joint for joint, parent in enumerate(layout.parents) if joint == parent)
    first = next(iter(layout.parts))
    parts = layout.parts | {first: (*layout.parts[first], layout.size)}
    return Layout(
        name=ONE_MORE,
        joints=(*layout.joints, ONE_MORE),
        parents=(*layout.parents, root),
        parts=parts,
        mirror=layout.mirror,
        origin=layout.origin,
        across=layout.across,
    )
