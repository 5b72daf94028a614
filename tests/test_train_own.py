"""`danet train`: a table of own recordings to weights, what is held out, what is taken over, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from made_training import SETTINGS, make_prepared

from danet.cli import app, exit_code
from danet.config.base import check
from danet.config.settings import Run, read_config
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.registry import find_dataset
from danet.errors import BadRecording, UserError
from danet.inference.predictor import Predictor
from danet.models.weights import build_model, load_model, read_tensors
from danet.preparation.parse import read_recording
from danet.skeleton.layout import KINECT_V1, make_layout
from danet.training import own
from danet.training.initial import start_from
from danet.training.task import read_task
from danet.training.train import train_network

CPU = torch.device("cpu")
LABELS = ("raise hand", "sit", "wave")
TINY = {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2}, "train": {"batch_size": 4}}


def moving(rng, rate, frames=20, layout=KINECT_V1):
    """(T, V, 3): an upright body whose hands swing at a rate."""
    body = np.array([0.1, 1.0, 0.1]) * rng.uniform(-1, 1, (layout.size, 3))
    made = np.repeat(body[None], frames, axis=0) + rng.normal(0, 0.01, (frames, layout.size, 3))
    made[:, -4:, 1] += 0.3 * np.sin(np.arange(frames) * rate / 3)[:, None]
    return (made + [0, 0, 3]).astype(np.float32)


def write(folder: Path, people, times=1, labels=LABELS, **columns) -> Path:
    """A table of a recording a label, person and time; a column has a value for each person."""
    rng, rows = np.random.default_rng(len(people)), []
    folder.mkdir(exist_ok=True)
    for rate, label in enumerate(labels, start=1):
        for place, person in enumerate(people):
            for time in range(times):
                row = {"path": f"{label} {person} {time}.npy", "label": label, "subject": person, "view": "front"}
                rows.append(row | {column: values[place] for column, values in columns.items()})
                np.save(folder / row["path"], moving(rng, rate))
    table = folder / "samples.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return table


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A file of settings that make a network small."""
    file = tmp_path_factory.mktemp("config") / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY))
    return file


def danet_train(*arguments, epochs=1) -> int:
    """The exit code of the command on one thread."""
    typed = ["train", *map(str, arguments), "--threads", "1", *(["--epochs", str(epochs)] if epochs else [])]
    return exit_code(lambda: app(typed, standalone_mode=False))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, config):
    """The table of four people, the weights that were trained on it, what was printed and the folder."""
    folder = tmp_path_factory.mktemp("trained")
    table, out = write(folder / "own", ["Ada", "Bo", "Cy", "Dee"]), folder / "weights.safetensors"
    assert danet_train(table, "--out", out, "--config", config) == 0
    return table, out


def test_a_table_becomes_weights_that_label(tmp_path, config, capsys):
    table, out = write(tmp_path / "own", ["Ada", "Bo", "Cy", "Dee"]), tmp_path / "weights.safetensors"
    assert danet_train(table, "--out", out, "--config", config, "--json", epochs=2) == 0
    printed = capsys.readouterr()
    measured = json.loads(printed.out)
    assert {"top1", "samples", "actions", "seconds"} <= set(measured)
    assert (measured["samples"], measured["actions"], measured["held_out_by"]) == (3, 3, "subjects")
    assert 0 <= measured["top1_interval"][0] <= measured["top1"] <= measured["top1_interval"][1] <= 1
    assert "held out: 1 of 4 people\n" in printed.err
    assert "training samples 3 an action, test samples 1 an action" in printed.err
    assert "2 epochs of 12 steps" in printed.err, "few recordings come several times in an epoch"
    assert sum(": epoch 2 of 2: " in line for line in printed.err.splitlines()) == 2, "two networks, a line an epoch"
    assert Predictor(out).label(table.parent / "wave Ada 0.npy") in LABELS
    assert read_tensors(out)[1]["protocol"] == "all"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "weights.safetensors"]


def test_the_table_names_confusions_and_what_chance_is():
    labels = np.array([0, 0, 1, 1, 1, 2] * 4)
    right = own.Tried(np.eye(3)[labels], labels, LABELS)
    assert right.lines() == ["held out   24 recordings, 3 actions", "accuracy   100.0 %, 95 % interval 100.0 to 100.0"]
    guessed = own.Tried(np.eye(3)[np.zeros(24, int)], labels, LABELS)
    assert guessed.confused == [("sit", "raise hand", 12), ("wave", "raise hand", 4)]
    assert "confused   sit taken for raise hand: 12 of 12" in guessed.lines()
    assert guessed.lines()[-1].startswith(
        "warning    near chance: 33.3 % of 24 held-out samples labelled rightly, 50.0 %"
    )
    few = own.Tried(np.eye(3)[[0, 1]], np.array([0, 1]), LABELS)
    assert few.lines()[-1] == "warning    too few recordings were held out to tell the accuracy from chance"


def test_one_person_is_held_out_by_repetitions(tmp_path, config, capsys):
    table = write(tmp_path / "own", ["Ada"], times=3)
    assert danet_train(table, "--out", tmp_path / "w", "--config", config, "--json") == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["held_out_by"], json.loads(printed.out)["samples"]) == ("repetitions", 3)
    assert "since there is one person: how other people fare is not known" in printed.err
    assert "training samples 2 an action, test samples 1 an action" in printed.err


def test_an_action_of_the_people_held_out_alone_is_held_out_by_repetitions(tmp_path):
    rows = [("a1", "sit", "1"), ("a2", "sit", "1"), ("b1", "wave", "2"), ("b2", "wave", "2")]
    for index, (name, _, _) in enumerate(rows):
        np.save(tmp_path / f"{name}.npy", moving(np.random.default_rng(index), 1))
    lines = [f"{name}.npy,{label},{subject},front" for name, label, subject in rows]
    (tmp_path / "samples.csv").write_text("\n".join(["path,label,subject,view", *lines]))
    dataset = find_dataset("custom", tmp_path)
    name, protocol = own._protocol(dataset, [dataset.sample(name) for name, _, _ in rows])
    assert name == "repetitions"
    assert [protocol.part(dataset.sample(each)) for each, _, _ in rows] == ["train", "test", "train", "test"]


def test_no_network_learns_from_test_rows(tmp_path, config, capsys):
    parts = ["train", "test", "validation"]
    table, out = write(tmp_path / "own", ["Ada", "Bo", "Cy"], split=parts), tmp_path / "w.safetensors"
    assert danet_train(table, "--out", out, "--config", config, "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["samples"] == 3
    assert "no network learns from them" in printed.err
    assert sum(": epoch 1 of 1: " in line for line in printed.err.splitlines()) == 1
    assert read_tensors(out)[1]["protocol"] == "own_split"


def test_training_starts_from_weights(trained, tmp_path, capsys):
    table = write(tmp_path / "own", ["Ed", "Flo"], labels=("jump", "run"))
    assert danet_train(table, "--out", tmp_path / "w", "--from", trained[1], "--json") == 0
    taken = [line for line in capsys.readouterr().err.splitlines() if line.endswith("tensors taken over")]
    total = len(read_tensors(trained[1])[0])
    assert taken == [f"danet: {trained[1]}: {total - 2} of {total} tensors taken over"] * 2, "all but the label's"
    (first, second) = (read_tensors(file)[1] for file in (trained[1], tmp_path / "w"))
    assert (second["clips"], second["model"]) == (first["clips"], first["model"])
    assert second["actions"] == ["jump", "run"]


def test_what_depends_on_actions_starts_anew_unless_they_are_the_same(trained):
    model, description = load_model(trained[1])
    same = start_from(trained[1], description)
    assert len(same.tensors) == same.total == len(model.state_dict())
    assert str(same).endswith("taken over; they have seen these recordings: the accuracy on those held out is too high")
    others = start_from(trained[1], description | {"actions": ["a", "b", "c"]})
    assert set(same.tensors) - set(others.tensors) == {"encoders.0.label.weight", "encoders.0.label.bias"}


def test_joints_are_taken_by_their_names(trained):
    model, description = load_model(trained[1])
    definition = KINECT_V1.definition
    tips = ("left hand", "right hand", "left foot", "right foot")
    gone = {joint for joint in definition["joints"] if joint in tips}
    assert len(gone) == 4
    joints = [joint for joint in reversed(definition["joints"]) if joint not in gone] + ["tail"]
    parents = {j: p for j, p in definition["parents"].items() if j not in gone} | {"tail": definition["origin"]}
    parts = {name: [j for j in members if j not in gone] for name, members in definition["parts"].items()}
    first = next(iter(parts))
    layout = definition | {"name": "mine", "joints": joints, "parents": parents}
    layout |= {"parts": parts | {first: [*parts[first], "tail"]}}
    layout["mirror"] = [pair for pair in definition["mirror"] if not gone & set(pair)]
    start = start_from(trained[1], description | {"layout": layout, "data_hash": "another"})
    assert start.anew == ("tail",)
    assert str(start).endswith("; joints that start anew: tail")
    (old, new), name = (model.state_dict(), start.tensors), "encoders.0.token_embedding"
    for index, joint in enumerate(joints[:-1]):
        torch.testing.assert_close(new[name][index], old[name][KINECT_V1.joints.index(joint)])
    torch.testing.assert_close(new[name][len(joints) :], old[name][KINECT_V1.size :])
    topology = next(key for key in old if key.endswith("topology"))
    a, b = joints.index("head"), joints.index("left knee")
    head, knee = (KINECT_V1.joints.index(joint) for joint in ("head", "left knee"))
    torch.testing.assert_close(new[topology][:, a, b], old[topology][:, head, knee])
    build_model(description | {"layout": make_layout(layout, "mine").described}).load_state_dict(new, strict=False)


def test_an_interrupted_run_goes_on_from_the_same_tensors_only(tmp_path):
    make_prepared(tmp_path)
    run = check(Run, SETTINGS, "test")
    files = {"centred": tmp_path / "centred.h5", "split": tmp_path / "split.parquet"}
    task = read_task(**files, run=run, dataset=NW_UCLA, protocol="cross_view", method="danet", seed=0)
    plain = train_network(task, CPU, tmp_path / "resume", {}).history
    assert train_network(task, CPU, tmp_path / "resume", {}).history == plain, "read, not trained"
    initial = {"encoders.0.label.bias": torch.linspace(5, -4, 10)}
    started = train_network(task, CPU, tmp_path / "resume", {}, initial=initial)
    assert started.history[0]["train_loss"] != plain[0]["train_loss"]
    assert started.model.state_dict()["encoders.0.label.bias"][0] > 4
    assert train_network(task, CPU, tmp_path / "resume", {}, initial=initial).history == started.history


def test_rows_cut_a_long_recording(tmp_path, config, capsys):
    rng, rows = np.random.default_rng(0), []
    for person in ("Ada", "Bo"):
        long = np.concatenate([moving(rng, rate) for rate in (1, 2, 3)])
        np.save(tmp_path / f"{person}.npy", long)
        for index, label in enumerate(LABELS):
            bounds = (20 * index, 20 * index + 20) if person == "Ada" else (f"{2 * index}s", f"{2 * index + 2}s")
            rows.append((f"{person}.npy", label, person, "front", *bounds, 10))
    table = tmp_path / "samples.csv"
    pd.DataFrame(rows, columns=["path", "label", "subject", "view", "start", "end", "fps"]).to_csv(table, index=False)
    dataset = find_dataset("custom", table)
    assert dataset.parse_name("Bo_20-40").action == 1
    bodies = read_recording(dataset.read, "Bo_20-40", str(tmp_path / "Bo.npy"))
    assert (bodies.name, bodies.frames, bodies.frame[0]) == ("Bo_20-40", 20, 0)
    np.testing.assert_array_equal(bodies.joints, long[20:40])
    assert danet_train(table, "--out", tmp_path / "w", "--config", config, "--json") == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["samples"], json.loads(printed.out)["recordings"]) == (3, 6)
    table.write_text(
        "path,label,subject,view,start,end\nAda.npy,sit,1,1,,30\nAda.npy,wave,1,1,30,\nBo.npy,sit,2,1,2,61\n"
    )
    dataset = find_dataset("custom", table)
    lengths = [
        read_recording(dataset.read, f"Ada_{span}", str(tmp_path / "Ada.npy")).frames for span in ("0-30", "30-")
    ]
    assert lengths == [30, 30]
    with pytest.raises(BadRecording, match="expected the frames 2 to 61 of line 4, got 60 frames"):
        read_recording(dataset.read, "Bo_2-61", str(tmp_path / "Bo.npy"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1.5,3,", r"line 2, column start: expected a frame, counted from 0, or seconds, as 1\.5s, got '1\.5'"),
        ("-1,3,", "line 2, column start: .* got '-1'"),
        ("nans,3,", "line 2, column start: .* got 'nans'"),
        ("0,1e9s,", "line 2, column end: .* got '1e9s'"),
        ("3,3,", "line 2, column end: expected a frame after the start, 3, got 3"),
        ("1s,2s,0", "line 2, column fps: expected frames a second, got '0'"),
    ],
)
def test_a_span_that_is_none_is_named(tmp_path, cells, message):
    (tmp_path / "samples.csv").write_text(f"path,label,subject,view,start,end,fps\na.npy,sit,1,1,{cells}\n")
    with pytest.raises(UserError, match=message):
        find_dataset("custom", tmp_path)


ROWS = "a.npy,wave,1,1\nb.npy,sit,2,1\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS, "samples.csv: expected two or more recordings of an action, to try the network on one of them"),
        ("a.npy,wave,1,1\nb.npy,wave,2,1\n", "column label: expected two or more labels, got 1 in 2 lines"),
        ("a.npy,wave,1,1\ngone.npy,sit,1,1\n", "line 3, column path: expected a file, got none at"),
        (
            "a.npy,wave,1,1\nempty.npy,sit,1,1\n",
            "people who do two or more actions, got 1 in 1 of 2 recordings: 1 no body",
        ),
        ("a.npy,wave,1,1\nb.npy\n", "line 3: expected 4 fields, got 1"),
    ],
)
def test_a_table_that_nothing_can_be_learnt_from_is_refused(tmp_path, capsys, rows, message):
    for seed, name in enumerate("ab"):
        np.save(tmp_path / f"{name}.npy", moving(np.random.default_rng(seed), 1))
    np.save(tmp_path / "empty.npy", np.zeros((20, 20, 3), np.float32))
    (tmp_path / "samples.csv").write_text("path,label,subject,view\n" + rows)
    assert danet_train(tmp_path / "samples.csv", "--out", tmp_path / "w") == 2
    printed = capsys.readouterr()
    assert message in printed.err.splitlines()[-1]
    assert (printed.out, (tmp_path / "w").exists()) == ("", False)


def test_other_files_that_are_none_are_named(trained, tmp_path, capsys):
    table, (settings, absent) = trained[0], (tmp_path / name for name in ("s.yaml", "absent"))
    settings.write_text("clips: {frmes: 8}")
    for arguments, message in (
        ((absent.with_suffix(".csv"), "--out", absent), f"{absent}.csv: expected a table of columns path, label"),
        ((table, "--out", tmp_path), f"{tmp_path}: expected the name of a file to write, got a folder"),
        ((table, "--out", absent, "--config", settings), f"{settings}: config: 'clips.frmes': no such setting"),
        ((table, "--out", absent, "--config", absent), f"{absent}: expected a YAML file of settings"),
        ((table, "--out", absent, "--from", settings), f"{settings}: expected weights written by danet"),
    ):
        assert danet_train(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"danet: {message}")


def test_own_data_are_disturbed_alike_in_the_workflow_and_here(tmp_path):
    run, _ = own.own_settings(None, None)
    workflow = read_config(ROOT / "config/config.yaml").run("custom", "danet")
    assert (run.clips, run.model, run.train) == (workflow.clips, workflow.model, workflow.train)
    assert (run.clips.jitter_metres, run.clips.turn_degrees, run.model.width) == (0.03, 60, 32)
    file = tmp_path / "s.yaml"
    file.write_text("{clips: {turn_degrees: 5, frames: 16}, datasets: {custom: {train: {epochs: 7}}}}")
    run, _ = own.own_settings(file, None)
    assert (run.clips.turn_degrees, run.clips.tilt_degrees, run.train.epochs) == (5, 25, 7)
    file.write_text("{model: {name: sgn}, prepare: {shortest_body: 3}, split: {leave_out: [a]}}")
    run, preparation = own.own_settings(file, None)
    assert (run.model.name, run.clips.streams, run.train.optimizer) == ("sgn", ("joint",), "adamw"), "its recipe"
    assert (run.split.leave_out, preparation.shortest_body) == (("a",), 3)


@pytest.mark.parametrize(("a_step", "epochs"), [(1e-6, 60), (0.1, 8), (100.0, 1)])
def test_as_many_epochs_as_fit_into_the_time(tmp_path, monkeypatch, a_step, epochs):
    make_prepared(tmp_path)
    run, said = check(Run, {"train": {"batch_size": 4}}, "test"), []
    files = {"centred": tmp_path / "centred.h5", "split": tmp_path / "split.parquet"}
    made = own.Own(NW_UCLA, files["centred"], [], 0, None, CPU, said.append)
    task = made.task(pd.read_parquet(files["split"]), "cross_view", run)
    samples = len(task.training.performances)
    assert samples >= own.EPOCH_STEPS * 4
    assert set(np.unique(task.training.sequences.names, return_counts=True)[1]) == {samples // 12}
    monkeypatch.setattr(own, "seconds_a_step", lambda *_: a_step)
    steps = samples // 4
    left = 8.5 * 0.1 * 2 * steps / own.SPARE
    chosen = own.own_epochs(run, None, task, replace(task), left, made)
    assert chosen.train.epochs == epochs
    assert chosen.train.warmup_epochs == min(5, epochs // 5)
    (told,) = [line for line in said if " epochs of " in line]
    assert told.startswith(f"{epochs} epochs of {steps} steps, {epochs * steps} in all; a step of 4 clips takes")
