"""Measures the network: parameters, operations, samples a second, latency, memory, and the share of the machine's peak.

    python benchmarks/model.py OUT [--seconds 20] [--threads 2]

Writes OUT/model.csv, a row for each setting. Every setting is measured in a process of its own, on sequences of random
numbers, in which every sample of NTU's kind shows two people. The peak is that of square matrix products of the
precision that training uses, measured in the same process before and after; the best of both counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from danet.config import read_config
from danet.cost import make_trial
from danet.datasets.catalogue import find_dataset
from danet.device import multiplies_bfloat16

ROOT = Path(__file__).parents[1]
SETTINGS = {"NW-UCLA": "nw_ucla", "NTU RGB+D 60": "ntu60"}
SIZE = 2048  # rows and columns of the matrices of the peak
LARGE = 32


def peak(precision: torch.dtype, seconds: float) -> float:
    """GFLOP/s of the fastest of the matrix products that fit into this time."""
    one, other = (torch.randn(SIZE, SIZE).to(precision) for _ in range(2))
    best = min(_times(lambda: _spent(lambda: one @ other), seconds))
    return 2 * SIZE**3 / best / 1e9


def _spent(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _times(once: Callable[[], float], seconds: float) -> list[float]:
    """What `once` returns, again and again for this long, without the first time."""
    once()
    found: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(found) < 3:
        found.append(once())
    return found


def measure(dataset: str, threads: int, seconds: float) -> dict:
    """All figures of one setting, in this process."""
    source = find_dataset(dataset)
    run = read_config(ROOT / "config/config.yaml").run(dataset)
    trial = make_trial(run, source, threads)
    precision = torch.bfloat16 if run.train.bfloat16 and multiplies_bfloat16(trial.device) else torch.float32
    before = peak(precision, seconds / 4)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inferred = {batch: _times(lambda batch=batch: trial.infer(batch), seconds) for batch in (1, LARGE)}
    infer_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained = {batch: _times(lambda batch=batch: trial.train(batch), seconds) for batch in (1, LARGE)}
    train_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    highest = max(before, peak(precision, seconds / 4))
    forth, back = (trial.operations(LARGE, training) for training in (False, True))
    trains = LARGE / float(np.median(trained[LARGE]))
    infers = LARGE / float(np.median(inferred[LARGE]))
    return {
        "frames": run.clips.frames,
        "joints": source.layout.size,
        "people": 2 if source.two_person else 1,
        "parameters": sum(parameter.numel() for parameter in trial.state.model.parameters()),
        "inference_mmacs": forth / 1e6,
        "training_mmacs": back / 1e6,
        "trains_a_second_batch_1": 1 / float(np.median(trained[1])),
        f"trains_a_second_batch_{LARGE}": trains,
        "infers_a_second_batch_1": 1 / float(np.median(inferred[1])),
        f"infers_a_second_batch_{LARGE}": infers,
        "latency_median_ms": 1e3 * float(np.median(inferred[1])),
        "latency_p95_ms": 1e3 * float(np.percentile(inferred[1], 95)),
        "training_precision": str(precision).removeprefix("torch."),
        "training_gflops": 2 * back * trains / 1e9,
        "peak_gflops": highest,
        "training_share_of_peak": 2 * back * trains / 1e9 / highest,
        "peak_gflops_float32": peak(torch.float32, seconds / 4),
        "inference_gflops": 2 * forth * infers / 1e9,
        "started_mib": start / 1024,
        "inference_peak_mib": infer_memory / 1024,
        "training_peak_mib": train_memory / 1024,
        "threads": threads,
    }


def main() -> None:
    """Measures each setting in a process of its own; writes the table and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="for each rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.threads, options.seconds)))
        return
    rows = []
    for setting, dataset in SETTINGS.items():
        command = [sys.executable, __file__, str(options.out), "--only", dataset]
        command += ["--seconds", str(options.seconds), "--threads", str(options.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append({"setting": setting, **json.loads(done.stdout)})
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "model.csv", index=False, float_format="%.6g")
    print(table.set_index("setting").T.to_string(float_format=lambda value: f"{value:,.4g}"))


if __name__ == "__main__":
    main()
