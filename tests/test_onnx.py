"""An exported network: the same scores as torch's, everything in one file, and no torch to run it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from conftest import train_on_demo

from danet.errors import UserError
from danet.inference.export_onnx import export_onnx
from danet.inference.predictor import Predictor, sequences_of
from danet.models.weights import load_model, read_tensors, save_weights

DANET = Path(sys.executable).with_name("danet")
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from danet.cli import main; main()"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train_on_demo(folder)
    return folder


@pytest.fixture(scope="module")
def exported(trained):
    out = trained / "danet.onnx"
    done = subprocess.run(
        [DANET, "export", "onnx", trained / "weights.safetensors", out], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 0 <= json.loads(done.stdout)["largest_difference"] < 1e-4
    return out


def test_exported_network_scores_as_with_torch(trained, exported):
    with_torch, onnx = Predictor(trained / "weights.safetensors"), Predictor(exported)
    files = pd.read_parquet(trained / "split.parquet")["name"].map(lambda name: trained / f"raw/{name}.skeleton")
    recordings = [recording for _, recording in sequences_of(with_torch, sorted(files), lambda error: None)][:70]
    assert {int(recording.seen.any(axis=0).sum()) for recording in recordings} == {1, 2}, "people alone and in twos"
    np.testing.assert_allclose(onnx.scores_of_each(recordings), with_torch.scores_of_each(recordings), atol=1e-4)
    views = sorted((trained / "raw").glob("S001C00?P001R001A003.skeleton"))
    np.testing.assert_allclose(onnx.scores(*views), with_torch.scores(*views), atol=1e-4)
    np.testing.assert_allclose(onnx.joint_attention(views[0]), with_torch.joint_attention(views[0]), atol=1e-4)


def test_export_onnx_writes_nothing_that_differs_from_torch(trained, tmp_path):
    state, description = read_tensors(trained / "weights.safetensors")
    state["encoders.0.label.bias"][0] = torch.nan
    save_weights(tmp_path / "none.safetensors", state, description)
    with pytest.raises(UserError, match="got a difference of nan"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()


def test_exported_network_describes_itself_and_names_no_file_of_the_machine(trained, exported):
    made = onnx.load(exported)
    _, description = load_model(trained / "weights.safetensors")
    assert {each.key: json.loads(each.value) for each in made.metadata_props} == {"danet": description}
    assert {"prepare", "clips", "layout", "actions", "data_hash", "format", "uses_pairs"} <= set(description)
    assert b"site-packages" not in exported.read_bytes()
    assert b".py" not in exported.read_bytes()


def test_exported_network_runs_without_torch(trained, exported):
    file = min((trained / "raw").iterdir())
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", "--json"]
    done = subprocess.run([*command, exported, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = {each["action"]: each["score"] for each in json.loads(done.stdout)[0]["predictions"]}
    predictor = Predictor(trained / "weights.safetensors")
    expected = {each["action"]: each["score"] for each in predictor.named(predictor.scores(file), 5)}
    assert scores == pytest.approx(expected, abs=1e-4)
    refused = subprocess.run([*command, trained / "weights.safetensors", file], capture_output=True, text=True)
    assert refused.returncode != 0, "weights need torch, so that torch was indeed absent"


def test_predictor_refuses_what_is_no_exported_network(trained, tmp_path):
    with pytest.raises(UserError, match=r"ends in \.onnx, got '\.pt'"):
        export_onnx(trained / "weights.safetensors", tmp_path / "x.pt")
    with pytest.raises(UserError, match="expected weights written by danet"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "x.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(UserError, match=r"noise\.onnx: expected a network that danet exported"):
        Predictor(tmp_path / "noise.onnx")
    with pytest.raises(UserError, match=r"absent\.onnx: expected a network"):
        Predictor(tmp_path / "absent.onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"other\.onnx: expected a network that danet exported, got KeyError"):
        Predictor(tmp_path / "other.onnx")


@pytest.mark.parametrize(("written", "got"), [(None, "1; train it anew"), (3, "3; update danet")])
def test_predictor_refuses_an_exported_network_of_another_format(exported, tmp_path, written, got):
    """Networks that 0.1 exported name no format."""
    network = onnx.load(exported)
    (described,) = network.metadata_props
    description = json.loads(described.value) | {"format": written}
    described.value = json.dumps({key: value for key, value in description.items() if value is not None})
    onnx.save(network, tmp_path / "old.onnx")
    with pytest.raises(UserError) as caught:
        Predictor(tmp_path / "old.onnx")
    assert str(caught.value) == f"{tmp_path / 'old.onnx'}: expected a network of format 2, got format {got}"
