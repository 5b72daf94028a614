"""Weights in one file that describes itself: safetensors with the settings, layout and action names as JSON."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from danet.config.networks import Model
from danet.config.settings import Clips
from danet.errors import UserError
from danet.io.files import written_whole
from danet.models.danet.network import DANet
from danet.skeleton.layout import find_layout


def build_model(about: dict) -> DANet:
    """The network that `about` describes: its keys `model`, `clips`, `layout` and `actions`."""
    clips = Clips.model_validate(about["clips"])
    return DANet(
        settings=Model.model_validate(about["model"]),
        layout=find_layout(about["layout"]),
        frames=clips.frames,
        streams=clips.streams,
        actions=len(about["actions"]),
    )


def save_weights(path: Path, state: dict[str, Tensor], about: dict) -> None:
    """Writes a state dict and what it belongs to, whole or not at all."""
    with written_whole(path) as partial:
        save_file({key: value.contiguous() for key, value in state.items()}, partial, {"danet": json.dumps(about)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the description that `save_weights` wrote. Errors: UserError for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["danet"])
            return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: wanted weights written by danet, found {type(error).__name__}: {error}") from None


def load_model(path: Path) -> tuple[DANet, dict]:
    """The network in evaluation mode, and its description."""
    state, about = read_tensors(path)
    model = build_model(about)
    model.load_state_dict(state)
    return model.eval(), about
