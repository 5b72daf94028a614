"""Weights in one file that describes itself: safetensors with the settings, layout and action names as JSON."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from danet.config.clips import ClipSettings
from danet.config.networks import read_network
from danet.errors import UserError
from danet.io.files import written_whole
from danet.models.base import SkeletonModel
from danet.models.description import FORMAT, check_format
from danet.models.registry import network_class
from danet.skeleton.layout import find_layout


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
    """Writes a state dict and what it belongs to, whole or not at all."""
    with written_whole(path) as partial:
        save_file(
            {key: value.contiguous() for key, value in state.items()}, partial, {"danet": json.dumps(description)}
        )


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `save_weights` wrote. Errors: UserError for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["danet"])
            return {key: file.get_tensor(key) for key in file.keys()}, description  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: expected weights written by danet, got {type(error).__name__}: {error}") from None


def load_model(path: Path) -> tuple[SkeletonModel, dict[str, Any]]:
    """The network in evaluation mode, and its description. Errors: UserError, also for weights of another format."""
    state, description = read_tensors(path)
    check_format(description, str(path))
    model = build_model(description)
    model.load_state_dict(state)
    model.confidence_power, model.temperature = description["confidence_power"], description["temperature"]
    return model.eval(), description
