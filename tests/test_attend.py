"""What the network attends to: maps by name, pairs of views of one performance, and clips as their camera saw them."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import train_on_demo

from danet.clips.sequences import Sequences
from danet.config.settings import Clips
from danet.datasets.demo import DEMO
from danet.errors import UserError
from danet.evaluation.attention import attend, pairs_of_views
from danet.inference.scores import as_tensors
from danet.io.store import open_records
from danet.metrics import map_agreement
from danet.models.weights import load_model
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import Sequence

NAMES = [f"S001C00{camera}P00{person}R001A00{action}" for camera in (1, 2, 3) for person in (1, 2) for action in (1, 2)]


@pytest.fixture(scope="module")
def attended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attended")
    train_on_demo(folder)
    attend(**arguments(folder))
    return folder


def arguments(folder, **changes):
    files = {"weights": "weights.safetensors", "centred": "centred.h5", "split": "split.parquet"}
    files |= {"maps": "attention.parquet", "shown": "attention.json"}
    return {key: folder / file for key, file in files.items()} | changes


def test_maps_are_those_of_the_network_by_name(attended):
    maps = pd.read_parquet(attended / "attention.parquet").set_index("name")
    parts = pd.read_parquet(attended / "split.parquet").set_index("name")["part"]
    assert set(parts[parts == "test"].index) < set(maps.index)
    np.testing.assert_allclose(np.stack(maps["joint_map"]).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.stack(maps["moment_map"]).sum(axis=1), 1, atol=1e-5)
    model, about = load_model(attended / "weights.safetensors")
    name = maps.index[7]
    with open_records(attended / "centred.h5", "centred") as records:
        recording = next(Sequence.from_record(record) for record in records if record.name == name)
    sequences = Sequences([recording], KINECT_V2, Clips.model_validate(about["clips"]))
    output = model(*as_tensors(sequences.cut(np.array([0]), None), next(model.parameters()).device))
    np.testing.assert_allclose(maps["joint_map"][name], output.joint_map[0].detach(), atol=1e-5)


def test_the_clips_drawn_are_those_that_the_camera_saw(attended):
    found = json.loads((attended / "attention.json").read_text())
    assert [shown["action"] for shown in found["shown"]] == [DEMO.actions[0], DEMO.actions[8], DEMO.actions[16]]
    for shown in found["shown"]:
        first, other = shown["views"]
        assert DEMO.sample(first["name"]).performance == DEMO.sample(other["name"]).performance
        assert first["view"] != other["view"]
        assert first["part"] == "test"
        assert other["part"] != "test"
        np.testing.assert_allclose(np.sum(shown["pair_map"], axis=1), 1, atol=1e-3)
        with open_records(attended / "centred.h5", "centred") as records:
            recording = next(Sequence.from_record(record) for record in records if record.name == first["name"])
        seen = recording.joints[recording.seen.any(axis=1)]
        drawn = np.array(first["joints"])
        assert drawn.shape[1:] == (8, 25, 3)
        assert np.abs(drawn[0].mean(axis=0) - seen[:, 0].mean(axis=0)).max() < 0.1, "not turned"
    assert found["agreement"]["joints"]["pairs"] > 0
    assert found["agreement"]["moments"] is not None


def test_what_is_asked_for_is_shown(attended, tmp_path):
    parts = pd.read_parquet(attended / "split.parquet")
    name = parts[parts["part"] == "test"]["name"].iloc[5]
    wanted = (DEMO.actions[3], name)
    attend(**arguments(attended, maps=tmp_path / "maps.parquet", shown=tmp_path / "shown.json", wanted=wanted))
    shown = json.loads((tmp_path / "shown.json").read_text())["shown"]
    assert shown[0]["action"] == DEMO.actions[3]
    assert shown[1]["views"][0]["name"] == name
    with pytest.raises(UserError, match="wanted in 'attention' a test sample or an action, found 'nonesuch'"):
        attend(**arguments(attended, shown=tmp_path / "none.json", wanted=("nonesuch",)))
    assert not (tmp_path / "none.json").exists()


def test_pairs_are_other_views_of_a_tested_performance():
    parts = {name: "test" if "C001" in name else "train" for name in NAMES}
    contents = {name: index + 1 for index, name in enumerate(NAMES)}
    pairs = pairs_of_views(DEMO, parts, contents)
    assert len(pairs) == 4 * 2, "each of four performances: the tested view with each of two others"
    assert all(parts[one] == "test" and parts[other] == "train" for one, other in pairs)
    contents[NAMES[-1]] = contents[NAMES[3]]
    assert len(pairs_of_views(DEMO, parts, contents)) == 7, "a copy is no other view"


def test_agreement_is_one_for_equal_maps_and_little_for_other_actions(rng):
    parts = {name: "test" if "C001" in name else "train" for name in NAMES}
    pairs = pairs_of_views(DEMO, parts, {name: index + 1 for index, name in enumerate(NAMES)})
    by_performance = {DEMO.sample(name).performance: rng.random(40) for name in NAMES}
    maps = np.array([by_performance[DEMO.sample(name).performance] for name in NAMES])
    place = {name: index for index, name in enumerate(NAMES)}
    found = map_agreement(maps, place, pairs, DEMO)
    assert found["same_performance"] == pytest.approx(1)
    assert abs(found["other_actions"]) < 0.5
    noisy = maps + rng.random(maps.shape)
    expected = np.mean([np.corrcoef(noisy[place[one]], noisy[place[two]])[0, 1] for one, two in pairs])
    assert map_agreement(noisy, place, pairs, DEMO)["same_performance"] == pytest.approx(expected, abs=1e-6)
    assert map_agreement(maps, place, [], DEMO) is None
