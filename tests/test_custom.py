"""Own data: the table and what is wrong with one, layouts, .npy files, and the workflow from table to report."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import Checkout, kinect_text

from danet.config.base import check
from danet.config.settings import Prepare, Run, Split, check_config
from danet.datasets import custom
from danet.datasets.readers.any_file import read_npy, reader
from danet.datasets.registry import find_dataset, known_datasets
from danet.errors import BadRecording, UserError
from danet.evaluation.evaluate import evaluate
from danet.inference.predictor import Predictor
from danet.inference.predictor import prepare as prepare_file
from danet.io.files import read_json
from danet.io.store import open_records
from danet.models.weights import read_tensors
from danet.pipeline.runs import requested_runs
from danet.preparation.chain import prepare
from danet.preparation.check import check_folder
from danet.preparation.manifest import listing_hash
from danet.preparation.peer_formats import export_ctr_gcn, export_sgn
from danet.preparation.split import counts, split
from danet.skeleton.layout import KINECT_V1, LAYOUTS, find_layout, make_layout
from danet.skeleton.recording import Sequence
from danet.training.train import train

STICK = {
    "name": "stick",
    "joints": ["hip", "head", "left hand", "right hand", "left foot", "right foot"],
    "parents": {"head": "hip", "left hand": "head", "right hand": "head", "left foot": "hip", "right foot": "hip"},
    "parts": {"middle": ["hip", "head"], "left": ["left hand", "left foot"], "right": ["right hand", "right foot"]},
    "mirror": [["left hand", "right hand"], ["left foot", "right foot"]],
    "origin": "hip",
    "across": [["left hand", "right hand"]],
}
TINY = {
    "clips": {"frames": 8},
    "model": {"width": 16, "blocks": 1, "heads": 2},
    "train": {"epochs": 1, "warmup_epochs": 0},
    "evaluate": {"corruptions": False},
}
LABELS = ("raise hand", "sit, down", "wave")
HEADER = "path,label,subject,view\n"
LINES = "a.npy,wave,1,left\nb.npy,sit,2,left\n"


def moving(rng, joints, label, frames=20):
    """(T, V, 3): an upright body whose last joints swing, at a rate that the label gives."""
    body = np.array([0.1, 1.0, 0.1]) * rng.uniform(-1, 1, (joints, 3))
    made = np.repeat(body[None], frames, axis=0) + rng.normal(0, 0.01, (frames, joints, 3))
    made[:, -2:, 1] += 0.3 * np.sin(np.arange(frames) * (1 + LABELS.index(label)) / 3)[:, None]
    return (made + [0, 0, 3]).astype(np.float32)


def write_own_data(folder, rng, joints, *, ends=(".npy",), table_split=False, layout=""):
    """Three labels, four people, two cameras; files in folders of their camera. Returns the rows of the table."""
    rows = []
    for label in LABELS:
        for subject in ("Ada", "Bo", "Cy", "Dee"):
            for view in ("left", "right"):
                path = Path(view) / f"{label} {subject}{ends[len(rows) % len(ends)]}"
                (folder / view).mkdir(parents=True, exist_ok=True)
                array = moving(rng, joints, label)
                if path.suffix == ".npy":
                    np.save(folder / path, array)
                else:
                    (folder / path).write_bytes(kinect_text([[(1, frame)] for frame in array]))
                part = {"Cy": "validation", "Dee": "test"}.get(subject, "train")
                rows.append({"path": str(path), "label": label, "subject": subject, "view": view, "split": part})
    table = pd.DataFrame(rows).assign(**({"layout": layout} if layout else {}))
    (table if table_split else table.drop(columns="split")).to_csv(folder / "samples.csv", index=False)
    return rows


@pytest.fixture
def own_data(tmp_path):
    """The folder of own_data data, with two files that any test may list."""
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.ones((3, 20, 3), np.float32))
    return tmp_path


def describe(folder, text):
    (folder / "samples.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return find_dataset("custom", folder)


def test_own_data_takes_names_actions_and_protocols_from_the_table(own_data):
    (own_data / "more").mkdir()
    shutil.copy(own_data / "a.npy", own_data / "more/größer als a.npy")
    lines = "path,label,subject,view,split\na.npy,wave,10,9,train\nb.npy,sit,9,10,test\n\n"
    dataset = describe(own_data, "\ufeff" + lines + "more/größer als a.npy,wave,10,10,validation\n")
    assert dataset.actions == ("sit", "wave")
    assert dataset.layout is KINECT_V1
    a, more = dataset.sample("a"), dataset.sample("more_größer_als_a")
    assert (a.action, a.subject, a.view) == (1, 10, "9")
    assert a.performance == more.performance, "one person, one action, two views"
    parts = {name: [dataset.protocol(name).part(dataset.sample(s)) for s in ("a", "b")] for name in dataset.protocols}
    assert parts == {
        "own_split": ["train", "test"],
        "cross_subject": ["test", "train"],
        "cross_view": ["train", "test"],
    }, "9 comes before 10"
    table = split(dataset, "own_split", ["a", "b", "more_größer_als_a"], Split(validation_share=0.5))
    assert table["part"].tolist() == ["train", "test", "validation"]


def test_own_data_has_the_protocols_that_the_table_allows(own_data):
    assert list(describe(own_data, HEADER + LINES).protocols) == ["cross_subject"]
    assert list(describe(own_data, HEADER + "a.npy,wave,x,1\nb.npy,sit,x,2\n").protocols) == ["cross_view"]
    alone = describe(own_data, HEADER + "a.npy,wave,x,1\nb.npy,sit,x,1\n")
    assert list(alone.protocols) == ["repetitions"]
    with pytest.raises(UserError, match="expected training and test samples, got 2 and 0 in 2 recordings"):
        split(alone, "repetitions", ["a", "b"], Split(validation_share=0))
    with pytest.raises(UserError, match="got 'cross_view'"):
        describe(own_data, HEADER + LINES).folds("cross_view")


def test_requested_runs_auto_takes_own_data_in_place(tmp_path):
    config = check_config({"data": str(tmp_path)})
    assert {name for name, _ in requested_runs(config)} == {"demo"}
    write_own_data(tmp_path / "custom", np.random.default_rng(0), 33, table_split=True)
    assert requested_runs(config) == [("custom", "own_split"), ("custom", "cross_subject"), ("custom", "cross_view")]
    assert find_dataset("custom", tmp_path / "custom").layout is LAYOUTS["mediapipe_33"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "line 1: expected the columns path, .* view and, where needed, split, layout, start, end, fps, got none",
        ),
        ("path,label,subject\n", "line 1: expected the columns path, .* got none named 'view'"),
        ("path;label;subject;view\na.npy;wave;1;1\n", "got none named 'path' in 'path;label;subject;view'$"),
        ("Path,Label,subject,view\n", "got none named 'path' in 'Path,Label,subject,view'$"),
        ("x" * 10_000 + "\n", "got none named 'path' in 'x{197}...'$"),
        ("path,label,subject,view,\x1b]0;a\x07\x1b[31mred\n", r"got '\\x1b\]0;a\\x07\\x1b\[31mred'$"),
        (
            HEADER + LINES + "a.npy," + "\0" * 1000 + ",1,1\n",
            r"line 4, column label: expected text, got '(\\x00)+\\?\.\.\..*'$",
        ),
        ("path,label,subject,view,spilt\n", "line 1: .* got 'spilt'"),
        ("path,label,subject,view,view\n", "line 1: .* got 'view' twice"),
        (HEADER, "column label: expected two or more labels, got 0 in 0 lines"),
        (HEADER + "a.npy,wave,1,1\nb.npy,wave,1,1\n", "got 1 in 2 lines"),
        (HEADER + LINES + "a.npy,wave,1\n", "line 4: expected 4 fields, got 3"),
        (HEADER + LINES + "a.npy, ,1,1\n", "line 4, column label: expected text, got ''"),
        (HEADER + LINES + 'a.npy,"wa\nve",1,1\n', "line 5, column label: expected text, got 'wa"),
        (HEADER + LINES + "a.avi,wave,1,1\n", r"line 4, column path: expected a file that ends in .*, got 'a.avi'"),
        (HEADER + LINES + "./a.npy,wave,1,1\n", "line 4, column path: .* got 'a', as in line 2"),
        (HEADER + LINES + "a.skeleton,wave,1,1\n", "line 4, column path: .* got 'a', as in line 2"),
        ("path,label,subject,view,split\na.npy,wave,1,1,Train\n", "line 2, column split: expected one of .* 'Train'"),
        ("path,label,subject,view,split\na.npy,wave,1,1,test\n", "column split: expected a line for 'train', got none"),
        (HEADER.encode() + b"\xff", "line 2: expected UTF-8 text, got byte 0xff"),
        (HEADER + 'a.npy,"wave"x,1,1\n', "line 2: expected comma-separated fields"),
    ],
)
def test_own_data_names_line_and_column_of_an_error(own_data, text, message):
    with pytest.raises(UserError, match=message) as caught:
        describe(own_data, text)
    assert str(caught.value).startswith(f"{own_data / 'samples.csv'}, ")
    assert "\n" not in str(caught.value)


def test_own_data_names_missing_table_and_files(own_data, tmp_path):
    with pytest.raises(UserError, match=r"samples.csv: expected a table of columns path, label"):
        find_dataset("custom", own_data)
    assert "custom" not in known_datasets(own_data)
    dataset = describe(own_data, HEADER + LINES)
    assert known_datasets(own_data)["custom"] is dataset
    (own_data / "b.npy").unlink()
    with pytest.raises(UserError, match=r"line 3, column path: expected a file, got none at .*b\.npy"):
        listing_hash(dataset, [own_data], tmp_path)
    (own_data / "a.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected a file that can be read, got: .*a\.npy: expected a NumPy file"):
        describe(own_data, HEADER + "a.npy,wave,1,3\nb.npy,sit,2,3\n")


OBSTACLES = {  # how it comes to be, and what is got
    "pipe": (os.mkfifo, "a pipe or a device"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a pipe or a device"),
    "folder": (Path.mkdir, "a folder"),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("name", ["a.npy", "layout.yaml", "samples.csv"])
def test_own_data_opens_files_only(own_data, name, obstacle):
    """Neither a recording, of which the number of joints is looked up, nor what describes it is opened for ever."""
    make, got = OBSTACLES[obstacle]
    (own_data / "samples.csv").write_text(HEADER + "a.npy,wave,1,3\nb.npy,sit,2,3\n")
    (own_data / "b.npy").write_bytes(b"")
    (own_data / name).unlink(missing_ok=True)
    make(own_data / name)
    with pytest.raises(UserError, match=rf"{name}: expected a .*, got {got}$"):
        find_dataset("custom", own_data)


def test_own_data_reads_tables_up_to_a_bound(own_data, monkeypatch):
    monkeypatch.setattr(custom, "LARGEST_BYTES", 10)
    with pytest.raises(UserError, match=r"samples\.csv: expected a table of .* of at most 10 bytes, got one of "):
        describe(own_data, HEADER + LINES)


def test_own_data_needs_a_layout_for_other_numbers_of_joints(own_data):
    for name in "ab":
        np.save(own_data / f"{name}.npy", np.ones((3, 6, 3)))
    with pytest.raises(UserError, match=r"line 2, column path: expected 15, .*layout\.yaml, got 6 joints"):
        describe(own_data, HEADER + LINES)
    (own_data / "layout.yaml").write_text(yaml.safe_dump(STICK))
    layout = find_dataset("custom", own_data).layout
    assert (layout.name, layout.size) == ("stick", 6)
    assert find_layout(find_dataset("custom", own_data).describe()["layout"]) == layout


def test_listing_hash_changes_with_table_layout_and_recording(own_data, tmp_path):
    hashes = {listing_hash(describe(own_data, HEADER + LINES), [], tmp_path)}
    hashes.add(listing_hash(describe(own_data, HEADER + LINES.replace("sit", "lie down")), [], tmp_path))
    (own_data / "layout.yaml").write_text(yaml.safe_dump(KINECT_V1.definition | {"name": "mine"}))
    hashes.add(listing_hash(find_dataset("custom", own_data), [], tmp_path))
    np.save(own_data / "a.npy", np.ones((4, 20, 3)))
    hashes.add(listing_hash(find_dataset("custom", own_data), [], tmp_path))
    assert len(hashes) == 4


def as_npy(array, **how):
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


def test_read_npy_says_when_axes_are_exchanged():
    with pytest.raises(BadRecording, match=r"got \(45, 2, 25, 3\): more bodies than frames; is it \(T, M, V, 3\)\?"):
        read_npy("a", "a.npy", as_npy(np.ones((45, 2, 25, 3), np.float32)))
    assert read_npy("a", "a.npy", as_npy(np.ones((2, 1, 25, 3), np.float32))).frames == 1


def test_read_npy_reads_one_body_and_several(rng):
    joints = rng.normal(size=(2, 5, 25, 3))
    joints[0, 1] = joints[1, :3] = 0
    bodies = read_npy("a", "a.npy", as_npy(np.asfortranarray(joints)))
    assert bodies.frames == 5
    assert list(zip(bodies.frame, bodies.body, strict=True)) == [(0, 0), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1)]
    np.testing.assert_array_equal(bodies.joints[3], joints[1, 3].astype(np.float32))
    alone = read_npy("a", "a.npy", as_npy(joints[0].astype(">f4")))
    np.testing.assert_array_equal(alone.joints, joints[0, [0, 2, 3, 4]].astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a NumPy file"),
        (b"PK\x03\x04" * 9, "expected a NumPy file"),
        (as_npy(np.array([{}]), allow_pickle=True), "expected an array of floats"),
        (as_npy(np.ones((3, 25, 3), int)), "expected an array of floats, got one of int64"),
        (as_npy(np.ones((3, 25, 2))), r"expected an array of shape \(T, V, 3\)"),
        (as_npy(np.ones((0, 25, 3))), r"got \(0, 25, 3\)"),
        (as_npy(np.ones((3, 25, 3)))[:-1], "expected 1800 bytes of numbers, got 1799"),
        (as_npy(np.ones((3, 25, 3))).replace(b"(3, 25, 3)", b"(3, 25, 3 "), "expected a NumPy file"),
        (as_npy(np.ones((3, 25, 3))).replace(b"(3, 25, 3)", b"(-3,-25,3)"), r"got \(-3, -25, 3\)"),
        (
            as_npy(np.ones((3, 25, 3))).replace(b"3), }" + b" " * 6, b"3" + b"0" * 6 + b"), }"),
            "expected an array of shape",
        ),
        (
            as_npy(np.ones((3, 25, 3))).replace(b"(3, 25, 3), }" + b" " * 9, b"(3000000000, 25, 3), }"),
            "expected 1800000000000",
        ),
    ],
)
def test_read_npy_refuses_other_files(content, message):
    with pytest.raises(BadRecording, match=message):
        read_npy("a", "a.npy", content)


def test_reader_refuses_other_joints():
    with pytest.raises(BadRecording, match=r"expected the joints of kinect_v1_20 \(20\), got 25 joints"):
        reader(KINECT_V1)("a", "a.npy", as_npy(np.ones((3, 25, 3))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": [*STICK["joints"], "tail"]}, "expected each joint in one of the 'parts', got 'tail' in none"),
        ({"joints": [*STICK["joints"], "hip"]}, "expected each joint once in 'joints', got 'hip' twice"),
        ({"parts": STICK["parts"] | {"more": ["hip"]}}, "expected each joint once in 'parts', got 'hip' twice"),
        ({"parts": STICK["parts"] | {"more": ["hup"]}}, "expected 'parts' to name joints, got 'hup'"),
        ({"parents": STICK["parents"] | {"hip": "head"}}, "without one of the 'parents', got none"),
        ({"parents": {"head": "hip"}}, "expected one joint without one of the 'parents', got 'hip', 'left hand'"),
        ({"parents": STICK["parents"] | {"head": "left hand"}}, "of 'head' to lead to 'hip', got a circle"),
        ({"mirror": [["head", "head"]]}, "expected each joint once in 'mirror', got 'head' twice"),
        ({"origin": "nose"}, "expected 'origin' to name joints, got 'nose'"),
        ({"across": []}, "'across'"),
        ({"bones": []}, "'bones': no such setting"),
    ],
)
def test_make_layout_names_the_error(changes, message):
    make_layout(STICK, "layout.yaml")
    with pytest.raises(UserError, match=message) as caught:
        make_layout(STICK | changes, "layout.yaml")
    assert str(caught.value).startswith("layout.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "stick", "{", "\x00"])
def test_read_layout_refuses_other_files(own_data, text):
    (own_data / "layout.yaml").write_text(text)
    with pytest.raises(UserError, match=r"layout\.yaml: expected a"):
        describe(own_data, HEADER + LINES)


def test_own_data_from_files_to_labels(tmp_path, rng):
    """Both kinds of file in one table: prepared, checked, split, trained, scored, and labelled without the table."""
    write_own_data(tmp_path / "raw", rng, 25, ends=(".npy", ".skeleton"), layout="kinect_v2_25")
    dataset = find_dataset("custom", tmp_path / "raw")
    assert check_folder(dataset, tmp_path / "raw", jobs=1)["sound"]
    made = prepare(dataset, tmp_path / "raw", tmp_path / "centred.h5", settings=Prepare(), jobs=2)
    assert (made["files"], made["samples"], made["set_aside"]) == (24, 24, 0)
    run = check(Run, TINY, "test")
    with open_records(tmp_path / "centred.h5", "centred") as records:
        table = split(dataset, "cross_subject", records.names, run.split)
    assert counts(table) == {"train": 6, "validation": 6, "test": 12}
    table.to_parquet(tmp_path / "split.parquet")
    data = {"centred": tmp_path / "centred.h5", "split": tmp_path / "split.parquet"}
    own = {"dataset": "custom", "own_data": tmp_path / "raw"}
    train(**data, **own, run=run, protocol="cross_subject", seed=0, code={}, threads=1, folder=tmp_path)
    outputs = {"scores": tmp_path / "scores.parquet", "metrics": tmp_path / "metrics.json"}
    evaluate(**data, **outputs, dataset=dataset, weights=tmp_path / "weights.safetensors", run=tmp_path / "run.json")
    (tmp_path / "raw/samples.csv").unlink()
    predictor = Predictor(tmp_path / "weights.safetensors")
    scores = pd.read_parquet(tmp_path / "scores.parquet").set_index("name")["scores"]
    files = {file.stem.replace(" ", "_").replace(",", ""): file for file in (tmp_path / "raw/left").iterdir()}
    for name in [name for name in scores.index if name.startswith("left_")]:
        file = files[name.removeprefix("left_")]
        np.testing.assert_allclose(predictor.scores(file), scores[name], atol=1e-5)
    assert {best["action"] for best in predictor.named(scores.iloc[0], 3)} == set(LABELS)
    kinect_v1 = Sequence("other", np.ones((5, 1, 20, 3), np.float32))
    with pytest.raises(UserError, match=r"other: .* 25 joints, .* 20"):
        predictor.label(kinect_v1)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The workflow on own data in a layout of their own."""
    made = Checkout(
        tmp_path_factory.mktemp("own"),
        TINY | {"runs": "custom/own_split", "data": "elsewhere", "prepare": {"drop_copies": False, "shortest_body": 3}},
    )
    folder = made.folder / "elsewhere/custom"
    write_own_data(folder, np.random.default_rng(3), 6, table_split=True)
    (folder / "layout.yaml").write_text(yaml.safe_dump(STICK, sort_keys=False))
    made.run()
    return made


def test_workflow_runs_own_data_to_the_report(checkout):
    folder = checkout.folder / "results/custom/own_split/danet/seed0"
    assert read_json(folder / "metrics.json")["samples"] == 6
    assert read_json(folder / "run.json")["counts"] == {"train": 12, "validation": 6, "test": 6}
    _, description = read_tensors(folder / "weights.safetensors")
    assert find_layout(description["layout"]) == make_layout(STICK, "stick")
    assert description["actions"] == sorted(LABELS)
    page = (checkout.folder / "results/report/index.html").read_text()
    assert "Own data" in page
    assert "sit, down" in page
    file = min((checkout.folder / "elsewhere/custom/left").iterdir())
    predictor = Predictor(folder / "weights.safetensors")
    assert predictor.scores(file).sum() == pytest.approx(1, abs=1e-5)
    made = prepare_file(file, predictor.prepare, predictor.layout)
    np.testing.assert_array_equal(predictor.scores(made), predictor.scores(file))
    assert not predictor.prepare.drop_copies, "what parsing was told is known to the weights"
    assert description["prepare"]["shortest_body"] == 3


def test_exports_take_the_validation_part_of_the_table(checkout, tmp_path):
    own = checkout.folder / "elsewhere/custom"
    centred = checkout.folder / "results/custom/centred.h5"
    assert export_ctr_gcn(centred, "own_split", tmp_path / "x.npz", own) == {"train": 18, "test": 6}
    assert export_sgn(centred, "own_split", tmp_path / "x.h5", own) == {"train": 12, "valid": 6, "test": 6}


def test_workflow_reruns_from_the_manifest_after_an_edited_table(checkout):
    assert checkout.stale() == {}
    table = checkout.folder / "elsewhere/custom/samples.csv"
    lines = table.read_text()
    table.write_text(lines.replace("Bo,left,train", "Bo,left,test", 1))
    stages = ("manifest", "parse", "denoise", "centre", "split", "train", "evaluate", "attention_maps", "report")
    assert checkout.stale() == dict.fromkeys(stages, 1)
    table.write_text(lines.replace("Bo,left,train", "Bo,left,tset", 1))
    done = checkout.snakemake("--dry-run")
    assert done.returncode == 2
    assert "samples.csv, line 4, column split: expected one of train, validation, test, got 'tset'" in done.stderr
    table.write_text(lines)
