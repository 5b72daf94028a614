"""Measures the preparation side by side with numpy.fromstring over the same files, in one run, on files it makes.

    python benchmarks/prepare.py OUT [--files 2400] [--repeats 3]

Writes OUT/prepare.csv and OUT/prepare.svg: seconds and peak memory against the number of files. Every figure is of a
process of its own; seconds are those that the process takes for its files, start-up and compilation left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from danet.config import Simulate
from danet.simulate.actions import TWO_PERSON
from danet.simulate.simulate import performances, simulate_text

TEMPLATES = 40  # texts that are simulated; every file differs from all others in one number
SIZE = 300_000  # bytes: about what a file of NTU-60 holds

BYTES = "for path in paths: total += len(open(path, 'rb').read())"
FROMSTRING = "for path in paths: total += len(numpy.fromstring(open(path).read(), sep=' '))"
READER = """
import sys, time, numpy, pathlib
paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
total = 0
started = time.perf_counter()
{loop}
print('{{"seconds": %f}}' % (time.perf_counter() - started))
"""


def make_files(folder: Path, count: int) -> None:
    """`count` files of about 300 kB under NTU's names."""
    settings = Simulate(frames=110)
    chosen = [p for p in performances(settings) if p.action - 1 not in TWO_PERSON][::3][:TEMPLATES]
    texts = [_of_size(simulate_text(settings, performance, 1 + place % 3)) for place, performance in enumerate(chosen)]
    for index, name in enumerate(tqdm(_names(count), desc="make files", disable=None)):
        lines = texts[index % len(texts)].split("\n", 5)
        lines[4] = f"{index / 1e7:.7f} " + lines[4].split(" ", 1)[1]
        (folder / f"{name}.skeleton").write_text("\n".join(lines))


def _of_size(text: str) -> str:
    """The first frames of a recording, as many as fit into SIZE; frames that lost everybody are skipped."""
    lines = text.split("\n")
    frames, at = [], 1
    length = 0
    while at < len(lines) - 1 and length < SIZE:
        bodies = int(lines[at])
        end = at + 1 + bodies * 27
        if bodies:
            frames += lines[at:end]
            length += sum(map(len, lines[at:end])) + end - at
        at = end
    count = sum(1 for line in frames if len(line) == 1)
    return "\n".join([str(count), *frames, ""])


def _names(count: int) -> list[str]:
    every = (
        f"S{setup:03}C{camera:03}P{performer:03}R{replication:03}A{action:03}"
        for performer in range(1, 41)
        for setup in range(1, 18)
        for camera in (1, 2, 3)
        for replication in (1, 2)
        for action in range(1, 61)
    )
    return [name for name, _ in zip(every, range(count), strict=False)]


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds that a process reports as JSON, and the peak memory of the largest of its processes in MiB."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {' '.join(command)}")
        output.seek(0)
        return json.loads(output.read())["seconds"], usage.ru_maxrss / 1024


def run(folder: Path, count: int, repeats: int) -> list[dict]:
    """All measurements on a folder of `count` files, taken in turn."""
    out = folder.parent / "out.h5"
    danet = [str(Path(sys.executable).with_name("danet")), "prepare", "ntu60", "--raw", str(folder), "--out", str(out)]
    commands = {
        "read bytes": [sys.executable, "-c", READER.format(loop=BYTES), str(folder)],
        "numpy.fromstring": [sys.executable, "-W", "ignore", "-c", READER.format(loop=FROMSTRING), str(folder)],
        "danet prepare, 1 job": [*danet, "--jobs", "1"],
        "danet prepare, 2 jobs": [*danet, "--jobs", "2"],
    }
    rows = []
    for repeat in range(repeats):
        for name, command in commands.items():
            seconds, memory = measure(command)
            rows.append({"what": name, "files": count, "repeat": repeat, "seconds": seconds, "peak_mib": memory})
            print(f"{name:24} {count:6} files  {seconds:8.3f} s  {memory:7.0f} MiB", flush=True)
    return rows


def draw(table: pd.DataFrame) -> Figure:
    """Medians of seconds and memory against the number of files."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, column, label in zip(
        figure.subplots(1, 2), ("seconds", "peak_mib"), ("seconds", "peak MiB"), strict=True
    ):
        for name, rows in table.groupby("what", sort=False):
            medians = rows.groupby("files")[column].median()
            axis.plot(medians.index, medians, "o-", label=name)
        axis.set(xlabel="files of 300 kB", ylabel=label, xscale="log", yscale="log")
    figure.axes[0].legend(fontsize=8)
    return figure


def main() -> None:
    """Makes the files, measures, writes the table and the plot, and prints the ratios that count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=2400)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "raw"
        folder.mkdir()
        for count in (options.files // 10, options.files):
            make_files(folder, count)
            rows += run(folder, count, options.repeats)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "prepare.csv", index=False)
    matplotlib.rcParams["svg.hashsalt"] = "danet"
    draw(table).savefig(options.out / "prepare.svg", metadata={"Date": None})
    medians = table.groupby(["what", "files"])[["seconds", "peak_mib"]].median().unstack()
    seconds, memory = medians["seconds"][options.files], medians["peak_mib"]
    one, two = seconds["danet prepare, 1 job"], seconds["danet prepare, 2 jobs"]
    print(f"\none job / numpy.fromstring: {one / seconds['numpy.fromstring']:.3f}")
    print(f"two jobs are {one / two:.2f} times as fast as one")
    growth = memory.loc["danet prepare, 1 job"]
    print(f"10 times the files take {growth.iloc[1] / growth.iloc[0]:.2f} times the memory, {growth.iloc[1]:.0f} MiB")


if __name__ == "__main__":
    main()
