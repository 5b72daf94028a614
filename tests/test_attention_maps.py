"""Attention maps by name, pairs of views of one performance, and clips to draw as their camera saw them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import train_on_demo

from danet.clips.sequences import Sequences
from danet.config.clips import ClipSettings
from danet.datasets.demo import DEMO
from danet.errors import UserError
from danet.evaluation.attention import attention_maps, pairs_of_views
from danet.inference.scores import as_tensors
from danet.io.store import open_records
from danet.models.danet.network import DANet
from danet.models.weights import load_model
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import Sequence

NAMES = [f"S001C00{camera}P00{person}R001A00{action}" for camera in (1, 2, 3) for person in (1, 2) for action in (1, 2)]


@pytest.fixture(scope="module")
def attended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attended")
    train_on_demo(folder)
    attention_maps(**arguments(folder))
    return folder


def arguments(folder, **changes):
    files = {"weights": "weights.safetensors", "centred": "centred.h5", "split": "split.parquet"}
    files |= {"maps": "attention.parquet", "shown": "attention.json"}
    return {key: folder / file for key, file in files.items()} | {"dataset": DEMO} | changes


def test_attention_maps_are_those_of_the_network_by_name(attended):
    maps = pd.read_parquet(attended / "attention.parquet").set_index("name")
    parts = pd.read_parquet(attended / "split.parquet").set_index("name")["part"]
    assert set(parts[parts == "test"].index) < set(maps.index)
    np.testing.assert_allclose(np.stack(maps["joint_attention"]).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.stack(maps["patch_attention"]).sum(axis=1), 1, atol=1e-5)
    assert maps["part"].equals(parts[maps.index].rename("part"))
    model, description = load_model(attended / "weights.safetensors")
    name = maps.index[7]
    with open_records(attended / "centred.h5", "centred") as records:
        recording = next(Sequence.from_record(record) for record in records if record.name == name)
    sequences = Sequences([recording], KINECT_V2, ClipSettings.model_validate(description["clips"]))
    output = model(as_tensors(sequences.cut(np.array([0]), None), next(model.parameters()).device))
    np.testing.assert_allclose(maps["joint_attention"][name], output.attention.joints[0].detach(), atol=1e-5)
    np.testing.assert_allclose(maps["patch_attention"][name], output.attention.frames[0].detach(), atol=1e-5)


def test_attention_maps_shows_clips_as_the_camera_saw_them(attended):
    written = json.loads((attended / "attention.json").read_text())
    assert [shown["action"] for shown in written["shown"]] == [DEMO.actions[0], DEMO.actions[8], DEMO.actions[16]]
    for shown in written["shown"]:
        first, other = shown["views"]
        assert DEMO.sample(first["name"]).performance == DEMO.sample(other["name"]).performance
        assert first["view"] != other["view"]
        assert first["part"] == "test"
        assert other["part"] != "test"
        np.testing.assert_allclose(np.sum(shown["pair_attention"], axis=1), 1, atol=1e-3)
        with open_records(attended / "centred.h5", "centred") as records:
            recording = next(Sequence.from_record(record) for record in records if record.name == first["name"])
        seen = recording.joints[recording.seen.any(axis=1)]
        drawn = np.array(first["joints"])
        assert drawn.shape[1:] == (8, 25, 3)
        assert np.abs(drawn[0].mean(axis=0) - seen[:, 0].mean(axis=0)).max() < 0.1, "not turned"
        assert [len(view["joint_attention"]) for view in shown["views"]] == [len(written["tokens"])] * 2
        assert [len(view["patch_attention"]) for view in shown["views"]] == [4, 4]
    assert written["tokens"] == [*KINECT_V2.joints, *KINECT_V2.parts]
    assert written["agreement"]["joints"]["pairs"] > 0
    assert written["agreement"]["patches"] is not None


def test_attention_maps_shows_what_is_asked_for(attended, tmp_path):
    parts = pd.read_parquet(attended / "split.parquet")
    name = parts[parts["part"] == "test"]["name"].iloc[5]
    asked = (DEMO.actions[3], name)
    files = {"maps": tmp_path / "maps.parquet", "shown": tmp_path / "shown.json"}
    attention_maps(**arguments(attended, **files, asked=asked))
    shown = json.loads((tmp_path / "shown.json").read_text())["shown"]
    assert shown[0]["action"] == DEMO.actions[3]
    assert shown[1]["views"][0]["name"] == name
    with pytest.raises(UserError, match="expected in 'attention' a test sample or an action, got 'nonesuch'"):
        attention_maps(**arguments(attended, shown=tmp_path / "none.json", asked=("nonesuch",)))
    assert not (tmp_path / "none.json").exists()


def test_pairs_of_views_are_other_views_of_a_tested_performance():
    parts = {name: "test" if "C001" in name else "train" for name in NAMES}
    contents = {name: index + 1 for index, name in enumerate(NAMES)}
    pairs = pairs_of_views(DEMO, parts, contents)
    assert len(pairs) == 4 * 2, "each of four performances: the tested view with each of two others"
    assert all(parts[one] == "test" and parts[other] == "train" for one, other in pairs)
    contents[NAMES[-1]] = contents[NAMES[3]]
    assert len(pairs_of_views(DEMO, parts, contents)) == 7, "a copy is no other view"


def test_attention_maps_of_a_network_without_maps_are_empty(attended, tmp_path, monkeypatch):
    """The files are there, so that a report of several methods finds those of each."""

    def classify(self, own, other, classify=DANet.classify):
        return replace(classify(self, own, other), attention=None)

    monkeypatch.setattr(DANet, "classify", classify)
    monkeypatch.setattr(DANet, "tokens", [])
    files = {"maps": tmp_path / "maps.parquet", "shown": tmp_path / "shown.json"}
    attention_maps(**arguments(attended, **files))
    maps = pd.read_parquet(tmp_path / "maps.parquet")
    assert list(maps.columns) == ["name", "part", "joint_attention", "patch_attention"]
    assert len(maps) == 0
    written = json.loads((tmp_path / "shown.json").read_text())
    assert written == {
        "layout": "kinect_v2_25",
        "tokens": [],
        "agreement": {"joints": None, "patches": None},
        "shown": [],
    }
