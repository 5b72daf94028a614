"""Runs combined into one accuracy: an ensemble's averaged scores, and the folds of a protocol."""

import pandas as pd
import pytest

from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.evaluation.combine import average_folds, ensemble
from danet.io.files import read_json, write_json
from danet.results import Metrics

METRICS = {
    "dataset": "demo",
    "protocol": "cross_view",
    "seed": 0,
    "simulated": True,
    "top1": 0.5,
    "top5": 1.0,
    "samples": 3,
    "parameters": 5,
    "seconds": 2.0,
    "epoch": 1,
}


def write_run(folder, scores, **metrics):
    """Writes the metrics of a run, and the columns of its scores."""
    folder.mkdir(parents=True)
    write_json(folder / "metrics.json", METRICS | {"method": folder.name} | metrics)
    pd.DataFrame({"segment": 0, "copy": False, "prediction": 0} | scores).to_parquet(folder / "scores.parquet")
    return folder


def test_ensemble_averages_scores_by_name_and_counts_copies_apart(tmp_path):
    table = {"name": ["a", "b", "c"], "copy": [True, False, False], "label": [0, 1, 1]}
    joint = write_run(tmp_path / "joint", table | {"scores": [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]})
    shuffled = {"name": ["c", "a", "b"], "copy": [False, True, False], "label": [1, 0, 1]}
    bone = write_run(tmp_path / "bone", shuffled | {"scores": [[0.2, 0.8], [0.8, 0.2], [0.9, 0.1]]})
    ensemble({"joint": joint, "bone": bone}, "both", tmp_path / "both.parquet", tmp_path / "both.json")
    averaged = pd.read_parquet(tmp_path / "both.parquet")
    assert averaged["name"].tolist() == ["a", "b", "c"]
    assert averaged["prediction"].tolist() == [0, 0, 1]
    assert averaged["scores"][1].tolist() == pytest.approx([0.65, 0.35])
    metrics = read_json(tmp_path / "both.json")
    assert metrics["top1"] == pytest.approx(2 / 3)
    assert (metrics["copies_of_training"], metrics["top1_without_copies"]) == (1, 0.5)
    assert (metrics["method"], metrics["parameters"], metrics["seconds"], metrics["epoch"]) == ("both", 10, 4, None)
    assert Metrics.model_validate(metrics).model_dump(mode="json") == metrics


@pytest.mark.parametrize("change", [{"name": ["a", "x"]}, {"label": [0, 1]}])
def test_ensemble_refuses_runs_of_other_samples(tmp_path, change):
    table = {"name": ["a", "b"], "label": [0, 0], "scores": [[1.0, 0.0]] * 2}
    runs = {"one": write_run(tmp_path / "one", table), "two": write_run(tmp_path / "two", table | change)}
    with pytest.raises(UserError, match=r"two: expected the test samples of .*one, got others"):
        ensemble(runs, "both", tmp_path / "both.parquet", tmp_path / "both.json")
    assert not (tmp_path / "both.json").exists()


@pytest.mark.parametrize("validated", [True, False])
def test_average_folds_is_the_mean_over_folds_and_views(tmp_path, validated):
    """So that a view with many samples weighs no more than one with few."""
    shared = {"dataset": "uestc", "simulated": False, "method": "mine", "seed": 3, "parameters": 7}
    views = {"even": ["d1", "d1", "d1", "d3"], "odd": ["d2", "d4"]}
    right = {"even": [True, True, False, False], "odd": [False, True]}
    folders = {}
    for fold, top1 in (("even", 0.5), ("odd", 0.5)):
        names = [f"a1_{view}_p{person:03}_c2" for person, view in enumerate(views[fold], 3)]
        table = {"name": names, "label": 1, "prediction": [int(hit) for hit in right[fold]]}
        metrics = {"protocol": f"cross_view_2/{fold}", "top1": top1, "top5": 1.0 if fold == "odd" else 0.5}
        metrics["validation_top1"] = 0.75 if fold == "odd" else 0.25 if validated else None
        folder = tmp_path / fold
        folders[fold] = write_run(folder, table | {"scores": [[1.0, 0.0]] * len(names)}, **shared, **metrics)
    average_folds(folders, UESTC, tmp_path / "scores.parquet", tmp_path / "metrics.json")
    metrics = read_json(tmp_path / "metrics.json")
    cells = {"even -> d1": 2 / 3, "even -> d3": 0, "odd -> d2": 0, "odd -> d4": 1}
    assert metrics["cells"] == pytest.approx(cells)
    assert metrics["top1"] == pytest.approx(5 / 12)
    assert metrics["folds"] == {"even": 0.5, "odd": 0.5}
    assert (metrics["top5"], metrics["samples"], metrics["seconds"], metrics["epoch"]) == (0.75, 6, 4, None)
    assert metrics["validation_top1"] == (0.5 if validated else None)
    assert metrics["protocol"] == "cross_view_2"
    assert {key: metrics[key] for key in shared} == shared
    assert Metrics.model_validate(metrics).model_dump(mode="json") == metrics
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert table["fold"].tolist() == ["even"] * 4 + ["odd"] * 2
    assert table["view"].tolist() == views["even"] + views["odd"]


@pytest.mark.parametrize("file", ["scores.parquet", "metrics.json"])
def test_ensemble_names_a_damaged_file(tmp_path, file):
    for name in ("a", "b"):
        write_run(tmp_path / name, {"name": ["a"], "label": [0], "scores": [[0.6, 0.4]]})
    damaged = tmp_path / "b" / file
    damaged.write_bytes(damaged.read_bytes()[:-9])
    runs = {name: tmp_path / name for name in ("a", "b")}
    with pytest.raises(UserError, match=rf"b/{file}: expected a .*, got ") as caught:
        ensemble(runs, "both", tmp_path / "s.parquet", tmp_path / "m.json")
    assert "\n" not in str(caught.value)
