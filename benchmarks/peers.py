"""Measures the samples a second of each network of others as it is here, beside its authors' code, and of DANet.

    git clone https://github.com/Uason-Chen/CTR-GCN; git clone https://github.com/lshiwjx/2s-AGCN; ...
    python benchmarks/peers.py OUT [--ctr-gcn CTR-GCN] [--2s-agcn 2s-AGCN] [--sgn SGN]
        [--rounds 3] [--seconds 10] [--threads 2]

The authors' code is run from the folders that are given; it is no part of this project. Both take the same clips, of
random numbers, and the same step of SGD, in float32. Writes OUT/peers.csv, a row for each network. Each network is
measured once in a round, its authors' code next to ours, in processes of their own, so that what else the machine does
falls on both. Rates are medians over the rounds, and so are the ratios. DANet's training holds the partner's pass, and
its inference the cutting of clips; else the network alone is timed.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import read_network
from danet.config.settings import read_config
from danet.cost.measure import BATCH, make_benchmark_run, timed
from danet.datasets.registry import find_dataset
from danet.models.base import parameters_of
from danet.models.clip_network import ClipNetwork
from danet.models.registry import network_class
from danet.skeleton.layout import KINECT_V1, KINECT_V2

ROOT = Path(__file__).parents[1]
ACTIONS = 60
DANET = {
    "DANet, 64 frames, 25 joints, 2 people": "ntu60",
    "DANet, 64 frames, 20 joints, 1 person": "nw_ucla",
}


def ctr_gcn(joints: int, people: int) -> nn.Module:
    """CTR-GCN of its authors, one stream."""
    graph = "ntu_rgb_d" if joints == KINECT_V2.size else "ucla"
    importlib.import_module(f"graph.{graph}")
    given = {"graph": f"graph.{graph}.Graph", "graph_args": {"labeling_mode": "spatial"}}
    return importlib.import_module("model.ctrgcn").Model(ACTIONS, joints, people, **given)


def two_stream_agcn(joints: int, people: int) -> nn.Module:
    """2s-AGCN of its authors, one stream."""
    importlib.import_module("graph.ntu_rgb_d")
    given = {"graph": "graph.ntu_rgb_d.Graph", "graph_args": {"labeling_mode": "spatial"}}
    return importlib.import_module("model.agcn").Model(ACTIONS, joints, people, **given)


def sgn(joints: int, people: int) -> nn.Module:
    """SGN of its authors; at test it would take five clips of a sample, here it takes one."""
    given = Namespace(batch_size=PEERS["SGN"].batch, train=1)
    network = importlib.import_module("model").SGN(ACTIONS, "NTU", 20, given)
    network.register_forward_pre_hook(lambda _, clips: clips[0][..., 0].permute(0, 2, 3, 1).flatten(2))  # (N, T, V C)
    return network


@dataclass(frozen=True)
class Peer:
    """A network by its name in the settings, what it is measured with, and how its authors' code makes it."""

    name: str
    option: str = ""
    original: Callable[[int, int], nn.Module] | None = None
    frames: int = 64
    joints: int = 25
    people: int = 2
    batch: int = 4

    @property
    def about(self) -> str:
        """Its clips, in words."""
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        return f"{self.frames} frames, {self.joints} joints, {people}"

    def ours(self) -> ClipNetwork:
        """The network of `danet.models`."""
        made = network_class(self.name)(
            settings=read_network({"name": self.name, "people": self.people}),
            layout=KINECT_V1 if self.joints == KINECT_V1.size else KINECT_V2,
            clips=ClipSettings(frames=self.frames, streams=("joint",)),
            actions=ACTIONS,
        )
        assert isinstance(made, ClipNetwork)
        return made


PEERS = {
    "CTR-GCN": Peer("ctr_gcn", "ctr_gcn", ctr_gcn),
    "CTR-GCN of NW-UCLA": Peer("ctr_gcn", "ctr_gcn", ctr_gcn, frames=52, joints=20, people=1),
    "2s-AGCN": Peer("2s_agcn", "2s_agcn", two_stream_agcn),
    "SGN": Peer("sgn", "sgn", sgn, frames=20, people=1, batch=64),
    "ST-GCN++": Peer("st_gcn_pp"),  # pyskl cannot be imported without mmcv
    "S-TR": Peer("s_tr"),  # the code of these three needs torchvision or timm, which danet does not
    "T-TR": Peer("t_tr"),
    "SkateFormer": Peer("skateformer", joints=24),
}


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


def measure_peer(peer: Peer, folder: Path | None, options: Namespace) -> tuple[float, float, int]:
    """The same of another network: its authors' code in `folder`, or ours."""
    forward: Callable[[Tensor], Tensor]  # clips (N, C, T, V, M) to logits
    if folder and peer.original:
        sys.path[0] = str(folder)  # in the place of this file's folder, whose modules have names that theirs have
        torch.Tensor.cuda = lambda tensor, *_: tensor  # type: ignore[method-assign] # some ask for a GPU
        network = forward = peer.original(peer.joints, peer.people)
    else:
        network = peer.ours()
        forward = network.logits_of
    clips = torch.randn(peer.batch, 3, peer.frames, peer.joints, peer.people)
    labels = torch.zeros(peer.batch, dtype=torch.int64)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)

    def train() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(forward(clips), labels).backward()
        optimizer.step()
        return time.perf_counter() - started

    @torch.inference_mode()
    def infer() -> float:
        started = time.perf_counter()
        forward(clips)
        return time.perf_counter() - started

    trains = rate(train, peer.batch, options.seconds)
    network.eval()
    return trains, rate(infer, peer.batch, options.seconds), parameters_of(network)


def measured(options: Namespace) -> pd.DataFrame:
    """A row for each measurement of each round, each in a process of its own."""

    def of(name: str, code: str) -> dict[str, object]:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name, "--code", code]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = dict(zip(("trains", "infers", "parameters"), json.loads(done.stdout), strict=True))
        return {"network": name, "code": code, **figures}

    codes = dict.fromkeys(DANET, ("ours",)) | {
        name: ("original", "ours") if getattr(options, peer.option, None) else ("ours",) for name, peer in PEERS.items()
    }
    return pd.DataFrame(
        {"round": number, **of(name, code)}
        for number in range(options.rounds)
        for name, each in codes.items()
        for code in (each if number % 2 else each[::-1])
    )


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each network: medians of our rates, of its authors' rates, and of the ratios of each round."""
    figures = rows.pivot(index=["network", "round"], columns="code").reindex(columns=["ours", "original"], level=1)
    parameters = figures.pop("parameters")
    assert (parameters["original"].isna() | (parameters["original"] == parameters["ours"])).all()
    columns = {"about": pd.Series({name: peer.about for name, peer in PEERS.items()})}
    for what in ("trains", "infers"):
        for code in ("ours", "original"):
            columns[f"{what}_a_second_{code}"] = figures[what, code].groupby("network").median()
        columns[f"{what}_ratio"] = (figures[what, "ours"] / figures[what, "original"]).groupby("network").median()
    columns["parameters"] = parameters["ours"].groupby("network").first()
    return pd.DataFrame(columns).loc[list(dict.fromkeys(rows["network"]))].rename_axis("network").reset_index()


def main() -> None:
    """Measures each network in turn; writes the table, and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    for option in dict.fromkeys(peer.option for peer in PEERS.values() if peer.option):
        parser.add_argument(f"--{option.replace('_', '-')}", type=Path, dest=option, help="a checkout of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="for each rate of each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=[*DANET, *PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--code", choices=["ours", "original"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(options.threads)
        if options.only in DANET:
            figures = measure_danet(DANET[options.only], options)
        else:
            peer = PEERS[options.only]
            figures = measure_peer(peer, getattr(options, peer.option) if options.code == "original" else None, options)
        print(json.dumps(figures))
        return
    table = table_of(measured(options))
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "peers.csv", index=False, float_format="%.6g")
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.3g}"))


if __name__ == "__main__":
    main()
