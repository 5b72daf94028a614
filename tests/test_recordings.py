"""Arrays and folders get the scores of the files that show the same, and one line for what is none."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.settings import Prepare, Simulate
from danet.datasets.demo import DEMO
from danet.errors import UserError
from danet.inference.output import Predictions
from danet.inference.predictor import Predictor, load, scores_by_file
from danet.inference.recordings import read_sequence, recordings_in
from danet.models.weights import build_model, describe, save_weights
from danet.preparation.parse import read_recording
from danet.simulate.simulate import simulate
from danet.skeleton.layout import KINECT_V1, KINECT_V2

ROOT = Path(__file__).parents[1]
DANET = Path(sys.executable).with_name("danet")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Random weights and simulated recordings, where the README has them."""
    folder = tmp_path_factory.mktemp("demo")
    simulate(folder / "results/demo/raw", Simulate(performers=2, setups=1, replications=1, frames=24))
    description = {
        **DEMO.describe(),
        "clips": ClipSettings(frames=8, test_crops=(1, 0.8)).model_dump(),
        "model": DANetSettings(width=16, blocks=1, heads=2).model_dump(),
        "prepare": Prepare().model_dump(),
        "actions": list(DEMO.actions),
    }
    torch.manual_seed(1)
    weights = folder / "results/demo/cross_view/danet/seed0/weights.safetensors"
    model = build_model(description)
    save_weights(weights, model.state_dict(), description | describe(model))
    return folder


@pytest.fixture(scope="module")
def predictor(demo):
    return load(demo / "results/demo/cross_view/danet/seed0/weights.safetensors")


def danet(demo, *arguments):
    return subprocess.run([DANET, *map(str, arguments)], cwd=demo, capture_output=True, text=True)


def array_of(file: Path) -> np.ndarray:
    """(M, T, 25, 3): what a recording holds, a row for each id in order of first sight."""
    bodies = read_recording(DEMO.read, file.stem, str(file))
    joints = np.zeros((len(bodies.index.ids), bodies.frames, 25, 3), np.float32)
    joints[bodies.index.track, bodies.frame] = bodies.joints
    return joints


def of_two(demo) -> Path:
    """A recording in which denoising has something to choose from."""
    files = sorted((demo / "results/demo/raw").iterdir())
    return max(files, key=lambda file: len(array_of(file)))


def alone(demo) -> Path:
    files = sorted((demo / "results/demo/raw").iterdir())
    return next(file for file in files if len(array_of(file)) == 1)


def test_read_sequence_reads_array_as_its_recording(demo, predictor, tmp_path):
    for file in (of_two(demo), alone(demo)):
        np.save(tmp_path / "same.npy", array_of(file))
        made, expected = predictor.sequence(tmp_path / "same.npy"), predictor.sequence(file)
        np.testing.assert_array_equal(made.joints, expected.joints)
        np.testing.assert_allclose(predictor.scores(tmp_path / "same.npy"), predictor.scores(file), atol=1e-6)
    assert len(array_of(of_two(demo))) > 1
    np.save(tmp_path / "flat.npy", array_of(alone(demo))[0].astype(np.float64))
    np.testing.assert_array_equal(read_sequence(tmp_path / "flat.npy", Prepare(), KINECT_V2).joints, made.joints)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((4, 24, 3)), r"expected the joints of kinect_v2_25 \(25\), got 24 joints"),
        (np.ones((4, 20, 3)), r"expected the joints of kinect_v2_25 \(25\), got 20 joints"),
        (np.full((4, 25, 3), 1e8), "expected coordinates within"),
        (np.zeros((4, 25, 3)), "expected a body in at least one frame"),
    ],
)
def test_read_sequence_refuses_other_arrays(predictor, tmp_path, values, message):
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(UserError, match=message) as caught:
        predictor.sequence(tmp_path / "bad.npy")
    assert len(str(caught.value).splitlines()) == 1


def test_read_bodies_names_the_numbers_of_joints(tmp_path):
    np.save(tmp_path / "odd.npy", np.ones((20, 24, 3)))
    with pytest.raises(UserError, match=r"odd\.npy: expected 15, 17, 18, 20, 25, 32, 33 joints, or --layout, got 24"):
        read_sequence(tmp_path / "odd.npy", Prepare())


def test_recordings_in_searches_folders(demo, tmp_path):
    for name in ("b.skeleton", "a.npy", "deep/er/c.skeleton", "other.json", "some.mat", "notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    single = Path("given.json")
    files = recordings_in([single, tmp_path], KINECT_V2, pytest.fail)
    assert files == [
        single,
        tmp_path / "a.npy",
        tmp_path / "b.skeleton",
        tmp_path / "deep/er/c.skeleton",
        tmp_path / "some.mat",
    ]
    of_v1 = [tmp_path / name for name in ("a.npy", "other.json", "some.mat")]
    assert recordings_in([tmp_path], KINECT_V1, pytest.fail) == of_v1
    (tmp_path / "bare").mkdir()
    said: list[UserError] = []
    assert recordings_in([tmp_path / "bare", single], KINECT_V2, said.append) == [single]
    (error,) = said
    assert str(error).startswith(f"{tmp_path}/bare: expected files that end in .mat, .npy, .skeleton, .txt, got none")


def test_scores_by_file_equal_scores_alone(demo, predictor):
    files = sorted((demo / "results/demo/raw").iterdir())[:9]
    for size in (4, 64):
        scored = list(scores_by_file(predictor, files, pytest.fail, size))
        assert [file for file, _ in scored] == files
        for file, scores in scored:
            np.testing.assert_allclose(scores, predictor.scores(file), atol=1e-6)


def test_predict_command_goes_on_after_unreadable_file(demo, predictor, tmp_path):
    good = alone(demo)
    for name in ("a", "c"):
        (tmp_path / f"{name}.skeleton").write_bytes(good.read_bytes())
    (tmp_path / "b.skeleton").write_text("1\n1\n")
    weights = "results/demo/cross_view/danet/seed0/weights.safetensors"
    done = danet(demo, "predict", weights, tmp_path, tmp_path / "absent.skeleton", "--csv", "--top", 2)
    assert done.returncode == 2
    bad, absent = done.stderr.splitlines()
    assert bad.startswith(f"danet: {tmp_path}/b.skeleton, line 3")
    assert "absent.skeleton: expected" in absent
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [(Path(row["file"]).name, row["rank"]) for row in rows] == [
        ("a.skeleton", "1"), ("a.skeleton", "2"), ("c.skeleton", "1"), ("c.skeleton", "2"),
    ]  # fmt: skip
    expected = predictor.named(predictor.scores(good), 2)
    assert [row["action"] for row in rows[:2]] == [best["action"] for best in expected]
    np.testing.assert_allclose(
        [float(row["score"]) for row in rows[:2]], [best["score"] for best in expected], atol=1e-6
    )


def test_predictions_of_views_go_on_after_unreadable_view(demo, predictor, tmp_path, capsys):
    good = sorted((demo / "results/demo/raw").glob("S001C00?P001R001A003.skeleton"))
    predictions = Predictions(predictor, [good[0], tmp_path / "absent.skeleton", good[1]], True, 1, 0)
    (prediction,) = predictions
    assert prediction.files == [str(file) for file in good[:2]]
    assert prediction.best == predictor.named(predictor.scores(*good[:2]), 1)
    assert predictions.failed == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"danet: {tmp_path}/absent.skeleton: expected a file, got none")


def test_predictions_spell_out_names_that_are_no_text(demo, predictor, tmp_path):
    file = tmp_path / os.fsdecode(b"\xff.skeleton")
    file.write_bytes(alone(demo).read_bytes())
    (prediction,) = Predictions(predictor, [tmp_path], False, 1, 0)
    assert prediction.files == [f"{tmp_path}/\\xff.skeleton"]


def test_predictions_label_low_scores_unknown(demo, predictor):
    file = alone(demo)
    best = float(predictor.scores(file).max())
    (low,), (high,) = (list(Predictions(predictor, [file], False, 3, best + by)) for by in (-1e-4, 1e-4))
    assert low.best == high.best
    assert len(low.best) == 3
    assert (low.label, high.label) == (low.best[0]["action"], "unknown")
    weights = "results/demo/cross_view/danet/seed0/weights.safetensors"
    table = danet(demo, "predict", weights, file, "--unknown-below", 1, "--top", 1).stdout.splitlines()
    assert table[:2] == [str(file), "  unknown"]
    assert table[2].endswith(str(low.best[0]["action"]))
    ((entry,),) = [json.loads(danet(demo, "predict", weights, file, "--unknown-below", 1, "--json").stdout)]
    assert (entry["label"], len(entry["predictions"])) == ("unknown", 5)
    rows = danet(demo, "predict", weights, file, "--unknown-below", 1, "--csv", "--top", 1).stdout.splitlines()
    assert rows[1] == f"{file},0,unknown,"


def test_readme_python_labels_a_file(demo):
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 5
    done = subprocess.run([sys.executable, "-c", block], cwd=demo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (label,) = done.stdout.splitlines()
    network = Predictor(demo / "results/demo/cross_view/danet/seed0/weights.safetensors")
    (best,) = network.named(network.scores(demo / "results/demo/raw/S001C001P001R001A001.skeleton"), 1)
    assert label == best["action"]


def test_import_danet_imports_nothing_heavy():
    code = "import sys, danet; print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules))); danet.nothing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n"
    assert "AttributeError: module 'danet' has no attribute 'nothing'" in done.stderr


def test_commands_show_an_example():
    wide = os.environ | {"COLUMNS": "80", "TERM": "dumb"}
    alone = ["prepare", "check", "split", "predict", "stream", "draw", "estimate"]
    for command in [*alone, "export ctr-gcn", "export sgn", "export onnx"]:
        done = subprocess.run([DANET, *command.split(), "--help"], capture_output=True, text=True, env=wide)
        assert f"Example: danet {command}" in done.stdout, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80
