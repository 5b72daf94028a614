"""Weights in one file that describes itself: safetensors with the settings, layout and action names as JSON."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from danet.config.clips import ClipSettings
from danet.config.networks import read_network
from danet.errors import UserError
from danet.io.files import written_whole
from danet.models.base import SkeletonModel
from danet.models.description import FORMAT, check_format
from danet.models.registry import network_class
from danet.skeleton.layout import find_layout

HASH = "tensors_hash"


def build_model(description: dict[str, Any]) -> SkeletonModel:
    """The network that its description names: the keys `model`, `clips`, `layout` and `actions`."""
    settings = read_network(description["model"])
    return network_class(settings.name)(
        settings=settings,
        layout=find_layout(description["layout"]),
        clips=ClipSettings.model_validate(description["clips"]),
        actions=len(description["actions"]),
    )


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
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `save_weights` wrote.

    Errors: UserError for any other file, and for tensors that are not those that were written. Older files hold no
    hash, and are taken as they are.
    """
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["danet"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            expected = description.pop(HASH, None)
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError, TypeError) as error:
        got = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: expected weights written by danet, got {got:.200}") from None
    if expected is not None and (got := tensors_hash(tensors)) != expected:
        raise UserError(f"{path}: expected tensors of hash {expected!r:.20}, got {got!r:.20}; the file is damaged")
    return tensors, description


def load_model(path: Path) -> tuple[SkeletonModel, dict[str, Any]]:
    """The network in evaluation mode, and its description. Errors: UserError, also for weights of another format."""
    state, description = read_tensors(path)
    check_format(description, str(path))
    model = build_model(description)
    model.load_state_dict(state)
    model.confidence_power, model.temperature = description["confidence_power"], description["temperature"]
    return model.eval(), description
