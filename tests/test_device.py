"""Which machine a run takes: processes that start at one time take a GPU each."""

import os
import subprocess
import sys

CLAIM = "import sys, pathlib; from danet.device import claim; print(*(claim(2, pathlib.Path({!r})) for _ in range(2)))"


def claimer(folder):
    """A process that claims one of two GPUs, twice, says which, and waits to be let go."""
    code = CLAIM.format(str(folder)) + "; sys.stdout.flush(); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()


def test_claim_gives_each_process_a_gpu_until_it_ends(tmp_path):
    process1, first = claimer(tmp_path)
    process2, second = claimer(tmp_path)
    process3, third = claimer(tmp_path)
    assert (first, second) == (["0", "0"], ["1", "1"]), "and a process claims no second one"
    assert third == ["0", "0"], "all are claimed: the first is shared"
    process2.communicate("")
    process4, fourth = claimer(tmp_path)
    assert fourth == ["1", "1"]
    for process in (process1, process3, process4):
        process.communicate("")


def test_claim_neither_follows_nor_empties_what_somebody_put_in_its_place(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("all of it")
    (tmp_path / f"danet-{os.getuid()}-gpu0.lock").symlink_to(precious)
    process, claimed = claimer(tmp_path)
    process.communicate("")
    assert claimed == ["1", "1"]
    (tmp_path / f"danet-{os.getuid()}-gpu1.lock").unlink()
    os.mkfifo(tmp_path / f"danet-{os.getuid()}-gpu1.lock")
    process, claimed = claimer(tmp_path)
    process.communicate("")
    assert claimed == ["0", "0"], "none is left: the first is shared"
    assert precious.read_text() == "all of it"


def test_claim_where_no_lock_can_be_written(tmp_path):
    process, claimed = claimer(tmp_path / "absent")
    process.communicate("")
    assert claimed == ["0", "0"]
