"""Weights in one file that describes itself: safetensors with the settings, layout and action names as JSON."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from danet.config.clips import ClipSettings
from danet.config.networks import NetworkSettings, read_network
from danet.errors import UserError, brief
from danet.io.files import written_whole
from danet.models.base import SkeletonModel
from danet.models.description import FORMAT, Description, read_description
from danet.models.registry import network_class
from danet.skeleton.layout import Layout, find_layout

HASH = "tensors_hash"
MOST_COMPUTED = 1 << 24  # numbers that a network may compute when it is made, beside those that the file holds
TYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16"} | {
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

Held = dict[str, tuple[str, tuple[int, ...]]]  # what a file says of its tensors: their types and shapes


def build_model(description: dict[str, Any]) -> SkeletonModel:
    """The network that its description names: the keys `model`, `clips`, `layout` and `actions`."""
    clips, layout = ClipSettings.model_validate(description["clips"]), find_layout(description["layout"])
    return _make(read_network(description["model"]), layout, clips, description["actions"])


def _make(settings: NetworkSettings, layout: Layout, clips: ClipSettings, actions: Sequence[str]) -> SkeletonModel:
    return network_class(settings.name)(settings=settings, layout=layout, clips=clips, actions=len(actions))


def describe(model: SkeletonModel) -> dict[str, Any]:
    """What labels are made with, beside the weights: the format, whether views are compared, how crops are averaged."""
    return {
        "format": FORMAT,
        "uses_pairs": model.uses_pairs,
        "confidence_power": model.confidence_power,
        "temperature": model.temperature,
    }


def save_weights(path: Path, state: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Writes a state dict and what it belongs to, whole or not at all; `tensors_hash` is added to the description."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    described = json.dumps(description | {HASH: tensors_hash(tensors)})
    with written_whole(path) as partial:
        partial.write_bytes(save(tensors, {"danet": described}))


def tensors_hash(tensors: dict[str, Tensor]) -> str:
    """A SHA-256 digest of names, types, shapes and values of tensors on the CPU."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].contiguous()
        digest.update(f"{key}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `save_weights` wrote.

    Errors: UserError for any other file, and for tensors that are not those that were written. Older files hold no
    hash, and are taken as they are.
    """
    with _opened(path) as (file, description):
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    expected = description.pop(HASH, None)
    if expected is not None and (got := tensors_hash(tensors)) != expected:
        said = f"hash {brief(expected, 16)}, got {brief(got, 16)}; the file is damaged"
        raise UserError(f"{path}: expected tensors of {said}")
    return tensors, description


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """An open file of weights, and its description. Errors: UserError, also when it cannot be read further."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["danet"])
            if not isinstance(description, dict):
                raise TypeError(f"expected an object, got a {type(description).__name__}")
            yield file, description
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: expected weights written by danet, got {brief(error)}") from None


def load_model(path: Path) -> tuple[SkeletonModel, dict[str, Any]]:
    """The network in evaluation mode, and its description.

    What the description asks for is compared with what the file holds before any of it is made, so that no memory is
    taken on the file's word. Errors: UserError for weights that are damaged, of another format or of another network.
    """
    with _opened(path) as (file, written):
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        held = {key: (each.get_dtype(), tuple(each.get_shape())) for key, each in slices.items()}
    described = read_description(written, str(path))
    _check_tensors(_outline(described, held, path), held, path)
    state, description = read_tensors(path)
    for key, value in state.items():
        if not value.isfinite().all():
            raise UserError(f"{path}: '{brief(key, 100)}': expected finite numbers, got others among them")
    model = _make(described.model, described.layout, described.clips, described.actions)
    model.load_state_dict(state)
    model.confidence_power, model.temperature = described.confidence_power, described.temperature
    return model.eval(), description


def _outline(described: Description, held: Held, path: Path) -> SkeletonModel:
    """The network without any numbers. Errors: UserError as soon as it asks for more of them than the file holds."""
    most = sum(math.prod(shape) for _, shape in held.values())
    asked = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal asked
        asked += 0 if parameter is None else parameter.numel()
        if asked > most:
            raise UserError(f"{path}: expected the weights of the network described, got {most} numbers, too few")

    counting = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            model = _make(described.model, described.layout, described.clips, described.actions)
    except (RuntimeError, OverflowError, TypeError, MemoryError) as error:
        raise UserError(f"{path}: expected the description of a network, got {brief(error)}") from None
    finally:
        counting.remove()
    if (computed := sum(each.numel() for each in model.buffers())) > most + MOST_COMPUTED:
        raise UserError(f"{path}: expected a network of {most} numbers, got one that computes {computed} more")
    return model


def _check_tensors(model: SkeletonModel, held: Held, path: Path) -> None:
    """Errors: UserError unless the file holds just the tensors of this network."""
    asked = {key: (TYPES.get(each.dtype), tuple(each.shape)) for key, each in model.state_dict().items()}
    for key in sorted(asked.keys() | held.keys()):
        if asked.get(key) != held.get(key):
            expected, got = (
                f"{each[key][0]} {list(each[key][1])}" if key in each else "no such tensor" for each in (asked, held)
            )
            raise UserError(f"{path}: '{brief(key, 100)}': expected {expected}, got {brief(got, 100)}")
