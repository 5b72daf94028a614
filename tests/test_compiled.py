"""Machine code where nothing can be kept: a read-only installation, and a user without a home."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

MOVE = """
import numpy as np
from danet.preparation.tracks import motion_of
print(motion_of(np.eye(3, dtype=np.float32)[:, None]), len(motion_of.stats.cache_path or ""))
"""


@pytest.mark.parametrize("closed", [False, True])
def test_loops_compile_where_no_cache_can_be_written(tmp_path, closed):
    shutil.copytree(ROOT / "danet", tmp_path / "danet", ignore=shutil.ignore_patterns("__pycache__"))
    if closed:  # also for an administrator: a file where a folder is wanted
        for folder in [path for path in (tmp_path / "danet").rglob("*") if path.is_dir()] + [tmp_path / "danet"]:
            (folder / "__pycache__").write_bytes(b"")
    places = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": ""}
    environment = os.environ | places | {"PYTHONPATH": os.fspath(tmp_path)}
    done = subprocess.run([sys.executable, "-c", MOVE], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    motion, cached = done.stdout.split()
    assert float(motion) == pytest.approx(2 / 3)
    assert (int(cached) == 0) == closed
