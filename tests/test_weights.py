"""Files of weights: they come back with what they belong to, and other files are refused."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import line_about
from safetensors import safe_open
from safetensors.torch import save_file

from danet.errors import UserError
from danet.inference.predictor import Predictor
from danet.models.weights import build_model, describe, load_model, read_tensors, save_weights
from danet.skeleton.recording import Sequence

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
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("w.safetensors", "none.safetensors", "folder.safetensors", "pipe.safetensors"):
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
from danet.inference.predictor import Predictor
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


def rewritten(path, description=None, tensors=None, **changes):
    """Writes the file anew, as `write` made it but for the changes; None leaves a key out. The line of the error."""
    state, written = read_tensors(path)
    written = description or {key: value for key, value in (written | changes).items() if value is not None}
    save_weights(path, state if tensors is None else state | tensors, written)
    with pytest.raises(UserError) as caught:
        load_model(path)
    return line_about(path, caught.value)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"model": None}, "a file without one"),
        ({"model": []}, "the name of a network"),
        ({"model": {"name": "x"}}, "got 'x'"),
        ({"model": ABOUT["model"] | {"of_tomorrow": "\x1b[31m\n" * 10_000}}, "'model.of_tomorrow': no such setting"),
        ({"model": ABOUT["model"] | {"width": 15}}, "multiple of 'heads'"),
        ({"clips": {"frames": 9}}, "multiple of 'patch_frames'"),
        ({"clips": "x" * 10_000}, "'clips'"),
        ({"layout": "none"}, "got 'none'"),
        ({"layout": {}}, "layout: 'name'"),
        ({"layout": 3}, "layout: expected one of"),
        ({"layout": {"name": "x", "joints": [str(joint) for joint in range(10**5)]}}, "layout"),
        ({"actions": None}, "'actions'"),
        ({"actions": []}, "'actions'"),
        ({"actions": [1, 2, 3]}, "'actions.0'"),
        ({"uses_pairs": None}, "'uses_pairs'"),
        ({"temperature": 0}, "'temperature'"),
        ({"temperature": float("nan")}, "'temperature'"),
        ({"confidence_power": "x"}, "'confidence_power'"),
        ({"prepare": {"x": 3}}, "'prepare.x': no such setting"),
        ({"format": "2"}, "got format '2'"),
        ({"format": [2]}, "got format [2]"),
    ],
)
def test_load_model_refuses_a_description_that_is_not_sound(tmp_path, change, got):
    write(tmp_path / "w.safetensors")
    assert got in rewritten(tmp_path / "w.safetensors", **change)


@pytest.mark.parametrize("written", [None, "x", "[]", '"x"', "3", "[" * 100_000, '{"a": ' * 100_000])
def test_load_model_refuses_metadata_that_are_no_object(tmp_path, written):
    state = write(tmp_path / "w.safetensors").state_dict()
    save_file(state, tmp_path / "w.safetensors", None if written is None else {"danet": written})
    with pytest.raises(UserError, match=r"w\.safetensors: expected weights written by danet, got \w+") as caught:
        load_model(tmp_path / "w.safetensors")
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    "change",
    [
        {"clips": {"frames": 10**7}},
        {"clips": {"frames": 10**15}},
        {"model": {"width": 10**6, "heads": 10**6}},
        {"model": {"width": 10**12, "heads": 10**12}},
        {"model": {"width": 16, "heads": 2, "blocks": 10**9}},
        {"model": {"width": 16, "heads": 2, "expansion": 10**9}},
        {"model": {"width": 16, "heads": 2, "encoders": [["joint"]] * 10_000}},
    ],
)
def test_load_model_takes_no_memory_on_the_files_word(tmp_path, change):
    write(tmp_path / "w.safetensors")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected " in rewritten(tmp_path / "w.safetensors", **change)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


def test_load_model_refuses_a_network_that_computes_far_more_than_its_file_holds(tmp_path):
    """Masks of every two patches, while the weights grow with the patches alone."""
    about = ABOUT | {"clips": {"frames": 10_000}, "model": ABOUT["model"] | {"width": 2}}
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build_model(about).state_dict().items()}
    tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
    rest = {"uses_pairs": True, "confidence_power": 4, "temperature": 1, "format": 2}
    save_weights(tmp_path / "w.safetensors", tensors, about | rest)
    with pytest.raises(UserError, match="got one that computes"):
        load_model(tmp_path / "w.safetensors")


def test_load_model_refuses_other_tensors(tmp_path):
    file, label = tmp_path / "w.safetensors", "encoders.0.label.bias"
    for tensors, got in (
        ({label: torch.zeros(4)}, f"'{label}': expected F32 [3], got F32 [4]"),
        ({label: torch.zeros(3, dtype=torch.float64)}, f"'{label}': expected F32 [3], got F64 [3]"),
        ({"x" * 10_000: torch.zeros(1)}, "expected no such tensor, got F32 [1]"),
        ({label: torch.tensor([0, torch.nan, 0])}, f"'{label}': expected finite numbers, got others"),
        ({label: torch.tensor([0, torch.inf, 0])}, f"'{label}': expected finite numbers, got others"),
    ):
        write(file)
        assert got in rewritten(file, tensors=tensors)
    write(file)
    assert "expected F32 [2, 25, 25], got F32 [2, 30, 30]" in rewritten(file, layout="kinect_v1_20")


def test_load_model_refuses_files_that_lie_beside_weights(tmp_path):
    file = tmp_path / "epochs.safetensors"
    model = write(file)
    _, written = read_tensors(file)
    epochs = {f"{epoch}.{key}": value.clone() for epoch in (1, 2) for key, value in model.state_dict().items()}
    save_weights(file, epochs, written)
    with pytest.raises(UserError, match=r"epochs\.safetensors: '1\..*': expected no such tensor, got F32"):
        load_model(file)
    save_weights(file, {}, written)
    with pytest.raises(UserError, match="got 0 numbers, too few"):
        load_model(file)
    for state in ({}, {"description": written, "train": {}, "history": []}):
        save_weights(file, model.state_dict(), state)
        with pytest.raises(UserError, match="expected a network with its description, got a file without one"):
            load_model(file)


def test_predictor_refuses_weights_that_no_probabilities_come_of(tmp_path, rng):
    """Finite weights whose products are not, in a file without a hash, as older ones are."""
    path = tmp_path / "w.safetensors"
    model = write(path, prepare={})
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()["danet"])
    description.pop("tensors_hash")
    state = {key: value * 1e38 if value.is_floating_point() else value for key, value in model.state_dict().items()}
    state = {key: value.nan_to_num() if value.is_floating_point() else value for key, value in state.items()}
    save_file(state, path, {"danet": json.dumps(description)})
    walk = Sequence("walk", rng.normal(size=(9, 1, 25, 3)).astype(np.float32))
    with pytest.raises(UserError) as caught:
        Predictor(path).scores(walk)
    assert "expected a network that gives probabilities" in line_about(path, caught.value)


@pytest.mark.parametrize("changes", [{"confidence_power": "4"}, {"confidence_power": 10**30}, {"temperature": "1"}])
def test_load_model_refuses_what_scores_cannot_be_computed_with(tmp_path, changes):
    write(tmp_path / "w.safetensors", **changes)
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / "w.safetensors")
    assert f"'{next(iter(changes))}': expected " in line_about(tmp_path / "w.safetensors", caught.value)
