"""What a network costs, and what `danet estimate` says, against what can be counted by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from made_training import Convolutional

from danet.config.settings import check_config
from danet.cost.estimate import estimate
from danet.cost.measure import make_benchmark_run, measure
from danet.datasets.demo import DEMO
from danet.errors import UserError
from danet.models.registry import CLASSES

SETTINGS = {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2, "expansion": 2}}
CPU_ONLY = pytest.mark.skipif(torch.cuda.is_available(), reason="counts what is kept on the CPU")


def test_operations_count_every_product():
    """All of them, worked out from the shapes: K actors, T patches, S segments, V joints, P parts, H heads."""
    benchmark = make_benchmark_run(check_config(SETTINGS).run("demo"), DEMO, threads=1)
    k, t, s, v, p, h, d, c, frames, wide = 2, 4, 4, 25, 5, 2, 16, 12, 2, 32
    length = v + p
    embed = t * v * (frames * c * d + d * d)
    parts = t * v * d * d + t * p * v * 3
    space = s * length * d * 2 * d + 2 * t * length * d * d + s * length**2 * (d + 2 * h) + t * length**2 * d
    time = t * d * 2 * d + 2 * t * length * d * d + t**2 * d + t**2 * length * d
    forward = 2 * t * length * d * wide
    cross = sum(count * 4 * d * d + 2 * count**2 * d for count in (length, t))
    label = 4 * d * len(DEMO.actions)
    assert benchmark.operations(8, training=False) == k * (embed + parts + space + time + forward) + cross + label
    ratio = benchmark.operations(8, training=True) / benchmark.operations(8, training=False)
    assert 3.5 < ratio < 4.5, "a clip forth and twice back, and its partner forth"


def test_measure_gives_numbers_that_fit_together():
    run = check_config(SETTINGS).run("demo")
    cost = measure(run, DEMO, "mine", threads=1, seconds=0.2)
    benchmark = make_benchmark_run(run, DEMO, threads=1)
    assert cost.parameters == sum(parameter.numel() for parameter in benchmark.state.model.parameters())
    assert cost.training_mmacs == benchmark.operations(32, training=True) / 1e6 > 3 * cost.inference_mmacs
    assert cost.training_gflops == pytest.approx(2e-3 * cost.training_mmacs * cost.trains_a_second)
    assert min(cost.peak_gflops, cost.infers_a_second, cost.trains_a_second_one) > 0
    assert 0 < cost.latency_median_ms <= cost.latency_p95_ms
    assert 0 < cost.inference_mib <= cost.training_mib
    assert (cost.frames, cost.joints, cost.people, cost.threads) == (8, 25, 2, 1)
    assert (cost.dataset, cost.title, cost.method, cost.simulated) == ("demo", DEMO.title, "mine", True)


def test_measure_counts_no_partner_where_there_is_none():
    run = check_config(SETTINGS | {"train": {"paired_views": "none"}}).run("demo")
    benchmark = make_benchmark_run(run, DEMO, threads=1)
    assert benchmark.batch(8).partners is None
    ratio = benchmark.operations(8, training=True) / benchmark.operations(8, training=False)
    assert 2.5 < ratio < 3.1, "a clip forth and twice back"


@CPU_ONLY
def test_estimate_decides_the_micro_batches_by_the_memory(tmp_path):
    run = check_config(SETTINGS | {"train": {"batch_size": 32, "epochs": 7}}).run("demo")

    def told(memory, run=run):
        return estimate(run, DEMO, "cross_view", memory=memory, results=tmp_path, threads=1)

    folder = tmp_path / "demo/cross_view"
    folder.mkdir(parents=True)
    pd.DataFrame({"name": list("abc"), "part": ["train", "validation", "test"]}).to_parquet(folder / "split.parquet")
    much = told(1 << 34)
    assert (much["grad_accum_steps"], much["samples"], much["epochs"]) == (1, 2, 7)
    assert much["seconds"] == pytest.approx(7 * much["seconds_an_epoch"])
    for clips in (8, 16):
        memory = int((much["fixed_mebibytes"] + (clips + 0.5) * much["mebibytes_a_clip"]) * (1 << 20))
        for steps in (1, 4):  # what the settings say already changes nothing
            train = run.train.model_copy(update={"grad_accum_steps": steps})
            little = told(memory, run.model_copy(update={"train": train}))
            assert (little["largest_batch"], little["grad_accum_steps"]) == (clips, 32 // clips)
    with pytest.raises(UserError, match="memory for 2 clips"):
        told(1 << 10)


@CPU_ONLY
def test_estimate_cuts_no_batch_of_a_batch_norm(tmp_path, monkeypatch):
    monkeypatch.setitem(CLASSES, "danet", f"{Convolutional.__module__}.{Convolutional.__name__}")
    run = check_config(SETTINGS | {"train": {"batch_size": 32}}).run("demo")
    told = estimate(run, DEMO, "cross_view", memory=1 << 34, results=tmp_path, threads=1)
    assert told["grad_accum_steps"] == 1
    memory = int((told["fixed_mebibytes"] + 31.5 * told["mebibytes_a_clip"]) * (1 << 20))
    with pytest.raises(UserError, match="expected memory for 32 clips of demo"):
        estimate(run, DEMO, "cross_view", memory=memory, results=tmp_path, threads=1)


def test_estimate_command_says_it_in_words_and_in_json(tmp_path):
    (tmp_path / "config.yaml").write_text(json.dumps(SETTINGS))
    command = [
        Path(sys.executable).with_name("danet"),
        "estimate",
        "demo/cross_view",
        "--memory",
        "1",
        "--threads",
        "1",
    ]
    command += ["--config", os.fspath(tmp_path / "config.yaml")]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "MiB a clip" in said.stdout
    estimated = json.loads(subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True).stdout)
    assert f"{estimated['parameters']:,} parameters" in said.stdout
    other = subprocess.run([*command, "--method", "other"], cwd=tmp_path, capture_output=True, text=True)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "expected one of the methods danet, complete, got 'other'" in other.stderr
    (tmp_path / "config.yaml").write_text("- 1")
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "expected settings by name" in refused.stderr
