"""The training loop: repeatable, resumable, and blind to the test part."""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from danet.clips.sequences import WHOLE, Sequences
from danet.config.base import check
from danet.config.settings import Run
from danet.config.settings import Train as TrainSettings
from danet.cost.measure import make_trial
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.evaluation.evaluate import evaluate
from danet.io.files import read_json
from danet.io.store import open_records, write_records
from danet.metrics import calibration, top_k
from danet.models.weights import read_tensors
from danet.preparation.split import copies_of_training, refuse_leaks, split
from danet.skeleton.recording import Sequence
from danet.training.optimizer import learning_rate
from danet.training.train import refuse_chance, train

SETTINGS = {
    "clips": {"frames": 8},
    "model": {"width": 16, "blocks": 1, "heads": 2},
    "train": {"epochs": 3, "warmup_epochs": 1, "batch_size": 8, "learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Sequences under NW-UCLA's names in which two actions differ in the height of a hand."""
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    sequences = []
    for action in (1, 2):
        for subject in (1, 2, 3, 4):
            for view in (1, 2, 3):
                joints = rng.normal(0, 0.05, (12, 1, 20, 3)) + np.linspace(0, 1, 20)[:, None]
                joints[:, :, 7, 1] += action
                name = f"a{action:02}_s{subject:02}_e00_v{view:02}"
                sequences.append(Sequence(name, joints.astype(np.float32)))
    about = NW_UCLA.describe() | {"prepare": {}}
    write_records(folder / "centred.h5", "centred", (s.to_record() for s in sequences), about)
    run = check(Run, SETTINGS, "test")
    split(NW_UCLA, "cross_view", [s.name for s in sequences], run.split).to_parquet(folder / "split.parquet")
    return folder


def run_once(prepared, folder, seed=0, **changes):
    settings = {key: value | changes.get(key, {}) for key, value in SETTINGS.items()}
    train(
        centred=changes.get("centred", prepared / "centred.h5"),
        split=prepared / "split.parquet",
        run=check(Run, settings, "test"),
        dataset="nw_ucla",
        protocol="cross_view",
        seed=seed,
        code={},
        threads=1,
        folder=folder,
    )
    return read_tensors(folder / "weights.safetensors")[0]


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_the_seed_decides(prepared, tmp_path):
    first = run_once(prepared, tmp_path / "a")
    assert same(first, run_once(prepared, tmp_path / "b"))
    assert not same(first, run_once(prepared, tmp_path / "c", seed=1))


def test_another_epoch_and_another_seed_change_the_augmentation(prepared, monkeypatch, tmp_path):
    """And what a step sees follows from both: the loop's own generator is what `cut` is given."""
    seen = []

    def cut(self, samples, rng, window=WHOLE, cut=Sequences.cut):
        batch = cut(self, samples, rng, window)
        if rng is not None:
            seen.append(batch.channels.tobytes())
        return batch

    monkeypatch.setattr(Sequences, "cut", cut)
    run_once(prepared, tmp_path / "a")
    first = seen.copy()
    assert len(set(first)) == len(first) == 12, "three epochs of two steps, clips and partners"
    seen.clear()
    run_once(prepared, tmp_path / "b")
    assert seen == first
    seen.clear()
    run_once(prepared, tmp_path / "c", seed=1)
    assert not set(seen) & set(first)


@pytest.mark.parametrize("change", [{"accumulate": 3}, {"processes": 2}, {"processes": 2, "accumulate": 2}])
def test_pieces_one_after_the_other_or_in_several_processes_learn_as_the_whole(prepared, tmp_path, change):
    apart = [["joint"], ["bone", "bone_motion"]]
    changes = {"model": {"dropout": 0.5, "blocks": 2, "encoders": apart}, "clips": {"masked_joints": 0.2}}
    run_once(prepared, tmp_path / "whole", train={"bfloat16": False}, **changes)
    run_once(prepared, tmp_path / "pieces", train={"bfloat16": False} | change, **changes)
    losses = [
        [json.loads(line)["train_loss"] for line in (tmp_path / run / "history.jsonl").read_text().splitlines()]
        for run in ("whole", "pieces")
    ]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    assert np.diff(losses[0]).all()


@pytest.mark.parametrize("partners", ["copies", "none"])
def test_other_partners_learn_too(prepared, tmp_path, partners):
    run_once(prepared, tmp_path, train={"partners": partners})
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert all(0 <= row["waited"] < 1 for row in history)


def test_without_a_validation_part_the_last_epoch_is_taken(prepared, tmp_path):
    parts = pd.read_parquet(prepared / "split.parquet").replace({"part": {"validation": "train"}})
    (tmp_path / "data").mkdir()
    parts.to_parquet(tmp_path / "data/split.parquet")
    os.symlink(prepared / "centred.h5", tmp_path / "data/centred.h5")
    run_once(tmp_path / "data", tmp_path / "run")
    run = read_json(tmp_path / "run/run.json")
    assert (run["epoch"], run["validation_top1"]) == (3, None)


def test_the_files_of_a_run(prepared, tmp_path):
    run_once(prepared, tmp_path, train={"epochs": 40, "averaging": 0.5, "keep_epochs": True})
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == list(range(1, 41))
    run = read_json(tmp_path / "run.json")
    assert run["counts"] == {"train": 12, "validation": 4, "test": 8}
    accuracies = [row["validation_top1"] for row in history]
    error = (max(accuracies) * (1 - max(accuracies)) / 4) ** 0.5
    chosen = max(place for place, accuracy in enumerate(accuracies) if accuracy >= max(accuracies) - error)
    assert (run["epoch"], run["validation_top1"]) == (chosen + 1, accuracies[chosen])
    assert run["settings"]["train"]["epochs"] == 40
    assert not (tmp_path / ".resume").exists()
    evaluate(
        weights=tmp_path / "weights.safetensors",
        run=tmp_path / "run.json",
        epochs=tmp_path / "epochs.safetensors",
        centred=prepared / "centred.h5",
        split=prepared / "split.parquet",
        scores=tmp_path / "scores.parquet",
        metrics=tmp_path / "metrics.json",
    )
    scores, metrics = pd.read_parquet(tmp_path / "scores.parquet"), read_json(tmp_path / "metrics.json")
    assert all(name.endswith("v03") for name in scores["name"])
    assert (scores["label"] == [NW_UCLA.parse_name(name).action for name in scores["name"]]).all()
    chances = np.stack(scores["scores"])
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert metrics["top1"] == (chances.argmax(axis=1) == scores["label"]).mean() >= 0.9
    epochs = metrics["epochs"]
    assert epochs["chosen"] == {"epoch": run["epoch"], "top1": metrics["top1"]}
    assert epochs["last"]["epoch"] == 40
    assert epochs["best_on_test"]["top1"] == max(epoch["top1"] for epoch in epochs.values())
    assert metrics["samples"] == metrics["turned"]["samples"] == 8
    turned = dict(zip(metrics["turned"]["degrees"], metrics["turned"]["top1"], strict=True))
    assert list(turned) == list(range(-180, 181, 15))
    assert turned[0] == metrics["top1"]
    assert {worse["plain"] for worse in metrics["worse"]} == {metrics["top1"]}
    assert "people swapped" not in {worse["what"] for worse in metrics["worse"]}, "one person a recording"
    most = {worse["what"]: worse["top1"] for worse in metrics["worse"]}  # of each kind, the strongest comes last
    assert most["joints lost"] < metrics["top1"]


def test_a_network_that_guesses_on_is_stopped_with_a_diagnosis(prepared, tmp_path):
    chance = f"{0.99 * 1.5 * math.log(10):.3f}"
    with pytest.raises(UserError, match=rf"epoch 25: wanted a loss below chance, {chance}, found .*learning_rate"):
        run_once(prepared, tmp_path, train={"epochs": 26, "learning_rate": 1e-9, "crossed": 0.5})
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize(("right", "loss", "stopped"), [(0.9, 0.7, False), (0.5, 1.04, True)])
def test_two_actions_are_judged_by_what_guessing_costs(right, loss, stopped):
    run = check(Run, {"train": {"crossed": 0.5, "batch_size": 8}}, "test")
    row = {"train_loss": loss, "train_top1": right}
    with pytest.raises(UserError, match="chance") if stopped else nullcontext():
        refuse_chance(row, 5, 1000, 2, run)
    refuse_chance(row, 5, 8, 2, run)  # five steps are no trial


def test_flat_key_points_are_learnt(prepared, tmp_path):
    with open_records(prepared / "centred.h5", "centred") as records:
        solid = [Sequence.from_record(record) for record in records]
        flat = [Sequence(each.name, each.joints * np.array([1, 1, 0], np.float32)) for each in solid]
        write_records(tmp_path / "flat.h5", "centred", (each.to_record() for each in flat), records.about)
    clips = {"face_camera": False, "turn_degrees": 0, "tilt_degrees": 0}
    weights = run_once(prepared, tmp_path, clips=clips, centred=tmp_path / "flat.h5")
    assert all(torch.isfinite(values).all() for values in weights.values())
    spread = weights["channel_scale"].reshape(-1, 3)
    assert (spread[:, 2] == 1).all()
    assert (spread[:, :2] < 1).all()


def test_the_test_part_is_not_needed(prepared, tmp_path):
    with_test = run_once(prepared, tmp_path / "a")
    with open_records(prepared / "centred.h5", "centred") as records:
        kept = [record for record in records if not record.name.endswith("v03")]
        write_records(tmp_path / "part.h5", "centred", kept, records.about)
    assert same(with_test, run_once(prepared, tmp_path / "b", centred=tmp_path / "part.h5"))


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_killed_and_started_again_is_as_undisturbed(prepared, tmp_path, epochs):
    settings = {"epochs": 6, "refit": True, "keep_epochs": True}
    whole = run_once(prepared, tmp_path / "whole", train=settings)
    program = f"""
import os, signal, sys
sys.path.insert(0, {os.fspath(os.path.dirname(__file__))!r})
import test_train
from pathlib import Path
from danet import train
def keep_and_die(state, folder, identity, keep=train.keep):
    keep(state, folder, identity)
    if len(state.history) == {epochs}:
        os.kill(os.getpid(), signal.SIGKILL)
train.keep = keep_and_die
prepared, folder = Path({os.fspath(prepared)!r}), Path({os.fspath(tmp_path / "killed")!r})
test_train.run_once(prepared, folder, train={settings!r})
"""
    killed = subprocess.run([sys.executable, "-c", program])
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/weights.safetensors").exists()
    resumed = run_once(prepared, tmp_path / "killed", train=settings)
    assert same(whole, resumed)
    every = [(tmp_path / run / "epochs.safetensors").read_bytes() for run in ("whole", "killed")]
    assert every[0] == every[1]


def test_a_refit_learns_from_the_validation_part_too(prepared, tmp_path):
    kept = run_once(prepared, tmp_path / "a")
    refitted = run_once(prepared, tmp_path / "b", train={"refit": True})
    assert not same(kept, refitted)
    history = [json.loads(line) for line in (tmp_path / "b/history.jsonl").read_text().splitlines()]
    chosen = read_json(tmp_path / "b/run.json")["epoch"]
    assert [row["validation_top1"] is None for row in history] == [False] * 3 + [True] * chosen
    assert history[:3] != history[3:]


def test_state_of_another_run_is_not_taken_up(prepared, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("danet.train.write_text", lambda *_: 1 / 0)  # ends after the last epoch, before the last file
        with pytest.raises(ZeroDivisionError):
            run_once(prepared, tmp_path / "a")
    assert (tmp_path / "a/.resume/state.safetensors").exists()
    changed = {"learning_rate": 0.02}
    assert same(run_once(prepared, tmp_path / "a", train=changed), run_once(prepared, tmp_path / "b", train=changed))


def test_state_learnt_from_another_split_is_not_taken_up(prepared, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("danet.train.write_text", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_once(prepared, tmp_path / "a")
    (tmp_path / "other").mkdir()
    parts = pd.read_parquet(prepared / "split.parquet")
    held_out = parts["part"].eq("train") & parts["name"].str.contains("_s01_")
    assert held_out.any()
    parts.loc[held_out, "part"] = "validation"
    parts.to_parquet(tmp_path / "other/split.parquet")
    (tmp_path / "other/centred.h5").symlink_to(prepared / "centred.h5")
    assert same(run_once(tmp_path / "other", tmp_path / "a"), run_once(tmp_path / "other", tmp_path / "b"))


def test_a_test_sample_that_is_a_copy_of_a_training_sample(tmp_path):
    sequences = [Sequence(f"{name}", np.ones((2, 1, 25, 3), np.float32), content=7) for name in ("a", "b", "c")]
    write_records(tmp_path / "x.h5", "centred", (s.to_record() for s in sequences), {})
    with open_records(tmp_path / "x.h5", "centred") as records:
        parts = {"a": "train", "b": "test"}
        assert copies_of_training(records, parts) == {"b": "a"}
        with pytest.raises(UserError, match="b, a copy of a"):
            refuse_leaks(records, parts, UESTC)
        refuse_leaks(records, parts, NW_UCLA)
        refuse_leaks(records, {"a": "train", "b": "validation", "c": ""}, UESTC)


def test_a_loss_that_is_not_finite_stops_the_run(prepared, tmp_path):
    with pytest.raises(UserError, match="wanted a finite loss"):
        run_once(prepared, tmp_path, train={"learning_rate": 1e30, "warmup_epochs": 0})


def test_missing_parts_are_named(prepared, tmp_path):
    write_records(tmp_path / "empty.h5", "centred", [], NW_UCLA.describe() | {"prepare": {}})
    with pytest.raises(UserError, match="found none"):
        run_once(prepared, tmp_path, centred=tmp_path / "empty.h5")


def test_partners_teach_and_are_not_taught():
    """And what they teach are the three terms that the settings weigh: without those, they change nothing."""
    trial = make_trial(check(Run, SETTINGS, "test"), NW_UCLA, threads=1)
    step = trial.step(4)
    weighed = {"crossed": 0.0, "map_agreement": 0.0, "feature_agreement": 0.0}

    def loss(step, **changed):
        return trial.loss(step, TrainSettings(**weighed | changed))

    for term in weighed:
        assert not torch.equal(loss(step, **{term: 1.0}), loss(step)), term
    assert torch.equal(loss(step), loss(replace(step, partners=None)))
    loss(step, **dict.fromkeys(weighed, 1.0)).backward()
    assert all(parameter.grad is None for parameter in trial.state.mean.parameters())
    assert all(parameter.grad.any() for parameter in trial.state.model.encoders.parameters())


def test_an_encoder_learns_as_if_it_were_alone():
    """The loss of several is the mean of what each would have by itself, and so is what it teaches them."""
    streams = {"clips": {"frames": 8, "streams": ["joint", "bone"], "mirror": 0}}
    model = SETTINGS["model"] | {"dropout": 0.0}
    weights = TrainSettings(map_agreement=0.5)

    def learnt(encoders, state=None):
        trial = make_trial(check(Run, streams | {"model": model | {"encoders": encoders}}, "test"), NW_UCLA, threads=1)
        if state:
            for network in (trial.state.model, trial.state.mean):
                network.encoders[0].load_state_dict(state)
        loss = trial.loss(trial.step(4), weights)
        loss.backward()
        return loss.detach(), trial.state.model.encoders

    loss, encoders = learnt([["joint"], ["bone"]])
    alone = [learnt([names], each.state_dict()) for names, each in zip([["joint"], ["bone"]], encoders, strict=True)]
    torch.testing.assert_close(loss, sum(each for each, _ in alone) / 2)
    for together, (_, [by_itself]) in zip(encoders, alone, strict=True):
        for one, other in zip(together.parameters(), by_itself.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad / 2)


@pytest.mark.parametrize(("schedule", "after"), [("cosine", [1, 0.5, 0]), ("constant", [1, 1, 1])])
def test_learning_rate_rises_and_then_does_as_the_schedule_says(schedule, after):
    settings = TrainSettings(epochs=10, warmup_epochs=2, learning_rate=1.0, schedule=schedule)
    rates = [learning_rate(settings, done, 10) for done in (0, 1, 2, 6, 10)]
    assert rates == pytest.approx([0, 0.5, *after])


def test_scores():
    chances = np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    assert top_k(chances, np.array([1, 1]), 1) == 0
    assert top_k(chances, np.array([1, 1]), 2) == 1


def test_calibration_is_the_mean_distance_of_score_and_share_right():
    scores = np.array([[0.9, 0.1], [0.91, 0.09], [0.88, 0.12], [0.4, 0.6]])
    found = calibration(scores, np.array([0, 0, 1, 1]))
    assert [each["samples"] for each in found["bins"]] == [1, 3]
    assert found["bins"][1] == pytest.approx({"samples": 3, "confidence": 0.8966667, "accuracy": 2 / 3})
    assert found["error"] == pytest.approx((0.4 + 3 * (0.8966667 - 2 / 3)) / 4)
