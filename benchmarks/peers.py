"""Measures the samples a second of DANet, CTR-GCN and SGN beside one another on this machine.

    git clone https://github.com/Uason-Chen/CTR-GCN; git clone https://github.com/microsoft/SGN
    python benchmarks/peers.py OUT --ctr-gcn CTR-GCN --sgn SGN [--rounds 3] [--seconds 10] [--threads 2]

The peers' code is read from those folders; it is no part of this project. Writes OUT/peers.csv, a row for each network
and setting, and OUT/peers.svg. Figures are medians over the rounds. In a round every network is measured once, in a
process of its own, so that what else the machine does falls on all of them. Inputs are random numbers. DANet's training
holds the partner's pass, and its inference the cutting of clips; else the network's step only is timed.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.settings import read_config
from danet.cost.measure import BATCH, make_benchmark_run, timed
from danet.datasets.registry import find_dataset
from danet.models.base import parameters_of

ROOT = Path(__file__).parents[1]
SGN_TEST_BATCH = 160  # SGN's network at test takes this many clips, neither more nor fewer


def rate(once: Callable[[], float], clips: int, seconds: float) -> float:
    """Clips a second, of calls that say how many seconds they took: the median of those that fit into the time."""
    return clips / float(np.median(timed(once, seconds)))


def measure_danet(dataset: str, options: Namespace) -> tuple[float, float, int]:
    """Clips trained and inferred a second, and parameters, with the settings of config/config.yaml."""
    run = read_config(ROOT / "config/config.yaml").run(dataset, "danet")
    benchmark = make_benchmark_run(run, find_dataset(dataset), options.threads)
    timings = (benchmark.time_training, benchmark.time_inference)
    trains, infers = (rate(partial(time_of, BATCH), BATCH, options.seconds) for time_of in timings)
    return trains, infers, parameters_of(benchmark.state.model)


def measure_ctr_gcn(graph: str, frames: int, joints: int, people: int, options: Namespace) -> tuple[float, float, int]:
    """The same of CTR-GCN, one stream, batches of 8."""
    sys.path.insert(0, str(options.ctr_gcn))
    importlib.import_module(f"graph.{graph}")
    network = importlib.import_module("model.ctrgcn").Model(
        num_point=joints, num_person=people, graph=f"graph.{graph}.Graph", graph_args={"labeling_mode": "spatial"}
    )
    clips = torch.randn(8, 3, frames, joints, people)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    return measure_network(network, network, clips, clips, optimizer, options)


def measure_sgn(options: Namespace) -> tuple[float, float, int]:
    """The same of SGN, batches of 64 in training."""
    sys.path.insert(0, str(options.sgn))
    torch.Tensor.cuda = lambda tensor: tensor  # type: ignore[method-assign] # its code asks for a GPU
    make = importlib.import_module("model").SGN
    trained, tested = (make(60, "NTU", 20, Namespace(batch_size=64, train=train)) for train in (1, 0))
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.001)
    clips = torch.randn(64, 20, 75), torch.randn(SGN_TEST_BATCH, 20, 75)
    return measure_network(trained, tested, *clips, optimizer, options)


def measure_network(
    trained: nn.Module,
    tested: nn.Module,
    training_clips: Tensor,
    test_clips: Tensor,
    optimizer: torch.optim.Optimizer,
    options: Namespace,
) -> tuple[float, float, int]:
    """Clips trained and inferred a second, and parameters, of a network whose output is logits."""
    labels = torch.zeros(len(training_clips), dtype=torch.int64)

    def train() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(trained(training_clips), labels).backward()
        optimizer.step()
        return time.perf_counter() - started

    @torch.inference_mode()
    def infer() -> float:
        started = time.perf_counter()
        tested(test_clips)
        return time.perf_counter() - started

    trains = rate(train, len(training_clips), options.seconds)
    tested.eval()
    infers = rate(infer, len(test_clips), options.seconds)
    return trains, infers, parameters_of(trained)


MEASURED: dict[str, Callable[[Namespace], tuple[float, float, int]]] = {
    "DANet, 64 frames, 25 joints, 2 people": lambda options: measure_danet("ntu60", options),
    "CTR-GCN, 64 frames, 25 joints, 2 people": lambda options: measure_ctr_gcn("ntu_rgb_d", 64, 25, 2, options),
    "DANet, 64 frames, 20 joints, 1 person": lambda options: measure_danet("nw_ucla", options),
    "CTR-GCN, 52 frames, 20 joints, 1 person": lambda options: measure_ctr_gcn("ucla", 52, 20, 1, options),
    "SGN, 20 frames, 25 joints, 1 person": measure_sgn,
}


def draw(table: pd.DataFrame) -> Figure:
    """Clips a second, DANet in blue."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    colors = ["#2f78c4" if name.startswith("DANet") else "#999999" for name in table["network"]]
    axes = figure.subplots(1, 2, sharey=True)
    for axis, what, title in zip(axes, ("trains", "infers"), ("trained", "inferred"), strict=True):
        bars = axis.barh(table["network"], table[f"{what}_a_second"], color=colors)
        axis.bar_label(bars, [f"{rate:.3g}" for rate in table[f"{what}_a_second"]], padding=3)
        axis.set(xlabel=f"clips {title} a second")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axis.invert_yaxis()
    return figure


def main() -> None:
    """Measures each network in turn, in processes of their own; writes the table and the plot, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--ctr-gcn", type=Path, required=True, help="a checkout of CTR-GCN")
    parser.add_argument("--sgn", type=Path, required=True, help="a checkout of SGN")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="for each rate of each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(MEASURED), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(options.threads)
        print(json.dumps(MEASURED[options.only](options)))
        return
    rows = []
    for _ in range(options.rounds):
        for name in MEASURED:
            command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append((name, *json.loads(done.stdout)))
    columns = ["network", "trains_a_second", "infers_a_second", "parameters"]
    table = pd.DataFrame(rows, columns=columns).groupby("network", sort=False).median().reset_index()
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "peers.csv", index=False, float_format="%.6g")
    matplotlib.rcParams["svg.hashsalt"] = "danet"
    draw(table).savefig(options.out / "peers.svg", metadata={"Date": None})
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.3g}"))


if __name__ == "__main__":
    main()
