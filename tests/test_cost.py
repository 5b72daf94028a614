"""What a network costs, and what `danet estimate` says, against what can be counted by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from danet.config.settings import check_config
from danet.cost.estimate import estimate
from danet.cost.measure import make_trial, measure
from danet.datasets.demo import DEMO
from danet.errors import UserError

SETTINGS = {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2, "expansion": 2}}
CPU_ONLY = pytest.mark.skipif(torch.cuda.is_available(), reason="counts what is kept on the CPU")


def test_operations_are_those_of_the_products():
    """All of them, worked out from the shapes: K actors, T moments, S stretches, V joints, P parts, H heads."""
    trial = make_trial(check_config(SETTINGS).run("demo"), DEMO, threads=1)
    k, t, s, v, p, h, d, c, stride, wide = 2, 4, 4, 25, 5, 2, 16, 12, 2, 32
    length = v + p
    embed = t * v * (stride * c * d + d * d)
    parts = t * v * d * d + t * p * v * 3
    space = s * length * d * 2 * d + 2 * t * length * d * d + s * length**2 * (d + 2 * h) + t * length**2 * d
    time = t * d * 2 * d + 2 * t * length * d * d + t**2 * d + t**2 * length * d
    forward = 2 * t * length * d * wide
    cross = sum(count * 4 * d * d + 2 * count**2 * d for count in (length, t))
    label = 4 * d * len(DEMO.actions)
    assert trial.operations(8, training=False) == k * (embed + parts + space + time + forward) + cross + label
    ratio = trial.operations(8, training=True) / trial.operations(8, training=False)
    assert 3.5 < ratio < 4.5, "a clip forth and twice back, and its partner forth"


def test_what_is_measured_fits_together():
    found = measure(check_config(SETTINGS).run("demo"), DEMO, threads=1, seconds=0.2)
    trial = make_trial(check_config(SETTINGS).run("demo"), DEMO, threads=1)
    assert found["parameters"] == sum(parameter.numel() for parameter in trial.state.model.parameters())
    assert found["training_mmacs"] == trial.operations(32, training=True) / 1e6 > 3 * found["inference_mmacs"]
    assert found["training_gflops"] == pytest.approx(2e-3 * found["training_mmacs"] * found["trains_a_second"])
    assert min(found[rate] for rate in ("peak_gflops", "infers_a_second", "trains_a_second_one")) > 0
    assert 0 < found["latency_median_ms"] <= found["latency_p95_ms"]
    assert 0 < found["inference_mib"] <= found["training_mib"]
    assert (found["frames"], found["joints"], found["people"], found["threads"]) == (8, 25, 2, 1)


@CPU_ONLY
def test_memory_grows_with_the_batch_and_decides_the_pieces(tmp_path):
    config = check_config(SETTINGS | {"train": {"batch_size": 32, "epochs": 7}})
    folder = tmp_path / "demo/cross_view"
    folder.mkdir(parents=True)
    pd.DataFrame({"name": list("abc"), "part": ["train", "validation", "test"]}).to_parquet(folder / "split.parquet")
    much = estimate(config, "demo", "cross_view", 1 << 34, tmp_path, 1)
    assert (much["accumulate"], much["samples"], much["epochs"]) == (1, 2, 7)
    assert much["seconds"] == pytest.approx(7 * much["seconds_an_epoch"])
    for clips in (8, 16):
        memory = int((much["fixed_mebibytes"] + (clips + 0.5) * much["mebibytes_a_clip"]) * (1 << 20))
        for pieces in (1, 4):  # what the settings say already changes nothing
            told = config.model_copy(update={"train": config.train.model_copy(update={"accumulate": pieces})})
            little = estimate(told, "demo", "cross_view", memory, tmp_path, 1)
            assert (little["largest_batch"], little["accumulate"]) == (clips, 32 // clips)
    with pytest.raises(UserError, match="memory for two clips"):
        estimate(config, "demo", "cross_view", 1 << 10, tmp_path, 1)


def test_the_command_says_it_in_words_and_in_json(tmp_path):
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
    found = json.loads(subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True).stdout)
    assert f"{found['parameters']:,} parameters" in said.stdout
    (tmp_path / "config.yaml").write_text("- 1")
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "wanted settings by name" in refused.stderr
