"""Files of weights: they come back with what they belong to, and other files are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def test_save_weights_gives_the_ordinary_mode(tmp_path):
    (tmp_path / "plain").write_text("")
    write(tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_save_weights_on_a_full_disk_says_one_line(tmp_path):
    program = f"""
import resource, sys
sys.path[:0] = {[os.fspath(Path(__file__).parent), *sys.path]!r}
from pathlib import Path
from danet.errors import UserError
from test_weights import write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(Path({os.fspath(tmp_path / "w.safetensors")!r}))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == f"{tmp_path / 'w.safetensors'}: expected to write it, got: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_read_tensors_refuses_every_flipped_bit(tmp_path):
    file = tmp_path / "w.safetensors"
    write(file)
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for place in np.linspace(start, len(content) - 1, 20).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"w\.safetensors: expected tensors of hash .* the file is damaged"):
            load_model(file)
