"""Turns a checkpoint of a published network, as its authors' code writes it, into weights that label recordings."""

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from danet.config.clips import ClipSettings, Stream
from danet.config.recipes import recipe_of
from danet.config.settings import Prepare
from danet.datasets.dataset import Dataset
from danet.datasets.ntu import NTU60, NTU120
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.registry import find_dataset
from danet.errors import UserError, brief
from danet.io.files import read_file
from danet.models.base import parameters_of
from danet.models.clip_network import ClipNetwork
from danet.models.published import bare, load_published, published_layout, published_shapes
from danet.models.weights import build_model, describe, save_weights
from danet.skeleton.layout import KINECT_V1, KINECT_V2

CHECKPOINT = "a checkpoint of torch"
LARGEST = 1 << 30  # bytes of a checkpoint
INSIDE = ("state_dict", "model_state_dict", "model")  # where a checkpoint has its tensors, if not on top
PREFIX = re.compile(r"((module|model|backbone|cls_head)\.)+")  # what wrappers put before a tensor's name
COUNTERS = "num_batches_tracked"
MOST_NAMED = 3  # tensors, in one message
CHANNELS = 3
MOST_PEOPLE = 10
LAYOUTS = {layout.size: layout for layout in (KINECT_V2, KINECT_V1)}
DATASETS = {len(dataset.actions): dataset for dataset in (NTU60, NTU120, NW_UCLA)}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """Tensors by which a network's size is known; `together` where each person has norms of its own.

    `otherwise` says how clips that are made here differ from those of its authors.
    """

    graph: str
    classifier: str
    otherwise: str
    together: bool = True


NETWORKS = {
    "2s_agcn": Published(
        "l1.gcn1.PA",
        "fc.weight",
        "a recording is stretched to all frames, not repeated, and people keep their way through the room",
    ),
    "ctr_gcn": Published("l1.gcn1.PA", "fc.weight", "a clip covers all of a recording, not its middle"),
    "st_gcn_pp": Published(
        "gcn.0.gcn.A",
        "fc_cls.weight",
        "people keep their way through the room, and spines as they lean",
        together=False,
    ),
}


def import_weights(
    network: str,
    file: Path,
    out: Path,
    *,
    dataset: str = "",
    stream: Stream = "joint",
    frames: int = 0,
    people: int = 0,
) -> dict[str, Any]:
    """Writes `out`, weights of a published network, from its checkpoint `file`; returns what was found in that.

    Without a `dataset` it is the one with as many actions; `stream` is what the network was trained on. 0 `frames` are
    those of its authors; 0 `people` those of the file, or of the data set.
    Errors: UserError for a file that holds anything but this network's tensors, and for what does not fit to it.
    """
    if network not in NETWORKS:
        raise UserError(f"expected one of the networks {', '.join(NETWORKS)}, got '{network}'")
    published, tensors = NETWORKS[network], read_checkpoint(file)
    description = _described(network, file, tensors, dataset, people)
    recipe = recipe_of("own", network, description["dataset"])["clips"]
    clips = ClipSettings.model_validate(recipe | {"streams": (stream,)} | ({"frames": frames} if frames else {}))
    description["clips"] = clips.model_dump(mode="json")
    model = build_model(description)
    assert isinstance(model, ClipNetwork)
    load_published(model, _checked(network, file, tensors, model))
    save_weights(out, model.state_dict(), description | describe(model))
    log.warning("%s: labels may be worse than published, as clips are made otherwise: %s", out, published.otherwise)
    return {
        "network": network,
        "dataset": description["dataset"],
        "actions": len(description["actions"]),
        "joints": tensors[published.graph].shape[-1],
        "people": model.people,
        "frames": clips.frames,
        "stream": stream,
        "parameters": parameters_of(model),
    }


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by names without what wrappers put before them; counters of batches left out.

    Nothing is unpickled but tensors and plain values. Errors: UserError for anything else, and for no tensors.
    """
    content = io.BytesIO(read_file(file, LARGEST, what=CHECKPOINT))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(content, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a damaged file makes torch raise
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            got = f"a pickled {brief(found[1], 100)}, which is refused since it could run code"
            raise UserError(f"{file}: expected tensors and plain values alone, got {got}") from None
        raise UserError(f"{file}: expected {CHECKPOINT}, got another or a damaged file") from None
    for key in INSIDE:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not held:
        raise UserError(f"{file}: expected {CHECKPOINT} with tensors by name, got none")
    tensors: dict[str, Tensor] = {}
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"{file}: expected tensors by name, got '{brief(name, 100)}', which is none")
        if not name.endswith(COUNTERS) and tensors.setdefault(_plain(name), value) is not value:
            raise UserError(f"{file}: expected each tensor once, got '{brief(_plain(name), 100)}' twice")
    return tensors


def _plain(name: str) -> str:
    return PREFIX.sub("", name, count=1) if PREFIX.match(name) else name


def _described(network: str, file: Path, tensors: dict[str, Tensor], name: str, people: int) -> dict[str, Any]:
    """What the sizes of a few tensors say: the description, but for the clips."""
    published = NETWORKS[network]
    for needed in (published.graph, published.classifier, "data_bn.weight"):
        if needed not in tensors or not tensors[needed].ndim:
            raise UserError(f"{file}: expected the tensors of {network}, got none named '{needed}'")
    joints, actions = tensors[published.graph].shape[-1], len(tensors[published.classifier])
    if joints not in LAYOUTS:
        raise UserError(f"{file}: expected a network of {' or '.join(map(str, LAYOUTS))} joints, got {joints}")
    dataset = _dataset(file, name, actions, joints)
    given = people or (1 if dataset is NW_UCLA else 2)
    normed, numbers = len(tensors["data_bn.weight"]), joints * CHANNELS
    counted = normed // numbers if published.together else given
    if normed != numbers * (counted if published.together else 1) or not 1 <= counted <= MOST_PEOPLE:
        expected = f"'data_bn.weight' of {CHANNELS} channels for each of {joints} joints"
        raise UserError(f"{file}: expected {expected}, got {normed} numbers")
    if people not in (0, counted):
        raise UserError(f"{file}: expected a network of {people} people, got one of {counted}")
    return {
        "dataset": dataset.name,
        "simulated": dataset.simulated,
        "layout": published_layout(LAYOUTS[joints], network).described,
        "actions": list(dataset.actions),
        "prepare": Prepare().model_dump(mode="json"),
        "model": {"name": network, "people": counted},
        "unknown_below": None,
        "imported_from": file.name,
    }


def _dataset(file: Path, name: str, actions: int, joints: int) -> Dataset:
    """The data set of that name, or, without one, of so many actions. Errors: UserError where it does not fit."""
    if not name and actions not in DATASETS:
        known = ", ".join(f"{count} ({dataset.name})" for count, dataset in DATASETS.items())
        raise UserError(f"{file}: expected a network of {known} actions, got {actions}; say --dataset")
    dataset = find_dataset(name) if name else DATASETS[actions]
    if (len(dataset.actions), dataset.layout.size) != (actions, joints):
        expected = f"the {len(dataset.actions)} actions and {dataset.layout.size} joints of {dataset.name}"
        raise UserError(f"{file}: expected {expected}, got {actions} and {joints}")
    return dataset


def _checked(network: str, file: Path, tensors: dict[str, Tensor], model: ClipNetwork) -> dict[str, Tensor]:
    """The tensors by their published names. Errors: UserError unless they are the network's, of finite numbers."""
    published = {name: shape for shapes in published_shapes(model).values() for name, shape in shapes.items()}
    shapes = {_plain(name): shape for name, shape in published.items()}
    if missing := _listed(name for name in shapes if name not in tensors):
        raise UserError(f"{file}: expected the tensors of {network}, got none named {missing}")
    if unknown := _listed(name for name in tensors if name not in shapes):
        raise UserError(f"{file}: expected the tensors of {network} alone, got {unknown}")
    if misshapen := _listed(name for name, shape in shapes.items() if bare(tensors[name].shape) != shape):
        raise UserError(f"{file}: expected the shapes of {network}'s tensors, got others of {misshapen}")
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_floating_point()
        if not plain or not tensor.isfinite().all():
            raise UserError(f"{file}: '{name}': expected finite numbers, got others among them")
    return {name: tensors[_plain(name)] for name in published}


def _listed(names: Iterator[str]) -> str:
    """The first few names, and how many more there are; empty for none."""
    every = [f"'{brief(name, 60)}'" for name in names]
    more = [f"and {len(every) - MOST_NAMED} more"] if len(every) > MOST_NAMED else []
    return ", ".join([*every[:MOST_NAMED], *more])
