"""Measures `danet stream` at full speed: frames a second, and the most memory it took by the start and by the end.

    python benchmarks/stream.py OUT [--frames 100000] [--bad 100] [--threads 1]

Feeds the command frames of one body of 25 joints through a pipe. One line in `--bad` is no frame, 0 for none: in turns
a number that is none, a text that is no JSON, bytes that are no text. The network is small and untrained. Writes
OUT/stream.csv: a row for reading alone, with one label at the end, and a row for a label every 15 frames, of a tenth of
the frames. The clock and the memory at the start are read after a hundredth of the frames. Needs /proc.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.settings import Prepare
from danet.datasets.demo import DEMO
from danet.models.weights import build_model, describe, save_weights

JOINTS, DIFFERENT, EVERY = 25, 500, 15
START = "from danet.cli import main; main()"
BAD = (json.dumps([[float("nan"), 0, 0]] * JOINTS).encode(), b'{"bodies": [[[0.1, 0.2', b"\xff\xfe")


def make_network(path: Path) -> None:
    """Writes the weights of a small network that has learnt nothing."""
    description = {
        **DEMO.describe(),
        "clips": ClipSettings(frames=16, test_crops=(1,)).model_dump(),
        "model": DANetSettings(width=16, blocks=1, heads=2).model_dump(),
        "prepare": Prepare().model_dump(),
        "actions": list(DEMO.actions),
    }
    torch.manual_seed(0)
    model = build_model(description)
    save_weights(path, model.state_dict(), description | describe(model))


def blocks(frames: int, bad: int) -> list[bytes]:
    """The lines of so many frames, in a hundred blocks; one line in `bad` is no frame."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(-1, 1, (JOINTS, 3)) * [0.2, 1, 0.2] + [0, 0, 3]
    bodies = [(shape + rng.normal(0, 0.05, 3)).round(7).tolist() for _ in range(DIFFERENT)]
    good = [json.dumps({"bodies": [body]}).encode() for body in bodies]
    wrong = cycle(BAD)
    lines = (next(wrong) if bad and number % bad == 0 else line for number, line in enumerate(cycle(good), 1))
    size = frames // 100
    return [b"\n".join([*islice(lines, size), b""]) for _ in range(100)]


def taken(process: int) -> tuple[float, float]:
    """What a process has taken until now: seconds of the processor, and MiB of memory at most."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    memory = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), int(memory) / 1024


def measure(weights: Path, frames: int, every: int, bad: int, threads: int) -> dict:
    """One run of the command, after a hundredth of the frames."""
    command = [sys.executable, "-c", START, "stream", str(weights), "--every", str(every)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as labels, tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=labels, stderr=told)
        given = blocks(frames, bad)
        assert process.stdin
        process.stdin.write(given[0])
        process.stdin.flush()  # more than a pipe holds: it reads by now
        started, (cpu_at_start, at_start) = time.perf_counter(), taken(process.pid)
        for block in given[1:]:
            process.stdin.write(block)
        process.stdin.flush()
        seconds, (cpu_at_end, at_end) = time.perf_counter() - started, taken(process.pid)
        process.stdin.close()
        code = process.wait()
        labels.seek(0)
        told.seek(0)
        lines = told.read().splitlines()
        if code != (2 if bad else 0):
            raise SystemExit(f"expected exit code {2 if bad else 0}, got {code}: {lines[-1:]}")
        return {
            "frames": frames,
            "every": every,
            "bad": frames // bad if bad else 0,
            "labels": len(labels.read().splitlines()),
            "told_lines": len(lines),
            "frames_per_second": 0.99 * frames / seconds,
            "frames_per_cpu_second": 0.99 * frames / (cpu_at_end - cpu_at_start),
            "start_mib": at_start,
            "end_mib": at_end,
        }


def main() -> None:
    """Makes a network, measures both ways, writes the table and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=100_000, help="at least 10,000, a multiple of 1,000")
    parser.add_argument("--bad", type=int, default=100, help="one bad line in so many, 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        make_network(weights)
        rows = [
            measure(weights, frames, every, options.bad, options.threads)
            for frames, every in ((options.frames, options.frames), (options.frames // 10, EVERY))
        ]
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "stream.csv", index=False, float_format="%.6g")
    print(table.T.to_string(float_format=lambda value: f"{value:,.4g}"))


if __name__ == "__main__":
    main()
