"""The training loop: repeatable, resumable, and blind to the test part."""

import math
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_training import SETTINGS, Convolutional, history_of, make_prepared, train_once

from danet.clips.sequences import WHOLE, Sequences
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.config.settings import Run, check_config
from danet.cost.measure import make_benchmark_run
from danet.datasets.ntu import NTU60
from danet.datasets.nw_ucla import NW_UCLA
from danet.errors import UserError
from danet.io.files import read_json
from danet.io.store import open_records, write_records
from danet.models.registry import CLASSES
from danet.models.weights import load_model, read_tensors, save_weights
from danet.skeleton.recording import Sequence
from danet.training import train as training
from danet.training.learner import channel_spread
from danet.training.optimizer import learning_rate
from danet.training.train import refuse_chance


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_train_follows_the_seed(prepared, tmp_path):
    first = train_once(prepared, tmp_path / "a")
    assert same(first, train_once(prepared, tmp_path / "b"))
    assert not same(first, train_once(prepared, tmp_path / "c", seed=1))


def test_train_cuts_each_epoch_and_each_seed_anew(prepared, monkeypatch, tmp_path):
    """And what a step sees follows from both: the loop's own generator is what `cut` is given."""
    seen = []

    def cut(self, samples, rng, crop=WHOLE, cut=Sequences.cut):
        batch = cut(self, samples, rng, crop)
        if rng is not None:
            seen.append(batch.channels.tobytes())
        return batch

    monkeypatch.setattr(Sequences, "cut", cut)
    train_once(prepared, tmp_path / "a")
    first = seen.copy()
    assert len(set(first)) == len(first) == 12, "three epochs of two steps, clips and partners"
    seen.clear()
    train_once(prepared, tmp_path / "b")
    assert seen == first
    seen.clear()
    train_once(prepared, tmp_path / "c", seed=1)
    assert not set(seen) & set(first)


@pytest.mark.parametrize("change", [{"grad_accum_steps": 3}, {"processes": 2}, {"processes": 2, "grad_accum_steps": 2}])
def test_train_in_micro_batches_or_processes_learns_as_the_whole(prepared, tmp_path, change):
    apart = [["joint"], ["bone", "bone_motion"]]
    changes = {"model": {"drop_path": 0.5, "blocks": 2, "encoders": apart}, "clips": {"masked_joints": 0.2}}
    train_once(prepared, tmp_path / "whole", train={"bfloat16": False}, **changes)
    train_once(prepared, tmp_path / "parts", train={"bfloat16": False} | change, **changes)
    losses = [[row["train_loss"] for row in history_of(tmp_path / run)] for run in ("whole", "parts")]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    assert np.diff(losses[0]).all()


@pytest.mark.parametrize("paired_views", ["copies", "none"])
def test_train_learns_from_copies_and_without_partners(prepared, tmp_path, paired_views):
    train_once(prepared, tmp_path, train={"paired_views": paired_views})
    history = history_of(tmp_path)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert all(0 <= row["waited"] < 1 for row in history)


@pytest.mark.parametrize("telling", [True, False])
def test_train_says_that_it_ended_near_chance(tmp_path, caplog, capsys, telling):
    """Recordings that say nothing of their labels may be known by heart; those held out tell."""
    make_prepared(tmp_path, subjects=10, telling=telling, validation_share=0.5)
    train_once(tmp_path, tmp_path / "run", train={"epochs": 12, "ema_decay": 0.5})
    told = read_json(tmp_path / "run/run.json")["near_chance"]
    error = capsys.readouterr().err
    if telling:
        assert (told, "near chance" in error) == (None, False)
    else:
        assert (told["part"], told["samples"], told["chance"]) == ("validation", 20, 0.5)
        line = "danet: nw_ucla/cross_view danet seed 0: near chance: .* % of 20 validation samples labelled rightly"
        assert re.search(f"^{line}", error, re.MULTILINE)
        assert "near chance" in caplog.text


@pytest.fixture
def convolutional(monkeypatch):
    """In this test danet's settings make a network with a convolution and a BatchNorm."""
    monkeypatch.setitem(CLASSES, "danet", f"{Convolutional.__module__}.{Convolutional.__name__}")


def test_train_evaluates_the_statistics_of_the_trained_network(prepared, tmp_path, monkeypatch, convolutional):
    train = {"epochs": 12, "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4, "max_grad_norm": 0}
    stopped_at_its_last_file(prepared, tmp_path, monkeypatch, train=train)
    tensors, _ = read_tensors(tmp_path / ".resume/state.safetensors")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    trained, evaluated = ([tensors[f"{of}.norm.{name}"] for name in statistics] for of in ("model", "ema_model"))
    assert all(map(torch.equal, trained, evaluated))
    assert trained[0].abs().min() > 0
    assert trained[2] == 12 * 2, "two steps an epoch"
    assert not torch.equal(tensors["model.label.weight"], tensors["ema_model.label.weight"])
    train_once(prepared, tmp_path, train=train)
    assert history_of(tmp_path)[-1]["validation_top1"] == 1
    model, _ = load_model(tmp_path / "weights.safetensors")
    assert torch.equal(model.norm.running_mean, evaluated[0])


@pytest.mark.parametrize("name", ["grad_accum_steps", "processes"])
def test_train_refuses_to_cut_the_batches_of_a_batch_norm(prepared, tmp_path, convolutional, name):
    told = f"expected 'train.{name}' 1 for BatchNorm, which has to see whole batches, got 2"
    with pytest.raises(UserError, match=f"^{told}$"):
        train_once(prepared, tmp_path, train={name: 2})
    assert not (tmp_path / ".resume").exists()


def test_learner_pads_no_batch_of_a_batch_norm(monkeypatch):
    """Empty clips, which keep the shapes of recorded steps few, would enter its statistics."""
    learnt = []
    for path in (CLASSES["danet"], f"{Convolutional.__module__}.{Convolutional.__name__}"):
        monkeypatch.setitem(CLASSES, "danet", path)
        benchmark = make_benchmark_run(check(Run, SETTINGS, "test"), NTU60, threads=1)
        monkeypatch.setattr(benchmark.learner, "records", True)
        monkeypatch.setattr(benchmark.learner, "_learn_micro_batch", lambda *a: learnt.append(a) or torch.zeros(2))
        benchmark.learner.learn(benchmark.batch(10))
    assert [len(owner) for _, _, _, _, owner, *_ in learnt] == [21, 20]


def test_train_gives_no_partners_to_a_network_that_learns_from_none(prepared, tmp_path, convolutional):
    views, none = (
        train_once(prepared, tmp_path / kind, train={"paired_views": kind, "epochs": 1}) for kind in ("views", "none")
    )
    assert same(views, none)


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam", "sgd"])
def test_train_goes_on_to_the_same_weights_by_each_optimizer(prepared, tmp_path, monkeypatch, convolutional, optimizer):
    train = {"optimizer": optimizer, "schedule": "step", "milestones": [2]}
    whole = train_once(prepared, tmp_path / "whole", train=train)

    def keep_and_stop(*arguments, keep=training.keep):
        keep(*arguments)
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(training, "keep", keep_and_stop)
        with pytest.raises(InterruptedError):
            train_once(prepared, tmp_path / "resumed", train=train)
    assert same(whole, train_once(prepared, tmp_path / "resumed", train=train))
    assert len(history_of(tmp_path / "resumed")) == 3


def test_train_follows_the_optimizer_and_the_schedule_of_a_method(prepared, tmp_path, monkeypatch):
    recipe = {"optimizer": "sgd", "schedule": "step", "milestones": [2, 3], "decay_factor": 0.5, "epochs": 4}
    config = check_config({**SETTINGS, "methods": {"danet": {}, "steps": {"train": recipe}}})
    settings = config.run("nw_ucla", "steps").train
    stopped_at_its_last_file(prepared, tmp_path, monkeypatch, method="steps", train=settings.model_dump())
    tensors, kept = read_tensors(tmp_path / ".resume/state.safetensors")
    assert {key.rpartition(".")[2] for key in tensors if key.startswith("optimizer")} == {"momentum_buffer"}
    rates = [row["learning_rate"] for row in kept["history"]]
    assert rates == [learning_rate(settings, epoch + 0.5, 4) for epoch in range(4)], "of the second of two steps"
    assert rates == pytest.approx([0.005, 0.01, 0.005, 0.0025])


def test_train_clips_the_gradient_only_where_it_is_asked_to(prepared, tmp_path):
    sgd = {"epochs": 1, "optimizer": "sgd"}
    any_norm, large, small = (
        train_once(prepared, tmp_path / str(most), train={**sgd, "max_grad_norm": most}) for most in (0, 1e9, 1e-3)
    )
    assert same(any_norm, large)
    assert not same(any_norm, small)


def spread_of(recordings):
    sequences = [Sequence(str(number), joints.astype(np.float32)) for number, joints in enumerate(recordings)]
    streams = {"frames": 16, "streams": ["joint", "joint_motion"], "face_camera": False}
    return channel_spread(Sequences(sequences, NW_UCLA.layout, check(ClipSettings, streams, "test")))


def test_channel_spread_is_not_moved_by_a_recording_of_garbage(rng):
    recordings = list(rng.normal(0, 0.3, (20, 40, 1, 20, 3)))
    clean = spread_of(recordings)
    recordings[5][10:26] = rng.normal(0, 1e6, (16, 1, 20, 3))
    np.testing.assert_allclose(spread_of(recordings), clean, rtol=0.05)


def test_channel_spread_is_of_clips_in_which_a_channel_says_anything(rng):
    flat = rng.normal(0, 0.3, (20, 40, 1, 20, 3)) * [1, 1, 0]
    spread = spread_of(flat)
    assert (spread[[2, 5]] == 1).all()
    still = np.array([joints if number < 5 else joints[:1].repeat(40, axis=0) for number, joints in enumerate(flat)])
    np.testing.assert_allclose(spread_of(still)[3:5], spread[3:5], rtol=0.05)
    flat[5] *= 1e6
    assert (spread_of(flat)[[2, 5]] == 1).all()


def test_train_refuses_a_test_part_of_which_nothing_was_prepared(prepared, tmp_path):
    parts = pd.read_parquet(prepared / "split.parquet")
    parts["name"] = parts["name"].where(parts["part"] != "test", parts["name"].str.replace("e00", "e01"))
    parts.to_parquet(tmp_path / "split.parquet")
    os.symlink(prepared / "centred.h5", tmp_path / "centred.h5")
    with pytest.raises(UserError, match="expected test samples of nw_ucla/cross_view, got none that were prepared"):
        train_once(tmp_path, tmp_path / "run")


def test_train_without_a_validation_part_takes_the_last_epoch(prepared, tmp_path):
    parts = pd.read_parquet(prepared / "split.parquet").replace({"part": {"validation": "train"}})
    (tmp_path / "data").mkdir()
    parts.to_parquet(tmp_path / "data/split.parquet")
    os.symlink(prepared / "centred.h5", tmp_path / "data/centred.h5")
    train_once(tmp_path / "data", tmp_path / "run")
    run = read_json(tmp_path / "run/run.json")
    assert run["threads"] == 1
    assert (run["epoch"], run["validation_top1"]) == (3, None)
    _, description = load_model(tmp_path / "run/weights.safetensors")
    assert description["unknown_below"] is None


def test_train_chooses_the_last_epoch_within_a_standard_error_of_the_best(prepared, tmp_path):
    train_once(prepared, tmp_path, method="mine", train={"epochs": 40, "ema_decay": 0.5})
    history = history_of(tmp_path)
    assert [row["epoch"] for row in history] == list(range(1, 41))
    run = read_json(tmp_path / "run.json")
    assert run["counts"] == {"train": 12, "validation": 4, "test": 8}
    accuracies = [row["validation_top1"] for row in history]
    assert len(set(accuracies)) > 1
    error = (max(accuracies) * (1 - max(accuracies)) / 4) ** 0.5
    chosen = max(index for index, accuracy in enumerate(accuracies) if accuracy >= max(accuracies) - error)
    assert (run["epoch"], run["validation_top1"]) == (chosen + 1, accuracies[chosen])
    assert run["seconds"] == pytest.approx(sum(row["seconds"] for row in history))
    assert run["settings"]["train"]["epochs"] == 40
    assert not (tmp_path / ".resume").exists()
    model, description = load_model(tmp_path / "weights.safetensors")
    assert run["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert run["method"] == description["method"] == "mine"
    assert 0 < description["unknown_below"] <= 1


def test_train_stops_a_network_that_guesses_on(prepared, tmp_path):
    chance = f"{0.99 * 1.5 * math.log(10):.3f}"
    with pytest.raises(UserError, match=rf"epoch 25: expected a loss below chance, {chance}, got .*learning_rate"):
        train_once(prepared, tmp_path, train={"epochs": 26, "learning_rate": 1e-9}, model={"cross_view_weight": 0.5})
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize(("right", "loss", "stopped"), [(0.9, 0.7, False), (0.5, 1.04, True)])
def test_refuse_chance_judges_two_actions_by_what_guessing_costs(right, loss, stopped):
    run = check(Run, {"model": {"cross_view_weight": 0.5}, "train": {"batch_size": 8}}, "test")
    model = make_benchmark_run(run, NW_UCLA, threads=1).state.model
    task = SimpleNamespace(run=run, dataset=SimpleNamespace(actions=("a", "b")))
    row = {"train_loss": loss, "train_top1": right}
    with pytest.raises(UserError, match="chance") if stopped else nullcontext():
        refuse_chance(row, 5, 1000, model, task)
    refuse_chance(row, 5, 8, model, task)  # five steps are no trial


def test_train_takes_flat_key_points(prepared, tmp_path):
    with open_records(prepared / "centred.h5", "centred") as records:
        solid = [Sequence.from_record(record) for record in records]
        flat = [Sequence(each.name, each.joints * np.array([1, 1, 0], np.float32)) for each in solid]
        write_records(tmp_path / "flat.h5", "centred", (each.to_record() for each in flat), records.about)
    clips = {"face_camera": False, "turn_degrees": 0, "tilt_degrees": 0}
    weights = train_once(prepared, tmp_path, clips=clips, centred=tmp_path / "flat.h5")
    assert all(torch.isfinite(values).all() for values in weights.values())
    spread = weights["channel_scale"].reshape(-1, 3)
    assert (spread[:, 2] == 1).all()
    assert (spread[:, :2] < 1).all()


def test_train_does_not_look_at_the_test_part(prepared, tmp_path):
    with_test = train_once(prepared, tmp_path / "a")
    with open_records(prepared / "centred.h5", "centred") as records:
        factors = ((record, -9 if record.name.endswith("v03") else 1) for record in records)
        changed = [replace(record, rows={"joints": record.rows["joints"] * factor}) for record, factor in factors]
        write_records(tmp_path / "changed.h5", "centred", changed, records.about)
    assert same(with_test, train_once(prepared, tmp_path / "b", centred=tmp_path / "changed.h5"))


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_train_killed_and_started_again_is_as_undisturbed(prepared, tmp_path, epochs):
    settings = {"epochs": 6, "refit": True, "keep_epochs": True}
    whole = train_once(prepared, tmp_path / "whole", train=settings)
    program = f"""
import os, signal, sys
sys.path.insert(0, {os.fspath(os.path.dirname(__file__))!r})
from pathlib import Path
import danet.training.train as training
from made_training import train_once
def keep_and_die(state, folder, identity, keep=training.keep):
    keep(state, folder, identity)
    if len(state.history) == {epochs}:
        os.kill(os.getpid(), signal.SIGKILL)
training.keep = keep_and_die
prepared, folder = Path({os.fspath(prepared)!r}), Path({os.fspath(tmp_path / "killed")!r})
train_once(prepared, folder, train={settings!r})
"""
    killed = subprocess.run([sys.executable, "-c", program])
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/weights.safetensors").exists()
    resumed = train_once(prepared, tmp_path / "killed", train=settings)
    assert same(whole, resumed)
    every = [(tmp_path / run / "epochs.safetensors").read_bytes() for run in ("whole", "killed")]
    assert every[0] == every[1]


def test_train_with_refit_learns_from_the_validation_part_too(prepared, tmp_path):
    kept = train_once(prepared, tmp_path / "a")
    refitted = train_once(prepared, tmp_path / "b", train={"refit": True})
    assert not same(kept, refitted)
    history = history_of(tmp_path / "b")
    chosen = read_json(tmp_path / "b/run.json")["epoch"]
    assert [row["validation_top1"] is None for row in history] == [False] * 3 + [True] * chosen
    assert history[:3] != history[3:]


def stopped_at_its_last_file(prepared, folder, monkeypatch, **changes):
    """A run that ends after the last epoch, before the last file."""
    with monkeypatch.context() as patched:
        patched.setattr("danet.training.run_files.write_text", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_once(prepared, folder, **changes)
    assert (folder / ".resume/state.safetensors").exists()


def test_train_does_not_take_up_another_runs_state(prepared, tmp_path, monkeypatch):
    stopped_at_its_last_file(prepared, tmp_path / "a", monkeypatch)
    changed = {"learning_rate": 0.02}
    assert same(
        train_once(prepared, tmp_path / "a", train=changed), train_once(prepared, tmp_path / "b", train=changed)
    )


def test_train_does_not_take_up_state_of_another_split(prepared, tmp_path, monkeypatch):
    stopped_at_its_last_file(prepared, tmp_path / "a", monkeypatch)
    (tmp_path / "other").mkdir()
    parts = pd.read_parquet(prepared / "split.parquet")
    held_out = parts["part"].eq("train") & parts["name"].str.contains("_s01_")
    assert held_out.any()
    parts.loc[held_out, "part"] = "validation"
    parts.to_parquet(tmp_path / "other/split.parquet")
    (tmp_path / "other/centred.h5").symlink_to(prepared / "centred.h5")
    assert same(train_once(tmp_path / "other", tmp_path / "a"), train_once(tmp_path / "other", tmp_path / "b"))


def test_train_ends_well_beside_files_that_are_none_of_its_own(prepared, tmp_path, monkeypatch, caplog):
    stopped_at_its_last_file(prepared, tmp_path, monkeypatch)
    resume = tmp_path / ".resume"
    for name in (".epoch9.safetensors.partial", ".state.safetensors.0-1-2.partial", "epoch9.safetensors", "notes.txt"):
        (resume / name).write_text("left over")
    (resume / "epoch8.safetensors").mkdir()
    train_once(prepared, tmp_path)
    assert (tmp_path / "run.json").exists()
    assert sorted(path.name for path in resume.iterdir()) == ["epoch8.safetensors", "notes.txt"]
    assert "got epoch8.safetensors, notes.txt; they stay" in caplog.text


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def lose_history(path):
    tensors, written = read_tensors(path)
    save_weights(path, tensors, written | {"history": written["history"][1:]})


def lose_a_tensor(path):
    tensors, written = read_tensors(path)
    save_weights(path, {key: value for key, value in tensors.items() if key != "ema_model.channel_scale"}, written)


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lose_history, lose_a_tensor])
def test_train_starts_anew_from_a_damaged_state(prepared, tmp_path, monkeypatch, caplog, damage):
    stopped_at_its_last_file(prepared, tmp_path / "a", monkeypatch)
    damage(tmp_path / "a/.resume/state.safetensors")
    caplog.clear()
    again = train_once(prepared, tmp_path / "a")
    (said,) = (each.getMessage() for each in caplog.records if each.name.endswith("checkpoint") and each.levelno > 20)
    assert said.startswith(f"{tmp_path / 'a/.resume'}: expected the state of this run, got: ")
    assert said.endswith("; starting anew")
    assert "\n" not in said
    assert same(again, train_once(prepared, tmp_path / "b"))


@pytest.mark.parametrize("damage", [Path.unlink, cut_short])
def test_train_starts_anew_where_a_kept_epoch_is_gone(prepared, tmp_path, monkeypatch, caplog, damage):
    stopped_at_its_last_file(prepared, tmp_path / "a", monkeypatch, train={"keep_epochs": True})
    damage(tmp_path / "a/.resume/epoch2.safetensors")
    caplog.clear()
    again = train_once(prepared, tmp_path / "a", train={"keep_epochs": True})
    assert "epoch2.safetensors" in caplog.text
    assert "starting anew" in caplog.text
    assert same(again, train_once(prepared, tmp_path / "b"))
    assert {key.partition(".")[0] for key in read_tensors(tmp_path / "a/epochs.safetensors")[0]} == {"1", "2", "3"}


def test_train_stops_at_a_loss_that_is_not_finite(prepared, tmp_path):
    with pytest.raises(UserError, match="expected a finite loss, got "):
        train_once(prepared, tmp_path, train={"learning_rate": 1e30, "warmup_epochs": 0})


def test_train_names_missing_parts(prepared, tmp_path):
    write_records(tmp_path / "empty.h5", "centred", [], NW_UCLA.describe() | {"prepare": {}})
    with pytest.raises(UserError, match=r"empty\.h5: .*got none"):
        train_once(prepared, tmp_path, centred=tmp_path / "empty.h5")
