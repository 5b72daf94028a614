"""`danet prepare` against damaged files: none stops it, and the others come out as ever."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import BAD, FIRST, GOOD, JOINT_LINE, START, fill, kinect_text, recording

from danet.cli import main
from danet.datasets.readers import raw_file
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.errors import BadRecording
from danet.io.store import open_records
from danet.preparation import chain
from danet.preparation.denoise import NOBODY_KEPT
from danet.preparation.manifest import NO_SAMPLE, NO_TEXT, TWICE
from danet.preparation.parse import NOBODY, UNREADABLE
from danet.skeleton.recording import Bodies


@pytest.fixture
def prepare(tmp_path, monkeypatch, capfd):
    """Runs `danet prepare demo` in this process: exit code and what it wrote to stderr; output in tmp_path / "out"."""

    def run(raw, *options):
        out = tmp_path / "out" / "demo.h5"
        words = ["danet", "prepare", "demo", "--raw", raw, "--out", out, "--jobs", 1, *options]
        monkeypatch.setattr(sys, "argv", [*map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capfd.readouterr().err

    return run


def outcome(folder):
    """(data hash, {name: joints}, set-aside rows) of what a run wrote; its files, and no others, must be there."""
    assert sorted(os.listdir(folder)) == ["demo.h5", "demo_audit.parquet", "demo_set_aside.parquet"]
    with open_records(folder / "demo.h5", "centred") as records:
        arrays = {record.name: record.rows["joints"] for record in records}
        return records.data_hash, arrays, pd.read_parquet(folder / "demo_set_aside.parquet")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, good):
    """Data hash and arrays of a run over the good files alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    chain.prepare(
        chain.find_dataset("demo"),
        fill(folder / "raw", good),
        folder / "out" / "demo.h5",
        settings=chain.Prepare(),
        jobs=1,
    )
    data_hash, arrays, aside = outcome(folder / "out")
    assert sorted(arrays) == sorted(GOOD)
    assert aside.empty
    return data_hash, arrays


def assert_undisturbed(folder, undisturbed):
    """The good files came out as ever; returns the set-aside table."""
    data_hash, arrays, aside = outcome(folder)
    assert data_hash == undisturbed[0]
    for name, joints in undisturbed[1].items():
        np.testing.assert_array_equal(arrays[name], joints)
    return aside


def edited(line, text, seed=9):
    """A recording with one line, counted from 0, replaced."""
    lines = recording(seed).split(b"\n")
    lines[line] = text
    return b"\n".join(lines)


def coordinate(text):
    """A recording whose first x is `text`."""
    return edited(JOINT_LINE, text + b" 1 1 1 2 3 4 0 0 0 1 2")


FRAMES, BODIES, HEADER, JOINTS = "number of frames", "number of bodies", "an integer id", "number of joints, 25"
NUMBERS, FIELDS = "decimal numbers", "12 fields"
WHOLE = recording(9)
DAMAGED = {  # content, then line, frame, body, part of what was expected, part of what was got
    "empty": (b"", 1, 0, 0, FRAMES, "end of the file"),
    "blank": (b"\r\n \t\n\n", 4, 0, 0, FRAMES, "end of the file"),
    "nul_filled": (b"\0" * 4096, 1, 0, 0, "text", "NUL"),
    "nul_tail": (WHOLE[:-500] + b"\0" * 500, None, 0, 0, "text", "NUL"),
    "binary": (bytes(range(1, 256)) * 9, None, 0, 0, FRAMES, r"\x01\x02"),
    "another_text": (b"name,x,y\nA001,1,2\n", 1, 0, 0, FRAMES, "'name,x,y'"),
    "24_joints": (edited(3, b"24"), 4, 1, 1, JOINTS, "'24'"),
    "no_joints": (edited(3, b"0"), 4, 1, 1, JOINTS, "'0'"),
    "negative_frames": (edited(0, b"-14"), 1, 0, 0, FRAMES, "'-14'"),
    "frames_no_number": (edited(0, b"14.0"), 1, 0, 0, FRAMES, "'14.0'"),
    "too_many_frames": (edited(0, b"999999999999999999"), 1, 0, 0, "at most 1,000,000", "'999"),
    "more_frames_than_there_are": (edited(0, b"999999"), 394, 15, 0, BODIES, "end of the file"),
    "more_bodies_than_there_are": (edited(1, b"99"), 30, 1, 2, HEADER, "'1'"),
    "101_bodies": (recording(9, range(FIRST, FIRST + 101), frames=1), 2, 1, 0, "at most 100", "'101'"),
    "5_000_000_empty_frames": (b"5000000\n" + b"0\n" * 5_000_000, 1, 0, 0, "at most 1,000,000", "'5000000'"),
    "frames_beyond_int64": (edited(0, b"9" * 30), 1, 0, 0, FRAMES, "'999"),
    "too_few_frames": (edited(0, b"13"), 366, 0, 0, "end of the file after its last frame", "'1'"),
    "negative_bodies": (edited(1, b"-1"), 2, 1, 0, BODIES, "'-1'"),
    "bodies_no_number": (edited(1, b"one"), 2, 1, 0, BODIES, "'one'"),
    "too_many_bodies": (edited(1, b"999999999999999999"), 2, 1, 0, "at most 100", "'999"),
    "bodies_beyond_int64": (edited(1, b"9" * 30), 2, 1, 0, BODIES, "'999"),
    "id_as_float": (edited(2, b"7.2e16 0 0 0 0 0 0 0 0 2"), 3, 1, 1, HEADER, "7.2e16"),
    "beyond_any_room": (coordinate(b"3e38"), 0, 1, 0, "within 1,000,000 m", "beyond"),
    "no_number": (coordinate(b"nano"), 5, 1, 1, NUMBERS, "'nano 1 1"),
    "decimal_comma": (coordinate(b"0,5"), 5, 1, 1, NUMBERS, "'0,5"),
    "11_fields": (edited(JOINT_LINE, b"1 2 3 4 5 6 7 8 9 10 11"), 5, 1, 1, FIELDS, "'1 2 3"),
    "one_id_twice": (recording(9, (FIRST, FIRST)), 0, 1, 0, "each body id once", f"id {FIRST} twice"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_prepare_sets_damaged_file_aside_unless_strict(raw, prepare, undisturbed, tmp_path, damage):
    content, line, frame, body, expected, got = DAMAGED[damage]
    fill(raw, {BAD: content})
    code, error = prepare(raw)
    assert code == 0
    (row,) = assert_undisturbed(tmp_path / "out", undisturbed).to_dict("records")
    assert (row["name"], row["file"], row["reason"]) == (BAD, str(raw / f"{BAD}.skeleton"), UNREADABLE)
    assert (row["frame"], row["body"]) == (frame, body)
    assert row["line"] > 0 if line is None else row["line"] == line
    assert expected in row["expected"]
    assert got in row["got"]

    for path in (tmp_path / "out").iterdir():
        path.unlink()
    code, error = prepare(raw, "--strict")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"danet: {raw / BAD}.skeleton")
    assert f"got {row['got']}" in error
    assert os.listdir(tmp_path / "out") == []


def kind_of_line(number):
    """What the grammar wants at a line, counted from 0, of a recording of one body."""
    if number == 0:
        return FRAMES
    offset = (number - 1) % 28
    return (BODIES, HEADER, JOINTS)[offset] if offset < 3 else NUMBERS


def test_prepare_sets_aside_file_truncated_at_any_line(raw, prepare, undisturbed, tmp_path):
    lines = recording(9, frames=2).split(b"\n")[:-1]
    assert len(lines) == 57
    cut = {f"S003C001P{number:03}R001A001": b"\n".join(lines[:number]) for number in range(1, 57)}
    inside = {
        f"S004C001P{number:03}R001A001": b"\n".join([*lines[:number], lines[number].rpartition(b" ")[0]])
        for number in range(1, 57)
    }
    fill(raw, cut | inside)
    assert prepare(raw)[0] == 0
    aside = assert_undisturbed(tmp_path / "out", undisturbed)
    assert len(aside) == len(cut) + len(inside)
    assert set(aside["reason"]) == {UNREADABLE}
    for row in aside[aside["name"].isin(cut)].to_dict("records"):
        number = int(row["name"][9:12])
        assert (row["line"], row["frame"]) == (number, (number - 1) // 28 + 1)
        assert kind_of_line(number) in row["expected"]
    for row in aside[aside["name"].isin(inside)].to_dict("records"):
        number = int(row["name"][9:12])
        assert row["line"] in (number, number + 1)
        assert (FIELDS if kind_of_line(number) == NUMBERS else kind_of_line(number)) in row["expected"]


HARMLESS = {
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
    "byte_order_mark": lambda content: b"\xef\xbb\xbf" + content,
    "no_last_newline": lambda content: content.rstrip(b"\n"),
    "blank_lines": lambda content: b"\n" + content.replace(b"\n", b"\n\r\n \n"),
    "tabs_and_spaces": lambda content: content.replace(b" ", b" \t ").replace(b"\n", b"  \n"),
    "exponents": lambda content: content.replace(b" 0.01 ", b" 1.0e-02 "),
}


@pytest.mark.parametrize("form", HARMLESS)
def test_prepare_ignores_forms_that_change_nothing(raw, good, prepare, undisturbed, tmp_path, form):
    changed = {name: HARMLESS[form](content) for name, content in good.items()}
    assert all(changed[name] != good[name] for name in good)
    fill(raw, changed)
    assert prepare(raw) == (0, "")
    assert assert_undisturbed(tmp_path / "out", undisturbed).empty


def test_prepare_reads_exponents_and_minus_zero(raw, prepare, tmp_path):
    plain, exponents = (
        coordinate(text).replace(b" 1 1 1 2 3", b" %s 1 1 2 3" % y) for text, y in ((b"0.25", b"0"), (b"2.5E-1", b"-0"))
    )
    arrays = []
    for content in (plain, exponents):
        fill(raw, {BAD: content})
        assert prepare(raw) == (0, "")
        arrays.append(outcome(tmp_path / "out")[1][BAD])
    np.testing.assert_array_equal(*arrays)


def test_prepare_reads_seven_bodies(raw, prepare, undisturbed, tmp_path):
    fill(raw, {BAD: recording(9, range(FIRST, FIRST + 7))})
    assert prepare(raw) == (0, "")
    _, arrays, aside = outcome(tmp_path / "out")
    assert aside.empty
    assert arrays[BAD].shape == (2 * 14, 25, 3)
    audit = pd.read_parquet(tmp_path / "out" / "demo_audit.parquet").set_index("name").loc[BAD]
    assert (audit["ids"], audit["kept"], audit["actors"]) == (7, 2, 2)
    for name, joints in undisturbed[1].items():
        np.testing.assert_array_equal(arrays[name], joints)


NOT_SHOWN = {
    "empty_frames": (b"3\n0\n0\n0\n", NOBODY),
    "one_empty_frame": (b"1\n0\n", NOBODY),
    "no_frames": (b"0\n", NOBODY),
}
SIX = np.arange(75).reshape(25, 3) < 18  # of the joints are found
HARDLY_SEEN = kinect_text([[(FIRST, (0.5 + SIX) * SIX)]] * 11)
NOT_SHOWN["hardly_seen"] = (HARDLY_SEEN, NOBODY_KEPT)


@pytest.mark.parametrize("case", NOT_SHOWN)
def test_prepare_sets_recording_of_nobody_aside(raw, prepare, undisturbed, tmp_path, case):
    content, reason = NOT_SHOWN[case]
    fill(raw, {BAD: content})
    assert prepare(raw)[0] == 0
    aside = assert_undisturbed(tmp_path / "out", undisturbed)
    assert aside[["name", "reason"]].to_numpy().tolist() == [[BAD, reason]]


def test_prepare_sets_aside_files_by_their_name(raw, good, prepare, undisturbed, tmp_path):
    fill(raw, {"notes": b"1", f"._{GOOD[0]}": b"Mac OS X", f"{GOOD[0]} (1)": good[GOOD[0]]})
    fill(raw / "deeper", {GOOD[0]: recording(9)})
    for path in (b"\xff\xfe.skeleton", b"caf\xe9/%s.skeleton" % BAD.encode()):
        where = os.path.join(os.fsencode(raw), path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        Path(os.fsdecode(where)).write_bytes(WHOLE)
    assert prepare(raw)[0] == 0
    aside = assert_undisturbed(tmp_path / "out", undisturbed)
    reasons = dict(zip(aside["file"].str.removeprefix(f"{raw}/"), aside["reason"], strict=True))
    assert reasons == {
        "notes.skeleton": NO_SAMPLE,
        f"._{GOOD[0]}.skeleton": NO_SAMPLE,
        f"{GOOD[0]} (1).skeleton": NO_SAMPLE,
        f"deeper/{GOOD[0]}.skeleton": TWICE,
        "\\xff\\xfe.skeleton": NO_SAMPLE,
        f"caf\\xe9/{BAD}.skeleton": NO_TEXT,
    }


def link_to_itself(path):
    path.symlink_to(path)


OBSTACLES = {  # how it comes to be, and part of what is got
    "link_to_nothing": (lambda path: path.symlink_to("nowhere"), "none"),
    "link_to_itself": (link_to_itself, "Too many levels of symbolic links"),
    "folder": (Path.mkdir, "a folder"),
    "link_to_a_folder": (lambda path: path.symlink_to("."), "a folder"),
    "pipe": (os.mkfifo, "a pipe"),
    "disk_that_fails": (lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
    "endless_device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_prepare_sets_aside_what_is_no_file(raw, prepare, undisturbed, tmp_path, obstacle):
    make, got = OBSTACLES[obstacle]
    make(raw / f"{BAD}.skeleton")
    (raw / "loop").symlink_to(raw)
    assert prepare(raw)[0] == 0
    (row,) = assert_undisturbed(tmp_path / "out", undisturbed).to_dict("records")
    assert (row["name"], row["reason"], row["expected"]) == (BAD, UNREADABLE, "a file")
    assert got in row["got"]


def test_prepare_sets_vanished_file_aside(raw, prepare, undisturbed, tmp_path, monkeypatch):
    fill(raw, {BAD: WHOLE})
    make_manifest = chain.make_manifest

    def vanish(dataset, folders):
        manifest = make_manifest(dataset, folders)
        (raw / f"{BAD}.skeleton").unlink()
        return manifest

    monkeypatch.setattr(chain, "make_manifest", vanish)
    assert prepare(raw)[0] == 0
    (row,) = assert_undisturbed(tmp_path / "out", undisturbed).to_dict("records")
    assert (row["name"], row["reason"], row["got"]) == (BAD, UNREADABLE, "none")


def test_prepare_sets_forbidden_file_aside(raw, prepare, undisturbed, tmp_path, monkeypatch):
    fill(raw, {BAD: WHOLE})
    opened = open

    def refuse(path, *args, **kwargs):  # by hand, because root may read everything
        if Path(str(path)).stem == BAD:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr("builtins.open", refuse)
    assert prepare(raw)[0] == 0
    (row,) = assert_undisturbed(tmp_path / "out", undisturbed).to_dict("records")
    assert (row["name"], row["reason"], row["got"]) == (BAD, UNREADABLE, "one that may not be read")


def test_prepare_sets_larger_file_aside(raw, prepare, undisturbed, tmp_path, monkeypatch):
    largest = max(path.stat().st_size for path in raw.iterdir())
    monkeypatch.setattr(raw_file, "LARGEST_BYTES", largest)
    fill(raw, {BAD: WHOLE + b"\n" * largest})
    assert prepare(raw)[0] == 0
    (row,) = assert_undisturbed(tmp_path / "out", undisturbed).to_dict("records")
    assert (row["name"], row["reason"]) == (BAD, UNREADABLE)
    assert row["expected"] == f"a file of at most {largest:,} bytes"
    assert row["got"] == f"one of {len(WHOLE) + largest:,} bytes"


def read_raw(bodies):
    """What becomes of a recording that a reader gives, or fails to."""

    def read(*_):
        if bodies is None:
            raise MemoryError
        return bodies

    return raw_file.read_raw_file(read, "a", __file__)


@pytest.mark.parametrize(
    ("frames", "frame", "told"),
    [
        (None, [], "expected a recording that fits into memory, got one that does not"),
        (1_000_001, [0], "expected at most 1,000,000 frames, got 1,000,001"),
        (3, [0] * 100 + [1] * 101 + [2], "frame 2: expected at most 100 bodies in a frame, got more"),
        (3, [0] * 100 + [1] * 100 + [2] * 100, None),
        (1_000_000, [0], None),
    ],
)
def test_read_raw_file_bounds_frames_bodies_and_memory(frames, frame, told):
    rows = np.array(frame, np.int32)
    joints = np.ones((len(frame), 25, 3), np.float32)
    bodies = None if frames is None else Bodies("a", frames, rows, np.arange(len(frame)), joints)
    if told is None:
        assert read_raw(bodies) is bodies
        return
    with pytest.raises(BadRecording) as caught:
        read_raw(bodies)
    assert told in str(caught.value)


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize("claim", [b"2147483648", b"999999999999999999"])
def test_read_skeleton_text_takes_no_memory_for_false_counts(line, claim):
    content = edited(line, claim)
    tracemalloc.start()
    try:
        with pytest.raises(BadRecording):
            read_skeleton_text(BAD, BAD, content)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(content) + 100_000
    finally:
        tracemalloc.stop()


def test_prepare_sets_every_damage_aside_on_several_processes(raw, undisturbed, tmp_path):
    fill(raw, {f"S{setup:03}C001P001R001A002": case[0] for setup, case in enumerate(DAMAGED.values(), 1)})
    command = [sys.executable, "-W", "error", "-c", START, "prepare", "demo", "--raw", raw]
    command += ["--out", tmp_path / "out" / "demo.h5", "--jobs", "2"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert json.loads(done.stdout)["set_aside"] == len(DAMAGED)
    assert len(assert_undisturbed(tmp_path / "out", undisturbed)) == len(DAMAGED)
