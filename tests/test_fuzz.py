"""What people hand in, by every door, damaged: read or refused in one line, soon, in little memory, and alone.

FUZZ_FILES=n reads so many files a door; the same ones each time, FUZZ_SEED=n makes others.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_doors import DOORS, ROOT

from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.errors import BadRecording

FILES, SEED = os.environ.get("FUZZ_FILES", "200"), os.environ.get("FUZZ_SEED", "1")
JUDGE = Path(__file__).with_name("fuzz_judge.py")


@pytest.mark.parametrize("door", DOORS)
def test_damaged_files_are_read_or_refused(door, tmp_path):
    """A failure leaves its file in the folder that is printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", JUDGE, door, FILES, SEED, tmp_path],
        env=os.environ | {"PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{tmp_path}/inside/{door}"
    told = json.loads(done.stdout)
    print(door, told)
    assert told["read"] + told["refused"] == told["files"] == int(FILES)
    assert told["read"] > 0.02 * told["files"]
    assert told["refused"] > 0.2 * told["files"]


WRONG = {  # what a reader must not do, and what the judge says of it
    "raise ValueError('of its own')": "ValueError: of its own",
    "open('/etc/hostname').close()": "looked at [\"open '/etc/hostname'\"]",
    "ctypes.CDLL(None).open(b'outside/bait', 0)": "looked at ['the bait in the folder outside']",
    "bytearray(99_000_000)": "bytes of memory",
    "kept.append(b'x' * 1_000_000)": "memory that grows with the number of files",
    "raise UserError('MemoryError')": "AssertionError: MemoryError",
    "os.abort()": "Fatal Python error: Aborted",
}


@pytest.mark.parametrize("deed", WRONG)
def test_judge_sees_what_a_reader_must_not_do(deed, tmp_path):
    lines = [
        "from fuzz_judge import *",
        "from fuzz_mutators import TEXT",
        f"kept, folder = [], Path({os.fspath(tmp_path)!r})",
        f"def read(path): {deed}",
        "faulthandler.enable()",
        "judge(Door('a', lambda *_: [b'x'], read, TEXT), 150, 1, folder)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.fspath, (ROOT, JUDGE.parent)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert WRONG[deed] in done.stderr


@pytest.mark.parametrize("number", ["9" * 4000, "9" * 5000, "true", '"1"', "[]", "{}"])
def test_read_nw_ucla_refuses_values_that_are_no_number(number):
    frame = [[0.5, 1.0, 2.0]] * 20
    content = json.dumps({"skeletons": [frame]}).replace("0.5", number, 1).encode()
    if number in ("true", '"1"'):
        assert read_nw_ucla("a", "a.json", content).joints[0, 0, 0] == 1
        return
    with pytest.raises(BadRecording):
        read_nw_ucla("a", "a.json", content)
