"""`danet check`: each kind of trouble in a raw folder is counted and named, and decides the exit code."""

import json
import re
import sys
from dataclasses import replace

import pytest
from conftest import kinect_text

from danet.cli import main
from danet.datasets.registry import DATASETS
from danet.datasets.uestc import UESTC
from danet.preparation.check import SHOWN, check_folder

LISTED = "S001C002P006R001A008"  # on the authors' list


@pytest.fixture
def content(rng):
    """Makes the content of a new `.skeleton` file at each call, no two alike."""

    def make(end="\n"):
        return kinect_text([[(7, rng.normal(0, 1, (25, 3)).round(4))] for _ in range(2)], end)

    return make


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the `danet` command in this process: exit code, what it printed, and its error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["danet", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def fill(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def uestc_recording(action, person, rng):
    """All 16 recordings of one action by one person."""
    for d in range(1, 9):
        for c in (1, 2):
            lines = ["#"]
            for x, y, z in rng.normal(size=(25, 3)).tolist():
                lines += [f"{x} {y} {z} 0", "1 1 1", "1 1 2"]
            yield f"a{action}_d{d}_p{person}_c{c}_skeleton.txt", "\n".join(lines).encode()


def test_check_folder_counts_and_names_each_kind(tmp_path, content):
    same = content()
    fill(
        tmp_path,
        {
            "S001C001P001R001A001.skeleton": same,
            "S001C001P001R001A002.skeleton": same,
            "S001C001P001R001A003.skeleton": same.replace(b"\n", b"\r\n"),  # other bytes, the same joints
            "S001C001P001R001A004.skeleton": same[: same.rindex(b" ")],
            "S001C001P001R001A005.skeleton": b"2\n0\n0\n",
            "S001C001P001R001A006.skeleton": content(),
            "deep/S001C001P001R001A006.skeleton": content(),
            "deep/S001C001P001R001A001.skeleton": same,
            f"{LISTED}.skeleton": b"",
            "notes.skeleton": b"",
            "S018C001P001R001A001.skeleton": content(),  # one of NTU-120 only
            "README.txt": b"",
        },
    )
    report = check_folder(DATASETS["ntu60"], tmp_path, jobs=1)
    names = {kind: [row["name"] for row in rows] for kind, rows in report.items() if isinstance(rows, list)}
    assert names == {
        "missing": [],
        "unexpected": ["S018C001P001R001A001", "notes"],
        "damaged": ["S001C001P001R001A004", "S001C001P001R001A005"],
        "twice": ["S001C001P001R001A001", "S001C001P001R001A006"],
        "copies": ["S001C001P001R001A002", "S001C001P001R001A003"],
        "left_out": [LISTED],
        "outliers": [],
    }
    assert report["counts"] == {
        "files": 11,
        "expected": 56880,
        "found": 7,
        "missing": 56578 - 6,  # 302 of the data set are on the list and need not be there
        **{kind: len(rows) for kind, rows in names.items() if kind != "missing"},
    }
    cut, empty = report["damaged"]
    assert (cut["line"], cut["frame"], cut["body"]) == (57, 2, 1)
    assert cut["expected"] == "a joint: 12 fields"
    assert empty["got"] == "2 frames, all without one"
    assert [row["got"].split(" as ")[0] for row in report["copies"]] == ["those of S001C001P001R001A001"] * 2
    assert ["the same joints" in row["got"] for row in report["twice"]] == [True, False]
    assert not report["sound"]


def test_check_command_prints_a_table_or_json(tmp_path, content, command):
    fill(tmp_path, {f"S001C001P001R001A{action:03}.skeleton": content() for action in range(1, 3)})
    assert command("check", "demo", tmp_path)[0] == 0
    code, printed, _ = command("check", "demo", tmp_path, "--json", "--jobs", 2)
    assert (code, json.loads(printed)["sound"]) == (0, True)

    fill(tmp_path, {f"bad{number:02}.skeleton": b"" for number in range(SHOWN + 5)} | {"cut/x.skeleton": b"1"})
    fill(tmp_path, {"S001C001P001R001A003.skeleton": b"1\n1\n7 0 0 0 0 0 0 0 0 2\n24\n"})
    code, printed, _ = command("check", "demo", tmp_path, "--jobs", 1)
    assert code == 1
    assert re.search(r"^  unexpected +26$", printed, re.MULTILINE)
    assert re.search(r"^  expected +unknown$", printed, re.MULTILINE)
    assert "A003.skeleton, line 4, frame 1, body 1: expected the number of joints, 25" in printed
    assert "bad19.skeleton: no sample" in printed
    assert "bad20" not in printed
    assert "and 6 more; --json names all" in printed
    code, printed, _ = command("check", "demo", tmp_path, "--json", "--jobs", 1)
    assert code == 1
    assert len(json.loads(printed)["unexpected"]) == 26


def test_check_command_refuses_missing_folder_and_unknown_data_set(tmp_path, command):
    for words in (("demo", tmp_path / "nowhere"), ("ntu61", tmp_path)):
        code, printed, error = command("check", *words)
        assert (code, printed, error.count("\n")) == (2, "", 1)
        assert "expected" in error


def test_check_folder_without_samples_is_not_sound(tmp_path):
    assert not check_folder(DATASETS["demo"], tmp_path, jobs=1)["sound"]


def test_check_folder_names_missing_uestc_samples(tmp_path, rng):
    fill(tmp_path, dict(uestc_recording(3, "7", rng)))
    (tmp_path / "a3_d2_p7_c1_skeleton.txt").unlink()
    (tmp_path / "a3_d8_p7_c2_skeleton.txt").unlink()
    report = check_folder(UESTC, tmp_path, jobs=1)
    assert [row["name"] for row in report["missing"]] == ["a3_d2_p007_c1", "a3_d8_p007_c2"]
    assert report["counts"]["missing"] == 25600 - 14


def test_check_folder_accepts_known_copies(tmp_path, rng):
    files = dict(uestc_recording(30, "007", rng))
    files["a30_d7_p007_c1_skeleton.txt"] = files["a30_d1_p007_c1_skeleton.txt"]
    fill(tmp_path, files)
    small = replace(UESTC, samples=16, known_copies=1)
    report = check_folder(small, tmp_path, jobs=1)
    assert (report["sound"], report["counts"]["copies"]) == (True, 1)
    fill(tmp_path, {"a30_d6_p007_c1_skeleton.txt": files["a30_d2_p007_c1_skeleton.txt"]})
    assert not check_folder(small, tmp_path, jobs=1)["sound"]


@pytest.mark.parametrize("dataset", ["ntu60", "ntu120", "uestc", "nw_ucla", "utd_mhad"])
def test_datasets_expect_as_many_samples_as_the_lists_have(recordings, dataset):
    from test_datasets import names_of

    chosen = DATASETS[dataset]
    samples = [sample for name in names_of(dataset, recordings) if (sample := chosen.parse_name(name))]
    names = {sample.name for sample in samples}
    assert len(names) == chosen.samples
    assert names >= {name for sample in samples for name in chosen.siblings(sample)}
    assert all(chosen.parse_name(name) is None or name in names for name in chosen.left_out)


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_check_folder_names_recordings_that_stand_out(tmp_path, rng, command, factor):
    for action in range(1, 6):
        joints = rng.normal(0, 1, (25, 3)) * (factor if action == 3 else 1)
        text = kinect_text([[(7, joints.round(6))]] * 2)
        fill(tmp_path, {f"S001C001P001R001A{action:03}.skeleton": text})
    fill(tmp_path, {"S001C001P001R001A006.skeleton": kinect_text([[(7, joints)], [(7, joints + 500)]])})
    report = check_folder(DATASETS["demo"], tmp_path, jobs=1)
    assert [row["name"][-4:] for row in report["outliers"]] == ["A003", "A006"], "by extent, and by motion"
    assert report["counts"]["outliers"] == 2
    assert report["sound"], "it is told, and left to the reader"
    _, printed, _ = command("check", "demo", tmp_path, "--jobs", 1)
    assert re.search(r"A006.skeleton: expected a span near \S+ m, the median, got 50\d m", printed)


def test_check_says_what_each_protocol_is_made_of(tmp_path, content, command):
    files = {f"S001C00{camera}P001R001A001.skeleton": content() for camera in (1, 2)}
    fill(tmp_path, files)
    _, printed, _ = command("check", "ntu60", tmp_path, "--jobs", 1)
    assert "ntu60/cross_subject: expected training and test samples, got 2 and 0 in 2 recordings" in printed
    assert "ntu60/cross_view: 2 of 56,578 recordings, 1 of 60 actions, training samples 1 an action, test" in printed


def test_check_and_prepare_say_that_an_archive_has_to_be_unpacked(tmp_path, command):
    fill(tmp_path, {"raw/nturgbd_skeletons.zip": b"PK"})
    told = f"files that end in .skeleton, got an archive, {tmp_path}/raw/nturgbd_skeletons.zip; unpack it there"
    code, printed, _ = command("check", "ntu60", tmp_path / "raw")
    assert code == 1
    assert told in printed
    code, _, error = command("prepare", "ntu60", "--raw", tmp_path / "raw", "--out", tmp_path / "x.h5")
    assert (code, error.count("\n")) == (2, 1)
    assert told in error
