"""Measures the preparation side by side with numpy.fromstring over the same files, in one run, on files it makes.

    python benchmarks/prepare.py OUT [--files 2400] [--repeats 3]

Writes OUT/prepare.csv and OUT/prepare.svg: seconds and peak memory against the number of files. Every figure is of a
process of its own. Ratios are of seconds a file, taken from the difference between many files and a tenth of them, so
that start-up and compilation drop out. What two jobs can reach is measured as well: two processes that know nothing of
each other, each on half of the files, at the same time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from danet.config.settings import Simulate
from danet.simulate.actions import TWO_PERSON
from danet.simulate.simulate import performances, simulate_text

TEMPLATES = 40  # texts that are simulated; every file differs from all others in one number
SIZE = 300_000  # bytes at most; about 245,000 come of it, what a file of NTU-60 holds

READ, NUMPY, ONE, TWO = "read bytes", "numpy.fromstring", "danet prepare, 1 job", "danet prepare, 2 jobs"
HALVES = "two of 1 job, half each"
BYTES = "for path in paths: total += len(open(path, 'rb').read())"
FROMSTRING = "for path in paths: total += len(numpy.fromstring(open(path).read(), sep=' '))"
READER = """
import sys, time, numpy, pathlib
paths = sorted(pathlib.Path(sys.argv[1]).glob('*/*'))
total = 0
started = time.perf_counter()
{loop}
print('{{"seconds": %f}}' % (time.perf_counter() - started))
"""


def make_files(folder: Path, count: int) -> None:
    """`count` files of about 250 kB under NTU's names, in two folders."""
    settings = Simulate(frames=110)
    chosen = [p for p in performances(settings) if p.action - 1 not in TWO_PERSON][::3][:TEMPLATES]
    texts = [_of_size(simulate_text(settings, performance, 1 + place % 3)) for place, performance in enumerate(chosen)]
    for index, name in enumerate(tqdm(_names(count), desc="make files", disable=None)):
        lines = texts[index % len(texts)].split("\n", 5)
        lines[4] = f"{index / 1e7:.7f} " + lines[4].split(" ", 1)[1]
        half = folder / str(index % 2)
        half.mkdir(parents=True, exist_ok=True)
        (half / f"{name}.skeleton").write_text("\n".join(lines))


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


def measure(*commands: list[str]) -> tuple[float, float]:
    """Runs processes at the same time: the most seconds that one reports as JSON, and the most MiB that one takes."""
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        running = [subprocess.Popen(command, stdout=out) for command, out in zip(commands, outputs, strict=True)]
        seconds, memory = [], []
        for process, output in zip(running, outputs, strict=True):
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"failed: {process.args}")
            output.seek(0)
            seconds.append(json.loads(output.read())["seconds"])
            memory.append(usage.ru_maxrss / 1024)
    return max(seconds), max(memory)


def run(folder: Path, count: int, repeats: int) -> list[dict]:
    """All measurements on a folder of `count` files, taken in turn."""

    def read(loop: str) -> list[str]:
        return [sys.executable, "-W", "ignore", "-c", READER.format(loop=loop), str(folder)]

    def prepare(jobs: int, part: str = "") -> list[str]:
        out = folder.parent / f"out{part}.h5"
        command = [str(Path(sys.executable).with_name("danet")), "prepare", "ntu60", "--raw", str(folder / part)]
        return [*command, "--out", str(out), "--jobs", str(jobs)]

    commands = {
        READ: [read(BYTES)],
        NUMPY: [read(FROMSTRING)],
        ONE: [prepare(1)],
        TWO: [prepare(2)],
        HALVES: [prepare(1, "0"), prepare(1, "1")],
    }
    rows = []
    for repeat in range(repeats):
        for name, at_once in commands.items():
            seconds, memory = measure(*at_once)
            rows.append({"what": name, "files": count, "repeat": repeat, "seconds": seconds, "peak_mib": memory})
            print(f"{name:28} {count:6} files  {seconds:8.3f} s  {memory:7.0f} MiB", flush=True)
    return rows


def draw(table: pd.DataFrame) -> Figure:
    """Medians of seconds and memory against the number of files."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    counts = sorted(table["files"].unique())
    for axis, column in ((seconds, "seconds"), (memory, "peak_mib")):
        for name, rows in table.groupby("what", sort=False):
            medians = rows.groupby("files")[column].median()
            axis.plot(medians.index, medians, "o-", label=name, alpha=0.8)
        axis.set(xlabel="files of about 250 kB", xscale="log")
        axis.set_xticks(counts, [f"{count:,}" for count in counts])
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.3)
    seconds.set(ylabel="seconds", yscale="log")
    memory.set(ylabel="peak memory of a process, MiB")
    memory.set_ylim(bottom=0)
    figure.legend(*seconds.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
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
    fewer, more = options.files // 10, options.files
    seconds, memory = medians["seconds"], medians["peak_mib"].loc[ONE]
    each = (seconds[more] - seconds[fewer]) / (more - fewer)
    print()
    for name, value in each.items():
        print(f"{name:28} {1e3 * value:7.3f} ms a file")
    print(f"one job / numpy.fromstring: {each[ONE] / each[NUMPY]:.3f}; start-up included: ", end="")
    print(f"{seconds.loc[ONE, more] / seconds.loc[NUMPY, more]:.3f}")
    print(
        f"two jobs are {each[ONE] / each[TWO]:.2f} times as fast as one, where two processes that know nothing of ",
        end="",
    )
    print(f"each other reach {each[ONE] / each[HALVES]:.2f}")
    print(f"10 times the files take {memory[more] / memory[fewer]:.2f} times the memory, {memory[more]:.0f} MiB")


if __name__ == "__main__":
    main()
