"""The network of docs/extend.md: put in as the page says, it trains, is tabled beside DANet, and is stale by itself."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, Checkout

from danet.io.files import read_json

TINY = {
    "runs": ["demo/cross_view"],
    "methods": {"danet": {}, "pooled": {"model": {"name": "pooled"}}},
    "ensembles": {"both": ["danet", "pooled"]},
    "simulate": {"performers": 4, "setups": 1, "replications": 1, "frames": 20},
    "clips": {"frames": 8},
    "model": {"width": 16, "blocks": 1, "heads": 2},
    "train": {"epochs": 1, "warmup_epochs": 0},
    "evaluate": {"corruptions": False},
}
RUN = "results/demo/cross_view/{}/seed0"


def page_blocks() -> list[str]:
    """The Python on the page: the network's file, its settings, its line in the registry."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/extend.md").read_text(), re.MULTILINE | re.DOTALL)


def add_network(checkout: Checkout) -> None:
    """Does to a copy of the project what the page says."""
    network, settings, line = page_blocks()
    (checkout.folder / "danet/models/pooled.py").write_text(network)
    checkout.edit("danet/config/networks.py", "\nNETWORKS:", f"{settings}\n\nNETWORKS:")
    checkout.edit("danet/config/networks.py", "= (\n    DANetSettings", "= (\n    PooledSettings,\n    DANetSettings")
    checkout.edit("danet/models/registry.py", "CLASSES = {\n", f"CLASSES = {{\n{line}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"), TINY)
    add_network(made)
    made.run()
    return made


def test_page_is_short():
    page = (ROOT / "docs/extend.md").read_text()
    network = page[page.index("**A network**") : page.index("**A data set**")]
    outside = re.sub(r"^```.*?^```$", "", network, flags=re.MULTILINE | re.DOTALL)
    assert len([line for line in outside.splitlines() if line.strip()]) <= 30
    assert len([line for line in page_blocks()[0].splitlines() if line.strip()]) <= 25


def test_added_network_is_trained_and_tabled_beside_danet(checkout):
    tables = checkout.folder / "results/report/tables"
    accuracy = pd.read_csv(tables / "accuracy.csv").set_index("method")
    assert list(accuracy.index) == ["danet", "pooled"]
    for method in ("danet", "pooled"):
        metrics = read_json(checkout.folder / RUN.format(method) / "metrics.json")
        assert metrics["method"] == method
        assert accuracy.loc[method, "top1_mean_percent"] == pytest.approx(100 * metrics["top1"])
        assert accuracy.loc[method, "parameters"] == metrics["parameters"]
    assert sorted(pd.read_csv(tables / "cost.csv")["method"]) == ["danet", "pooled"]
    both = read_json(checkout.folder / RUN.format("both") / "metrics.json")
    assert both["parameters"] == accuracy["parameters"].sum()
    assert pd.read_csv(tables / "ensembles.csv")["method"].tolist() == ["both"]


def test_report_has_sections_only_for_what_a_method_has(checkout):
    page = (checkout.folder / "results/report/index.html").read_text()
    sections = {
        name: page.partition(f'<section id="demo--cross_view--{name}"')[2].partition("</section>")[0]
        for name in ("danet", "pooled")
    }
    assert all("Confusion of actions" in section for section in sections.values())
    assert ["What the network attends to" in section for section in sections.values()] == [True, False]
    assert read_json(checkout.folder / RUN.format("pooled") / "attention.json")["shown"] == []


@pytest.mark.parametrize(
    ("path", "old", "new", "trained"),
    [
        ("danet/models/danet/attention.py", "FURTHEST = 6", "FURTHEST = 5", 1),
        ("danet/models/pooled.py", "nn.ReLU()", "nn.GELU()", 1),
        ("danet/training/learner.py", "SILENT = 1e-6", "SILENT = 1e-7", 2),
    ],
)
def test_edit_in_one_network_leaves_the_other_fresh(checkout, path, old, new, trained):
    file = checkout.folder / path
    content = file.read_bytes()
    checkout.edit(path, old, new)
    stale = checkout.stale()
    file.write_bytes(content)
    rules = dict.fromkeys(("train", "evaluate", "attention_maps", "cost"), trained)
    assert stale == rules | {"ensemble": 1, "report": 1}


def test_added_network_is_exported(checkout):
    weights = checkout.folder / RUN.format("pooled") / "weights.safetensors"
    code = "from danet.cli import main; main()"
    command = [sys.executable, "-c", code, "export", "onnx", weights, weights.with_suffix(".onnx")]
    environment = os.environ | {"PYTHONPATH": os.fspath(checkout.folder)}
    done = subprocess.run(command, cwd=checkout.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["largest_difference"] < 1e-4
