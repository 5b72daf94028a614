"""Measures what the workflow itself costs at the size of NTU-120: 114,480 small, made-up raw files.

    python benchmarks/workflow.py OUT [--files 114480]

In a temporary copy of the project it makes the files, runs one protocol with the smallest of networks, and then times a
dry run and a run in which nothing is stale. Writes OUT/workflow.csv.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
SMALLEST = {
    "runs": "ntu120/cross_setup",
    "clips": {"frames": 2},
    "model": {"width": 4, "heads": 2, "blocks": 1, "patch_frames": 1, "segments": 1},
    "train": {"epochs": 1, "batch_size": 1024, "warmup_epochs": 0},
}


def make_files(folder: Path, count: int) -> None:
    """Recordings of two frames and one body under NTU-120's names; no two are alike."""
    rng = np.random.default_rng(0)
    names = (
        f"S{setup:03}C{camera:03}P{performer:03}R{replication:03}A{action:03}"
        for performer in range(1, 107)
        for setup in range(1 + performer % 2, 33, 4)
        for camera in (1, 2, 3)
        for replication in (1, 2)
        for action in range(1, 121)
    )
    line = " ".join(["%.6f %.6f %.6f", *"123456789"])
    template = "\n".join(["1", "72057594037931101 0 1 1 1 1 0 0 0 2", "25", *[line] * 25])
    text = "\n".join(["2", template, template, ""])
    for name, _ in zip(tqdm(names, total=count, desc="make files"), range(count), strict=False):
        (folder / f"{name}.skeleton").write_text(text % tuple(rng.normal(size=150)))


def timed(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MiB of any process so far, and the output of one call of Snakemake in the copy."""
    environment = os.environ | {"PYTHONPATH": os.fspath(folder)}
    started = time.perf_counter()
    done = subprocess.run(
        (SNAKEMAKE, *arguments, "--cores", "2"), cwd=folder, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, done.stdout + done.stderr


def main() -> None:
    """Makes the copy and the files, runs, and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=114_480)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in ("Snakefile", "workflow", "config", "danet", "profiles"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
        (folder / "config/config.yaml").write_text(yaml.safe_dump(SMALLEST))
        raw = folder / "data/nturgbd_raw"
        for part, share in (("nturgb+d_skeletons", 1), ("nturgb+d_skeletons120", 0)):
            (raw / part).mkdir(parents=True)
            make_files(raw / part, share * options.files or 1)
        steps = {"dry run before": ["--dry-run"], "whole run": [], "dry run after": ["--dry-run"], "nothing stale": []}
        for step, arguments in steps.items():
            seconds, memory, output = timed(folder, *arguments)
            if step in ("dry run after", "nothing stale") and "Nothing to be done" not in output:
                raise SystemExit(f"something is stale:\n{output}")
            rows.append({"step": step, "files": options.files, "seconds": seconds, "peak_mib_so_far": memory})
            print(f"{step:16} {seconds:8.2f} s  {memory:7.0f} MiB", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(options.out / "workflow.csv", index=False)


if __name__ == "__main__":
    main()
