"""An exported network: the same scores as torch's, everything in one file, and no torch to run it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import line_about, train_on_demo

from danet.errors import UserError
from danet.inference.export_onnx import export_onnx
from danet.inference.onnx import refuse_external_data
from danet.inference.predictor import Predictor, sequences_of
from danet.models.weights import load_model

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


def test_export_onnx_writes_nothing_that_differs_from_torch(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("danet.inference.export_onnx.TOLERANCE", -1)
    with pytest.raises(UserError, match=r"expected probabilities within -1 of torch's, got a difference of "):
        export_onnx(trained / "weights.safetensors", tmp_path / "none.onnx")
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
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match=r"pipe\.onnx: expected a network that danet exported, got: no regular file"):
        Predictor(tmp_path / "pipe.onnx")
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


def test_refused_network_is_told_of_by_nobody_else(exported, tmp_path, capfd):
    """ONNX Runtime would print four lines on stdout before it tries once more."""
    (tmp_path / "x.onnx").write_bytes(exported.read_bytes().replace(b"channels", b"channel\xff"))
    assert "expected a network that danet exported" in refusal(tmp_path / "x.onnx")
    assert capfd.readouterr() == ("", "")


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


def changed(exported, path, change, **settings):
    """The exported network with a change, and the line that says why it is refused."""
    network = onnx.load(exported)
    change(network)
    onnx.save(network, path, **settings)
    return refusal(path)


def refusal(path, *files):
    with pytest.raises(UserError) as caught:
        Predictor(path).scores(*files)
    return line_about(path, caught.value)


def point_outside(tensor, location):
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(location))


def outside_in(place):
    """A change by which a tensor of that place lies in another file."""

    def change(network):
        tensor = onnx.helper.make_tensor("x", onnx.TensorProto.FLOAT, [1], [1.0])
        point_outside(tensor, "/etc/hostname")
        branch = onnx.helper.make_graph([], "branch", [], [], initializer=[tensor])
        sparse = onnx.SparseTensorProto(values=tensor, dims=[1])
        node = onnx.helper.make_node("Constant", [], ["of_the_test"], value=tensor)
        parts = {
            "initializer": lambda: network.graph.initializer.append(tensor),
            "sparse": lambda: network.graph.sparse_initializer.append(sparse),
            "constant": lambda: network.graph.node.append(node),
            "branch": lambda: network.graph.node.append(
                onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
            ),
            "function": lambda: network.functions.append(
                onnx.helper.make_function("own", "f", [], ["of_the_test"], [node], [])
            ),
            "training": lambda: network.training_info.append(onnx.TrainingInfoProto(initialization=branch)),
        }
        parts[place]()

    return change


@pytest.mark.parametrize("place", ["initializer", "sparse", "constant", "branch", "function", "training"])
def test_predictor_refuses_a_network_whose_numbers_lie_elsewhere(exported, tmp_path, place):
    assert "numbers lie in another file" in changed(exported, tmp_path / "out.onnx", outside_in(place))


def test_predictor_refuses_a_network_that_was_saved_in_two_files(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"save_as_external_data": True, "location": "numbers", "size_threshold": 0}
    assert "numbers lie in another file" in changed(exported, tmp_path / "out.onnx", lambda network: None, **settings)
    assert (tmp_path / "numbers").exists(), "it could be read"


def describe_as(text):
    def change(network):
        network.metadata_props[0].value = text

    return change


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null", "{}", "[" * 100_000, '{"format": 2, "model": []}', "\x1b"])
def test_predictor_refuses_metadata_that_are_no_description(exported, tmp_path, text):
    changed(exported, tmp_path / "x.onnx", describe_as(text))


def one_action_less(network):
    (described,) = network.metadata_props
    description = json.loads(described.value)
    described.value = json.dumps(description | {"actions": description["actions"][1:]})


def another_length(network):
    (described,) = network.metadata_props
    description = json.loads(described.value)
    described.value = json.dumps(description | {"clips": description["clips"] | {"frames": 10**4}})


def one_output_more(network):
    network.graph.node.append(onnx.helper.make_node("Identity", ["probabilities"], ["more"]))
    network.graph.output.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["n", "a"]))


def no_output(network):
    del network.graph.output[0]


def another_input(network):
    network.graph.input.append(onnx.helper.make_tensor_value_info("mo\x1bre", onnx.TensorProto.FLOAT, [1]))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (one_action_less, "probabilities: expected axes of "),
        (another_length, "channels: expected axes of [10000, 25]"),
        (one_output_more, "expected outputs probabilities, and perhaps joint_attention, got "),
        (no_output, "expected outputs probabilities, and perhaps joint_attention, got joint_attention"),
        (another_input, "expected inputs among channels, joints, share, own, other, got "),
    ],
)
def test_predictor_refuses_a_network_of_other_arrays(exported, tmp_path, change, got):
    assert got in changed(exported, tmp_path / "x.onnx", change)


def test_predictor_says_in_one_line_that_a_network_cannot_be_computed(trained, exported, tmp_path):
    network = onnx.load(exported)
    for node in network.graph.node:
        for index, name in enumerate(node.output):
            if name == "probabilities":
                node.output[index] = "before"
    network.graph.initializer.append(onnx.helper.make_tensor("far", onnx.TensorProto.INT64, [1], [10**6]))
    network.graph.node.append(onnx.helper.make_node("Gather", ["before", "far"], ["one"], axis=0))
    network.graph.node.append(onnx.helper.make_node("Mul", ["before", "one"], ["probabilities"]))
    onnx.save(network, tmp_path / "x.onnx")
    file = min((trained / "raw").iterdir())
    assert "expected a network that can be computed, got " in refusal(tmp_path / "x.onnx", file)


def test_predictor_refuses_numbers_that_are_not_finite(trained, exported, tmp_path):
    network = onnx.load(exported)
    for node in network.graph.node:
        for index, name in enumerate(node.output):
            if name == "probabilities":
                node.output[index] = "before"
    network.graph.initializer.append(onnx.helper.make_tensor("nan", onnx.TensorProto.FLOAT, [1], [float("nan")]))
    network.graph.node.append(onnx.helper.make_node("Mul", ["before", "nan"], ["probabilities"]))
    onnx.save(network, tmp_path / "x.onnx")
    assert "got numbers that are not finite" in refusal(tmp_path / "x.onnx", min((trained / "raw").iterdir()))


def test_predictor_refuses_exported_networks_cut_short(exported, tmp_path):
    content = exported.read_bytes()
    for length in np.linspace(0, len(content) - 1, 30).astype(int):
        (tmp_path / "x.onnx").write_bytes(content[:length])
        refusal(tmp_path / "x.onnx")


def test_refuse_external_data_ends_for_any_bytes():
    rng = np.random.default_rng(0)
    nested = b""
    for _ in range(300):  # graph, node, attribute, graph and so on
        for key in (b"\x32", b"\x2a", b"\x0a"):
            length, size = len(nested), b""
            while True:
                size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
                length >>= 7
                if not length:
                    break
            nested = key + size + nested
    for content in (nested, b"\x3a" + nested[1:], *(rng.bytes(50) for _ in range(1000)), b"\xff" * 100):
        with suppress(UserError):
            refuse_external_data(content, "x")
