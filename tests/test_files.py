"""Files appear whole or not at all, whoever else writes them, and whatever lies beside them."""

import os
import subprocess
import sys
import time

import pytest

from danet.errors import UserError
from danet.io.files import DAY, MACHINE, write_text, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_writers_of_one_target_do_not_mix(tmp_path):
    target = tmp_path / "a.txt"
    with written_whole(target) as first, first.open("w") as file:
        file.write("first ")
        file.flush()
        write_text(target, "second")
        assert target.read_text() == "second"
        file.write("and whole")
        file.flush()
    assert target.read_text() == "first and whole"
    assert names(tmp_path) == ["a.txt"]


def test_written_whole_follows_no_link_that_somebody_put_there(tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.write_text("all of it")
    monkeypatch.setattr("secrets.token_hex", lambda size: "guessed")
    (tmp_path / f".a.txt.{MACHINE}-{os.getpid()}-guessed.partial").symlink_to(precious)
    (tmp_path / ".a.txt.partial").symlink_to(precious)
    with pytest.raises(UserError, match=r"a\.txt: expected to write it, got: File exists"):
        write_text(tmp_path / "a.txt", "x")
    assert precious.read_text() == "all of it"


def test_written_whole_gives_the_ordinary_mode(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_written_whole_sweeps_what_dead_runs_left_of_its_target(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = {
        "of_the_dead": f".a.txt.{MACHINE}-{dead.pid}-0.partial",
        "of_the_living": f".a.txt.{MACHINE}-{os.getppid()}-0.partial",
        "of_another_machine": f".a.txt.other-{dead.pid}-0.partial",
        "old_of_another_machine": f".a.txt.other-{dead.pid}-1.partial",
        "old_of_0.2.0": ".a.txt.partial",
        "of_another_target": f".b.a.txt.{MACHINE}-{dead.pid}-0.partial",
        "no_partial": ".a.txt.notes.partial",
    }
    for kind, name in left.items():
        (tmp_path / name).write_text(kind)
        if kind.startswith("old"):
            os.utime(tmp_path / name, times=(0, time.time() - DAY - 60))
    write_text(tmp_path / "a.txt", "x")
    swept = {"of_the_dead", "old_of_another_machine", "old_of_0.2.0"}
    assert names(tmp_path) == sorted(["a.txt", *(name for kind, name in left.items() if kind not in swept)])
