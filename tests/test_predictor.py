"""One raw file, one label: the same scores as in the batch, and one line for what cannot be labelled."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import train_on_demo

from danet.clips.sequences import Sequences, crops_of, read_recordings
from danet.datasets.demo import DEMO
from danet.errors import UserError
from danet.evaluation.evaluate import evaluate
from danet.inference.fusion import over_crops
from danet.inference.predictor import Predictor
from danet.inference.scores import as_tensors, scores_of
from danet.io.store import open_records

DANET = Path(sys.executable).with_name("danet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network of one epoch, its raw files and its scores, made without the workflow."""
    folder = tmp_path_factory.mktemp("trained")
    data = train_on_demo(folder)
    outputs = {"scores": folder / "scores.parquet", "metrics": folder / "metrics.json"}
    evaluate(**data, **outputs, dataset=DEMO, weights=folder / "weights.safetensors", run=folder / "run.json")
    return folder


def danet(*arguments):
    return subprocess.run([DANET, *map(str, arguments)], capture_output=True, text=True)


def test_predictor_scores_a_file_as_evaluate_does(trained):
    predictor = Predictor(trained / "weights.safetensors")
    scores = pd.read_parquet(trained / "scores.parquet").set_index("name")["scores"]
    two_people = [name for name in scores.index if DEMO.sample(name).action in DEMO.two_person]
    for name in [*scores.index[:5], *two_people[:3]]:
        alone = predictor.scores(trained / f"raw/{name}.skeleton")
        np.testing.assert_allclose(alone, scores[name], atol=1e-5)


def test_scores_weigh_crops_by_confidence(trained):
    predictor = Predictor(trained / "weights.safetensors")
    file = min((trained / "raw").iterdir())
    predictor.clips = predictor.clips.model_copy(update={"test_crops": (1, 0.6)})
    sequences = Sequences([predictor.sequence(file)], predictor.layout, predictor.clips)
    model, device = predictor.backend.model, predictor.backend.device
    each = []
    for crop in crops_of(predictor.clips):
        batch = as_tensors(sequences.cut(np.array([0]), None, crop), device)
        each.append(model(batch).logits.softmax(dim=1).detach().cpu().numpy()[0])
    assert np.ptp(each, axis=0).max() > 1e-5
    mean = np.average(each, axis=0, weights=np.max(each, axis=1) ** 4)
    assert len(model.encoders) > 1, "which are surer together than their mean"
    expected = mean**1.3 / (mean**1.3).sum()
    np.testing.assert_allclose(predictor.scores(file), expected, atol=1e-6)
    scores = scores_of(model, sequences, np.array([0]), device)
    np.testing.assert_allclose(scores[0], expected, atol=1e-6)
    assert scores.sum() == pytest.approx(1)
    alone = over_crops(np.array(each)[:, None], 4, 1)
    np.testing.assert_allclose(alone[0], mean, atol=1e-6)


def test_predict_command_prints_a_table_or_json(trained):
    file = min((trained / "raw").iterdir())
    done = danet("predict", trained / "weights.safetensors", file, "--top", 3, "--json")
    assert done.returncode == 0, done.stderr
    ((entry,),) = [json.loads(done.stdout)]
    assert entry["file"] == str(file)
    assert [set(prediction) for prediction in entry["predictions"]] == [{"action", "score"}] * 3
    scores = [prediction["score"] for prediction in entry["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert {prediction["action"] for prediction in entry["predictions"]} <= set(DEMO.actions)
    table = danet("predict", trained / "weights.safetensors", file)
    assert len(table.stdout.splitlines()) == 6
    assert entry["predictions"][0]["action"] in table.stdout.splitlines()[1]


def test_predictor_fuses_views(trained):
    files = sorted((trained / "raw").glob("S001C00?P001R001A003.skeleton"))
    assert len(files) == 3
    predictor = Predictor(trained / "weights.safetensors")
    fused, alone = predictor.scores(*files), [predictor.scores(file) for file in files]
    np.testing.assert_allclose(fused, predictor.scores(*files[::-1]), atol=1e-6)
    np.testing.assert_allclose(predictor.scores(files[0], files[0]), alone[0], atol=1e-6)
    assert not np.allclose(fused, alone[0], atol=1e-6)
    done = danet("predict", trained / "weights.safetensors", *files, "--views", "--json", "--top", 1)
    ((entry,),) = [json.loads(done.stdout)]
    assert entry["files"] == list(map(str, files))
    assert entry["predictions"][0]["score"] == pytest.approx(float(fused.max()), abs=1e-6)
    done = danet("predict", trained / "weights.safetensors", *files, "--json", "--top", 1)
    each = json.loads(done.stdout)
    assert [entry["file"] for entry in each] == list(map(str, files))
    best = [entry["predictions"][0]["score"] for entry in each]
    np.testing.assert_allclose(best, np.max(alone, axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.skeleton", "1\n1\n", "broken.skeleton, line 3, frame 1, body 1: expected a body"),
        ("empty.skeleton", "2\n0\n0\n", "expected a body in at least one frame"),
        ("other.json", json.dumps({"skeletons": [[[1, 2, 3]] * 20]}), "expected the joints of kinect_v2_25"),
        ("notes.pdf", "", "expected a file that ends in"),
        ("absent.skeleton", None, "expected a file, got none"),
    ],
)
def test_predict_command_says_in_one_line_what_cannot_be_labelled(trained, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    done = danet("predict", trained / "weights.safetensors", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_unknown_below_keeps_most_right_validation_samples(trained):
    predictor = Predictor(trained / "weights.safetensors")
    parts = pd.read_parquet(trained / "split.parquet")
    names = set(parts.loc[parts["part"] == "validation", "name"])
    with open_records(trained / "centred.h5", "centred") as records:
        sequences = Sequences(read_recordings(records, names), predictor.layout, predictor.clips)
    labels = np.array([DEMO.sample(name).action for name in sequences.names])
    scores = scores_of(predictor.backend.model, sequences, np.arange(len(sequences)), predictor.backend.device)
    best = np.sort(scores.max(axis=1)[scores.argmax(axis=1) == labels])
    assert len(best) > 0
    kept = (best >= predictor.unknown_below).mean()
    assert 0.95 - 1 / len(best) <= kept <= 0.95 + 1 / len(best)
    files = sorted((trained / "raw").glob("S001C001P001R001A00[1-5].skeleton"))
    done = danet("predict", trained / "weights.safetensors", *files, "--unknown", "--json")
    for entry in json.loads(done.stdout):
        sure = entry["predictions"][0]["score"] >= predictor.unknown_below
        assert (entry["label"] == "unknown") == (not sure)
    done = danet("predict", trained / "weights.safetensors", *files, "--unknown", "--unknown-below", 0.5)
    assert (done.returncode, "expected one of --unknown" in done.stderr) == (2, True)
    predictor.description["unknown_below"] = None
    with pytest.raises(UserError, match=r"validation part, .* none"):
        _ = predictor.unknown_below


def test_predictor_refuses_other_files(tmp_path):
    with pytest.raises(UserError, match="weights written by danet"):
        Predictor(tmp_path / "none.safetensors")


def test_predictor_labels_real_recordings(trained, recordings):
    """Their actions are not the demo's: what is asked is that each gets scores, and the empty one its line."""
    predictor = Predictor(trained / "weights.safetensors")
    files = sorted((recordings / "ntu_samples").rglob("*.skeleton"))
    assert len(files) == 7
    for file in files:
        if file.stem == "S001C002P006R001A008":
            with pytest.raises(UserError, match="all without one"):
                predictor.scores(file)
        else:
            assert predictor.scores(file).sum() == pytest.approx(1, abs=1e-5)


def test_prepare_command_prepares_real_recordings(recordings, tmp_path):
    done = danet("prepare", "ntu60", "--raw", recordings / "ntu_samples", "--out", tmp_path / "x.h5", "--jobs", 2)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["files"], result["samples"], result["set_aside"]) == (7, 5, 2)
    aside = pd.read_parquet(tmp_path / "x_set_aside.parquet").set_index("name")["reason"]
    assert "list of missing skeletons" in aside["S001C002P006R001A008"]
    assert "same sample" in aside["S001C001P001R001A001"]
