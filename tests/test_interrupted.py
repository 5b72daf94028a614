"""`danet prepare` killed, and on full disks: nothing half done is left, and a second run is as good as a first."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import BAD, JOINT_LINE, START, fill, recording

from danet.cli import main
from danet.preparation import chain

MANY = 1000  # recordings: enough for a run of a second or so
KILLS = 20


def in_its_own_process(function, folder):
    """Runs a function of this module on `folder` in a fresh process, which may fork and set limits; what it returns."""
    script = f"import json, sys, test_interrupted as t; print(json.dumps(t.{function.__name__}(sys.argv[1])))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fill_with_many(folder):
    """MANY recordings that differ in one coordinate, and one damaged file."""
    content = recording(9)
    first = content.split(b"\n")[JOINT_LINE].split(b" ")[0]
    fill(folder, {BAD: b""})
    for number in range(MANY):
        name = f"S{number // 100 + 1:03}C001P{number % 100 + 1:03}R001A001"
        fill(folder, {name: content.replace(first, b"0.%04d" % number, 1)})


def start(raw, out, report=None, largest_file=None):
    """Forks a child that runs `danet prepare` on one process; its errors go to the open file `report`."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(report or nowhere.fileno(), 2)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        sys.argv = ["danet", "prepare", "demo", "--raw", str(raw), "--out", str(out), "--jobs", "1"]
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def ended(child):
    """The exit code of a child; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def kill_and_run_again(folder):
    """Kills KILLS runs, each at another share of the time that the last whole run took; a whole run follows each."""
    raw, out = Path(folder, "raw"), Path(folder, "out", "demo.h5")
    # Compiled code is loaded before the forks.
    chain.prepare_one("demo", None, chain.Prepare(), (BAD, str(next(raw.iterdir()))))

    def whole():
        begun = time.monotonic()
        assert ended(start(raw, out)) == 0
        return time.monotonic() - begun

    whole()  # the first may be slow
    seconds = whole()
    expected = digests(out.parent)
    killed, seen = 0, set()
    for share in (np.arange(KILLS) + np.random.default_rng(1).random(KILLS)) / KILLS:
        shutil.rmtree(out.parent)
        child = start(raw, out)
        time.sleep(share * seconds)
        os.kill(child, signal.SIGKILL)
        killed += ended(child) == -signal.SIGKILL
        left = sorted(os.listdir(out.parent)) if out.parent.exists() else []
        for name in set(left) & set(expected):
            assert digests(out.parent)[name] == expected[name], f"{name} is there but not whole"
        seen.add(" ".join(re.sub(r"\w+-\d+-\w+\.partial", "partial", name) for name in left))
        seconds = whole()
        assert digests(out.parent) == expected, f"after a kill at {share:.1%} of the time"
    return {"seconds": seconds, "killed": killed, "left": sorted(seen)}


def test_prepare_runs_again_after_a_kill_at_any_moment(tmp_path):
    fill_with_many(tmp_path / "raw")
    told = in_its_own_process(kill_and_run_again, tmp_path)
    print(told)
    assert told["killed"] >= KILLS * 3 // 4
    assert len(told["left"]) > 1, "all kills came before or after the writing"
    assert any(".partial" in left for left in told["left"])


def fill_the_disk(folder):
    """Runs with ever more room on the disk: [limit in bytes, exit code, errors, files left] of each."""
    raw, out = Path(folder, "raw"), Path(folder, "out", "demo.h5")
    chain.prepare_one("demo", None, chain.Prepare(), (BAD, str(next(raw.iterdir()))))
    assert ended(start(raw, out)) == 0
    sizes = {path.name: path.stat().st_size for path in out.parent.iterdir()}
    outcomes = []
    whole = max(sizes.values())
    for limit in sorted({0, 1, 100, 2000, whole // 3, whole - 1, *(size - 1 for size in sizes.values())}):
        shutil.rmtree(out.parent)
        read, write = os.pipe()
        child = start(raw, out, report=write, largest_file=limit)
        os.close(write)
        with open(read) as report:
            errors = report.read()
        outcomes.append([limit, ended(child), errors, sorted(os.listdir(out.parent))])
    return outcomes


def check_full_disk(outcomes):
    assert len(outcomes) >= 6
    for limit, code, errors, left in outcomes:
        last = errors.splitlines()[-1]
        assert (code, "Traceback" in errors) == (2, False), f"{limit} bytes: {errors}"
        assert set(left) <= {"demo_set_aside.parquet", "demo_audit.parquet"}, "whole tables at most"
        assert last.startswith("danet: "), errors
        assert "expected to write it, got: " in last, errors
        assert all("set aside" in line or "recordings:" in line for line in errors.splitlines()[:-1]), errors


def test_prepare_on_full_disk_says_one_line_and_leaves_nothing(tmp_path):
    fill_with_many(tmp_path / "raw")
    check_full_disk(in_its_own_process(fill_the_disk, tmp_path))


def test_prepare_on_disk_too_full_for_the_tables(tmp_path):
    fill(tmp_path / "raw", {f"S001C001P{number:03}R001A001": b"%d" % number for number in range(1, 200)})
    check_full_disk(in_its_own_process(fill_the_disk, tmp_path))


def test_prepare_refuses_unwritable_target(raw, tmp_path, capfd, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.h5").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for out in ("/proc/nowhere/demo.h5", tmp_path / "file" / "demo.h5", tmp_path / "folder.h5", "/proc/demo.h5"):
        monkeypatch.setattr(
            sys, "argv", [*map(str, ["danet", "prepare", "demo", "--raw", raw, "--out", out])] + ["--jobs", "1"]
        )
        with pytest.raises(SystemExit) as stopped:
            main()
        error = capfd.readouterr().err
        assert (stopped.value.code, error.count("\n")) == (2, 1), error
        assert error.startswith(f"danet: {out}: expected to write it")
    assert sorted(tmp_path.rglob("*")) == before


def test_prepare_killed_leaves_no_process(raw, tmp_path):
    for number in range(1, 200):
        os.mkfifo(raw / f"S005C001P{number:03}R001A001.skeleton")
    marker = {"DANET_TEST_RUN": os.urandom(8).hex()}
    command = [sys.executable, "-c", START, "prepare", "demo", "--raw", raw, "--out", tmp_path / "o.h5", "--jobs", "2"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*map(str, command)], env=os.environ | marker, **quiet) as run:
        wait_until(lambda: len(with_marker(marker)) >= 3)  # the run and two of its own
        run.kill()
    try:
        wait_until(lambda: not with_marker(marker))
    finally:
        for process in with_marker(marker):
            os.kill(process, signal.SIGKILL)


def with_marker(marker):
    """The ids of the processes started with that entry in their environment."""
    ((key, value),) = marker.items()
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{key}={value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                pids.append(int(folder.name))
        except OSError:
            pass
    return pids


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)
