"""Runs combined into one accuracy: an ensemble's averaged scores, and the folds of a protocol."""

import numpy as np
import pandas as pd
import pytest

from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.evaluation.combine import PSEUDO_OBSERVATIONS, average_folds, ensemble, likeliest_weights
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


def write_validation(folder, scores, **columns):
    """Writes scores of a run's validation samples beside it; they are named v0, v1, ... and labelled 0, 1, 0, ..."""
    scores = np.asarray(scores, np.float32)
    table = {"name": [f"v{index}" for index in range(len(scores))], "label": np.arange(len(scores)) % 2}
    table |= {"segment": 0, "copy": False, "prediction": scores.argmax(axis=1), "scores": list(scores)}
    pd.DataFrame(table | columns).to_parquet(folder / "validation.parquet")


def two_right(shares):
    """Scores (N, 2) of the samples of `write_validation`, whose label gets these shares (N,)."""
    labels = np.arange(len(shares)) % 2
    return np.stack([np.where(labels == action, shares, 1 - np.asarray(shares)) for action in (0, 1)], axis=1)


@pytest.fixture
def weighed(tmp_path):
    """What makes an ensemble of two runs, the first of which is sure and right on most of 200 validation samples."""
    good = np.where(np.arange(200) % 10, 0.9, 0.2)
    table = {"name": ["a", "b", "c"], "label": [0, 1, 1]}
    runs = {
        "joint": write_run(tmp_path / "joint", table | {"scores": [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]}),
        "bone": write_run(tmp_path / "bone", table | {"scores": [[0.2, 0.8], [0.8, 0.2], [0.9, 0.1]]}),
    }
    write_validation(runs["joint"], two_right(good))
    write_validation(runs["bone"], two_right(np.full(200, 0.5)))

    def weigh(weights="validation"):
        ensemble(runs, "both", tmp_path / "both.parquet", tmp_path / "both.json", weights)
        return read_json(tmp_path / "both.json"), pd.read_parquet(tmp_path / "both.parquet")

    weigh.runs = runs
    return weigh


def test_ensemble_weighs_its_members_as_the_validation_part_asks(weighed):
    """The better member by its likelihood: of 10 samples it gives nine labels 0.9 and one 0.2, the other all 0.5."""
    metrics, table = weighed()
    weights = metrics["members"]
    assert metrics["member_weights"] == "validation"
    grid = np.linspace(0.001, 0.999, 999)  # over all weights, with each member's pseudo-observations
    likelihood = 180 * np.log(grid * 0.9 + (1 - grid) * 0.5) + 20 * np.log(grid * 0.2 + (1 - grid) * 0.5)
    best = grid[(likelihood + PSEUDO_OBSERVATIONS * (np.log(grid) + np.log(1 - grid))).argmax()]
    assert weights["joint"] == pytest.approx(best, abs=0.001)
    assert weights["joint"] > 0.7
    assert sum(weights.values()) == pytest.approx(1)
    mean = weights["joint"] * np.array([0.9, 0.4, 0.3]) + weights["bone"] * np.array([0.2, 0.8, 0.9])
    np.testing.assert_allclose([scores[0] for scores in table["scores"]], mean, atol=1e-6)
    assert metrics["top1"] == 1


def test_ensemble_has_equal_weights_unless_asked(weighed):
    metrics, _ = weighed("equal")
    assert (metrics["members"], metrics["member_weights"]) == ({"joint": 0.5, "bone": 0.5}, "equal")


def test_labels_of_the_test_part_choose_no_weights(weighed):
    """Permuted, or put on their heads, they change the accuracy, and no weight and no score."""
    metrics, table = weighed()
    for labels in ([1, 0, 1], [1, 1, 0], [1, 0, 0]):
        for folder in weighed.runs.values():
            scores = pd.read_parquet(folder / "scores.parquet")
            scores.assign(label=labels).to_parquet(folder / "scores.parquet")
        again, scores = weighed()
        assert again["members"] == metrics["members"]
        assert again["top1"] < metrics["top1"]
        assert [row.tolist() for row in scores["scores"]] == [row.tolist() for row in table["scores"]]


def test_validation_samples_are_matched_by_name_and_segment(weighed):
    metrics, _ = weighed()
    folder = weighed.runs["bone"]
    table = pd.read_parquet(folder / "validation.parquet")
    table["scores"] = list(two_right(np.linspace(0.1, 0.9, 200)).astype(np.float32))
    table.to_parquet(folder / "validation.parquet")
    ordered, _ = weighed()
    table.sample(frac=1, random_state=0).to_parquet(folder / "validation.parquet")
    assert weighed()[0]["members"] == ordered["members"] != metrics["members"]


def test_copies_of_training_samples_choose_no_weights(weighed):
    """A member that knows them by heart is no better for it."""
    metrics, _ = weighed()
    for folder, shares in zip(weighed.runs.values(), (0.01, 1.0), strict=True):
        table = pd.read_parquet(folder / "validation.parquet")
        known = table.assign(name="x" + table["name"], copy=True, scores=list(two_right(np.full(200, shares))))
        pd.concat([table, known]).to_parquet(folder / "validation.parquet")
    assert weighed()[0]["members"] == metrics["members"]


def test_ensemble_refuses_what_cannot_weigh_its_members(weighed):
    path = weighed.runs["bone"] / "validation.parquet"
    table = pd.read_parquet(path)
    why = "split.validation_share is 0 or train.refit is on"
    nan = [np.array([0.5, np.nan])] * 200
    for changed, told in (
        (table.iloc[:0], f"expected validation samples to choose the weights by, got none: {why}"),
        (table.iloc[1:], f"expected the validation samples of {weighed.runs['joint']}/validation.parquet, got others"),
        (table.assign(label=0), "expected the validation samples of "),
        (table.assign(scores=[np.array([-3.0, 2.0])] * 200), "expected probabilities, got scores from -3 to 2"),
        (table.assign(scores=nan), "expected probabilities, got scores from nan to nan"),
    ):
        changed.to_parquet(path)
        with pytest.raises(UserError) as caught:
            weighed()
        assert str(caught.value).startswith(f"{path}: {told}")
    path.unlink()
    with pytest.raises(UserError, match=r"bone/validation\.parquet: expected a Parquet file, got "):
        weighed()
    weighed("equal")


@pytest.mark.parametrize("members", [1, 2, 4])
def test_likeliest_weights_of_equal_members_are_equal(members, rng):
    likelihoods = np.repeat(rng.random((30, 1)), members, axis=1)
    np.testing.assert_allclose(likeliest_weights(likelihoods), 1 / members, atol=1e-12)
    np.testing.assert_allclose(likeliest_weights(likelihoods[:0]), 1 / members, atol=1e-12)


def test_likeliest_weights_give_no_member_up_for_a_few_samples():
    """Where N samples all speak for one of two, the other keeps what its pseudo-observations are of all."""
    for count in (1, 3, 50):
        least = PSEUDO_OBSERVATIONS / (count + 2 * PSEUDO_OBSERVATIONS)
        np.testing.assert_allclose(likeliest_weights(np.tile([1.0, 0.0], (count, 1))), [1 - least, least])


def test_likeliest_weights_pass_over_labels_that_no_member_holds_possible(rng):
    likelihoods = rng.random((40, 3))
    impossible = np.vstack([likelihoods, np.zeros((5, 3))])
    weights = likeliest_weights(impossible)
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1)
    assert weights.argmax() == likeliest_weights(likelihoods).argmax()


def test_likeliest_weights_stand_still(rng):
    """A further step of EM moves none of them, and no other weights make the labels likelier."""
    likelihoods = rng.random((60, 4)) ** 2

    def likelihood(weights):
        return np.log(likelihoods @ weights).sum() + PSEUDO_OBSERVATIONS * np.log(weights).sum()

    weights = likeliest_weights(likelihoods)
    shares = weights * likelihoods / (likelihoods @ weights)[:, None]
    step = shares.sum(axis=0) + PSEUDO_OBSERVATIONS
    np.testing.assert_allclose(step / step.sum(), weights, atol=1e-7)
    others = rng.dirichlet(np.ones(4), 1000)
    assert max(map(likelihood, others)) < likelihood(weights)
    assert likelihood(weights) > likelihood(np.full(4, 0.25))


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
    with pytest.raises(
        UserError, match=r"two/scores\.parquet: expected the test samples of .*one/scores\.parquet, got others"
    ):
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
