"""Evaluation on the test part: scores by name, and accuracies that follow from them."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_training import make_prepared, train_once

from danet.datasets.nw_ucla import NW_UCLA
from danet.errors import UserError
from danet.evaluation.attention import attention_maps
from danet.evaluation.evaluate import evaluate
from danet.io.files import read_json


def evaluated(prepared, run, out, **changes):
    """The scores and the metrics of a run, written into the folder `out`."""
    evaluate(
        weights=run / "weights.safetensors",
        run=run / "run.json",
        centred=prepared / "centred.h5",
        split=prepared / "split.parquet",
        dataset=NW_UCLA,
        scores=out / "scores.parquet",
        metrics=out / "metrics.json",
        **changes,
    )
    return pd.read_parquet(out / "scores.parquet"), read_json(out / "metrics.json")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_once(prepared, folder, method="mine", train={"epochs": 40, "ema_decay": 0.5, "keep_epochs": True})
    return folder


@pytest.fixture(scope="module")
def whole(prepared, run):
    return evaluated(prepared, run, run, epochs=run / "epochs.safetensors")


def test_evaluate_scores_the_test_part_by_name(whole):
    scores, metrics = whole
    assert all(name.endswith("v03") for name in scores["name"])
    assert scores["name"].is_unique
    assert len(scores) == metrics["samples"] == 8
    assert (scores["label"] == [NW_UCLA.sample(name).action for name in scores["name"]]).all()
    probabilities = np.stack(scores["scores"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (scores["prediction"] == probabilities.argmax(axis=1)).all()
    assert metrics["top1"] == (scores["prediction"] == scores["label"]).mean() >= 0.9
    assert (metrics["dataset"], metrics["protocol"], metrics["method"]) == ("nw_ucla", "cross_view", "mine")
    assert metrics["multi_view"] is None, "one view is tested"


def test_evaluate_says_what_each_epoch_would_have_scored(whole, run):
    metrics, recorded = whole[1], read_json(run / "run.json")
    epochs = metrics["epochs"]
    assert epochs["chosen"] == {"epoch": recorded["epoch"], "top1": metrics["top1"]}
    assert epochs["last"]["epoch"] == 40
    assert epochs["best_on_test"]["top1"] == max(epoch["top1"] for epoch in epochs.values())
    for key in ("epoch", "validation_top1", "parameters", "seconds"):
        assert metrics[key] == recorded[key]


def test_evaluate_turns_and_corrupts_the_same_samples(whole):
    _, metrics = whole
    assert metrics["turned"]["samples"] == 8
    turned = dict(zip(metrics["turned"]["degrees"], metrics["turned"]["top1"], strict=True))
    assert list(turned) == list(range(-180, 181, 15))
    assert turned[0] == metrics["top1"]
    corruptions = metrics["corruptions"]
    assert {each["plain"] for each in corruptions} == {metrics["top1"]}
    assert {each["samples"] for each in corruptions} == {8}
    kinds = {each["what"] for each in corruptions}
    assert kinds == {"joints not found", "joints lost", "jitter", "frames lost", "lower frame rate", "cut short"}, (
        "one person a recording"
    )
    strongest = {each["what"]: each["top1"] for each in corruptions}  # of each kind it comes last
    assert strongest["joints lost"] < metrics["top1"]


def test_evaluate_scores_the_validation_part_by_name(prepared, run, whole, tmp_path):
    """Of the weights that were chosen by it, with the columns of the test part's scores."""
    evaluated(prepared, run, tmp_path, validation=tmp_path / "validation.parquet", corrupted_samples=0)
    table = pd.read_parquet(tmp_path / "validation.parquet")
    parts = pd.read_parquet(prepared / "split.parquet").set_index("name")["part"]
    assert sorted(table["name"]) == sorted(parts.index[parts == "validation"])
    assert not set(table["name"]) & set(whole[0]["name"])
    assert (table["label"] == [NW_UCLA.sample(name).action for name in table["name"]]).all()
    assert (table["prediction"] == table["label"]).mean() == read_json(run / "run.json")["validation_top1"]
    assert columns(tmp_path / "validation.parquet") == columns(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scores.parquet"), whole[0])


def columns(path):
    """The names and types of a table's columns."""
    schema = pq.read_schema(path)
    return list(zip(schema.names, schema.types, strict=True))


@pytest.mark.parametrize("kept", ["nothing held out", "refit"])
def test_evaluate_writes_no_validation_scores_that_tell_nothing(kept, tmp_path):
    prepared = make_prepared(tmp_path, validation_share=0.1 if kept == "refit" else 0)
    train_once(prepared, tmp_path / "run", train={"epochs": 1, "refit": kept == "refit"})
    path = tmp_path / "validation.parquet"
    evaluated(prepared, tmp_path / "run", tmp_path, validation=path, corrupted_samples=0)
    assert len(pd.read_parquet(path)) == 0
    assert columns(path) == columns(tmp_path / "scores.parquet")


def test_evaluate_corrupts_at_most_as_many_samples_as_asked(prepared, run, tmp_path):
    _, metrics = evaluated(prepared, run, tmp_path, corrupted_samples=3)
    assert metrics["turned"]["samples"] == 3
    assert {each["samples"] for each in metrics["corruptions"]} == {3}
    assert metrics["samples"] == 8


def test_evaluate_without_epochs_and_corruptions_leaves_them_out(prepared, run, whole, tmp_path):
    scores, metrics = evaluated(prepared, run, tmp_path, corrupted_samples=0)
    pd.testing.assert_frame_equal(scores, whole[0])
    left_out = {"epochs": None, "turned": None, "corruptions": []}
    assert metrics == whole[1] | left_out


def test_evaluate_refuses_a_run_record_that_is_none(prepared, run, tmp_path):
    (tmp_path / "weights.safetensors").symlink_to(run / "weights.safetensors")
    (tmp_path / "run.json").write_text('{"dataset": "nw_ucla"}')
    with pytest.raises(UserError, match=r"run\.json: 'title': expected a value, got none"):
        evaluated(prepared, tmp_path, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_evaluate_refuses_epochs_of_another_network(prepared, run, tmp_path):
    train_once(prepared, tmp_path / "wide", train={"epochs": 1, "keep_epochs": True}, model={"width": 32})
    for epochs, got in (
        (run / "weights.safetensors", "'channel_scale': expected weights of an epoch"),
        (tmp_path / "wide/epochs.safetensors", r"'1\..*': expected weights of an epoch, .* of the shape"),
    ):
        with pytest.raises(UserError, match=f"{epochs}: {got}") as caught:
            evaluated(prepared, run, tmp_path, epochs=epochs)
        assert len(str(caught.value)) <= 500
    assert not (tmp_path / "metrics.json").exists()


def test_every_stage_refuses_sequences_with_a_flipped_bit(prepared, run, tmp_path):
    """Where they are learnt from, tested on and looked at."""
    content = bytearray((prepared / "centred.h5").read_bytes())
    with h5py.File(prepared / "centred.h5") as file:
        content[file["rows/joints"].id.get_chunk_info(0).byte_offset + 10] ^= 1
    (tmp_path / "centred.h5").write_bytes(content)
    shutil.copy(prepared / "split.parquet", tmp_path)
    maps = {"maps": tmp_path / "maps.parquet", "shown": tmp_path / "shown.json", "dataset": NW_UCLA}
    data = {"centred": tmp_path / "centred.h5", "split": tmp_path / "split.parquet"}
    for stage in (
        lambda: train_once(tmp_path, tmp_path / "run"),
        lambda: evaluated(tmp_path, run, tmp_path),
        lambda: attention_maps(weights=run / "weights.safetensors", **data, **maps),
    ):
        with pytest.raises(UserError, match=r"centred\.h5: expected contents of hash .* the file is damaged"):
            stage()
