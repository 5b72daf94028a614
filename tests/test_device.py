"""Which machine a run takes: processes that start at one time take a GPU each."""

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
