"""Files of weights: they come back with what they belong to, and other files are refused."""

import json

import pytest
import torch
from safetensors import safe_open

from danet.errors import UserError
from danet.models.weights import build_model, describe, load_model, read_tensors, save_weights

ABOUT = {
    "model": {"name": "danet", "width": 16, "blocks": 1, "heads": 2},
    "clips": {"frames": 8},
    "layout": "kinect_v2_25",
    "actions": ["a", "b", "c"],
    "dataset": "demo",
}


def write(path, description=ABOUT, **changes):
    """Weights of an untrained network, described as they should be but for the changes; None leaves a key out."""
    model = build_model(description)
    written = description | describe(model) | changes
    save_weights(path, model.state_dict(), {key: value for key, value in written.items() if value is not None})
    return model


def test_load_model_gives_back_weights_and_description(tmp_path):
    model = write(tmp_path / "w.safetensors")
    loaded, description = load_model(tmp_path / "w.safetensors")
    assert description == ABOUT | describe(model)
    assert description["format"] == 2
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_load_model_takes_how_crops_are_averaged_from_the_file(tmp_path):
    model = write(tmp_path / "w.safetensors", confidence_power=2.5, temperature=0.5)
    loaded, _ = load_model(tmp_path / "w.safetensors")
    assert (loaded.confidence_power, loaded.temperature) == (2.5, 0.5)
    assert (model.confidence_power, model.temperature) == (4, 1)


def test_load_model_refuses_other_files(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    for name in ("w.safetensors", "none.safetensors"):
        with pytest.raises(UserError, match=f"{name}: expected weights written by danet, got "):
            load_model(tmp_path / name)


@pytest.mark.parametrize(
    ("written", "got"), [(None, "1; train it anew"), (1, "1; train it anew"), (3, "3; update danet")]
)
def test_load_model_refuses_another_format(tmp_path, written, got):
    """Weights of 0.1 name no format, and have settings of other names."""
    write(tmp_path / "w.safetensors", format=written)
    if written is None:
        state, description = read_tensors(tmp_path / "w.safetensors")
        assert "format" not in description
        save_weights(tmp_path / "w.safetensors", state, description | {"model": {"window": 2, "stride": 2}})
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / "w.safetensors")
    assert str(caught.value) == f"{tmp_path / 'w.safetensors'}: expected a network of format 2, got format {got}"


def test_save_weights_writes_the_description_as_json(tmp_path):
    write(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["danet"])["actions"] == ["a", "b", "c"]
