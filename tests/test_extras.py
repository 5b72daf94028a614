"""Without any extra: what prepares, draws and predicts runs, and one line says what the rest needs."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import GOOD, ROOT, fill, train_on_demo

from danet.io import provenance

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRAIN = "pip install 'danet[train]'"


def names_of(requirements: list[str]) -> set[str]:
    """What the requirements name, as Python imports it."""
    names = {re.split(r"[\[<>=~! ]", requirement)[0].replace("-", "_") for requirement in requirements}
    return names - {"danet"}


HIDDEN = set().union(*map(names_of, PROJECT["optional-dependencies"].values()))


def danet(*arguments, hidden=HIDDEN) -> subprocess.CompletedProcess:
    """The command where the hidden packages are not installed."""
    start = f"import sys; sys.modules |= dict.fromkeys({sorted(hidden)}); from danet.cli import main; main()"
    return subprocess.run([sys.executable, "-c", start, *map(str, arguments)], capture_output=True, text=True)


def works(*arguments) -> str:
    done = danet(*arguments)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("danet: ") for line in done.stderr.splitlines()), "doubts about made-up bodies, no more"
    return done.stdout


def refusal(*arguments, hidden=HIDDEN) -> str:
    done = danet(*arguments, hidden=hidden)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the demo's recordings, the weights of a network and the same network exported."""
    folder = tmp_path_factory.mktemp("trained")
    train_on_demo(folder)
    assert danet("export", "onnx", folder / "weights.safetensors", folder / "danet.onnx", hidden=()).returncode == 0
    return folder


def test_what_is_hidden_is_what_extras_bring():
    assert {"torch", "safetensors", "onnx", "onnxscript", "snakemake", "jinja2", "scipy"} <= HIDDEN
    assert not HIDDEN & names_of(PROJECT["dependencies"])


def test_an_exported_network_labels(trained):
    file = min((trained / "raw").iterdir())
    (labelled,) = json.loads(works("predict", "--json", trained / "danet.onnx", file))
    assert labelled["predictions"]
    frame = json.dumps([[0.0, 1.0, 2.0]] * 25)
    start = f"import sys; sys.modules |= dict.fromkeys({sorted(HIDDEN)}); from danet.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, "stream", trained / "danet.onnx"],
        input=f"{frame}\n" * 15,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frame"] == 15


def test_recordings_are_drawn_checked_and_prepared(trained, tmp_path):
    raw = trained / "raw"
    works("draw", min(raw.iterdir()), "--out", tmp_path / "drawn.png")
    works("check", "demo", raw, "--jobs", 1)
    works("prepare", "demo", "--raw", raw, "--out", tmp_path / "centred.h5", "--jobs", 1)
    (tmp_path / "names.txt").write_text("\n".join(path.stem for path in raw.iterdir()))
    works("split", "demo", "cross_view", "--names", tmp_path / "names.txt", "--out", tmp_path / "split.parquet")
    for written in ("drawn.png", "centred.h5", "split.parquet"):
        assert (tmp_path / written).stat().st_size


def test_the_peers_files_are_written(good, tmp_path):
    centred = tmp_path / "centred.h5"
    works("prepare", "ntu60", "--raw", fill(tmp_path / "raw", good), "--out", centred, "--jobs", 1)
    for peer, name in (("sgn", "x.h5"), ("ctr-gcn", "x.npz")):
        rows = json.loads(works("export", peer, centred, "--protocol", "cross_view", "--out", tmp_path / name))
        assert rows["test"] == 1
        assert sum(rows.values()) == len(GOOD)


def test_one_line_says_what_weights_need(trained):
    weights, file = trained / "weights.safetensors", min((trained / "raw").iterdir())
    line = f"danet: expected torch to read weights (.safetensors), got none: {TRAIN}, or export the weights to .onnx\n"
    assert refusal("predict", weights, file) == line
    assert refusal("stream", weights) == line
    assert refusal("draw", file, "--out", trained / "x.png", "--attention", weights) == line
    assert refusal("predict", weights, file, hidden=["safetensors"]) == line.replace("torch", "safetensors", 1)


@pytest.mark.parametrize("absent", ["torch", "onnx", "onnxscript"])
def test_one_line_says_what_exporting_needs(trained, tmp_path, absent):
    said = refusal("export", "onnx", trained / "weights.safetensors", tmp_path / "x.onnx", hidden=[absent])
    assert said == f"danet: expected {absent} to export weights, got none: {TRAIN}\n"
    assert not (tmp_path / "x.onnx").exists()


def test_one_line_says_what_importing_needs(tmp_path):
    said = refusal("import", "weights", "ctr_gcn", tmp_path / "x.pt", "--out", tmp_path / "w.safetensors")
    assert said == f"danet: expected torch to import weights, got none: {TRAIN}\n"


def test_one_line_says_what_estimating_needs():
    said = refusal("estimate", "demo/cross_view", "--memory", 1, "--config", ROOT / "config/config.yaml")
    assert said == f"danet: expected torch to compute steps of a training, got none: {TRAIN}\n"


def test_one_line_says_what_training_needs(tmp_path):
    said = refusal("train", tmp_path / "samples.csv", "--out", tmp_path / "w.safetensors")
    assert said == f"danet: expected torch to train, got none: {TRAIN}\n"


def test_a_module_of_our_own_that_is_missing_is_no_matter_of_extras(trained):
    done = danet("estimate", "demo/cross_view", "--memory", 1, hidden=["danet.cost.estimate"])
    assert "ModuleNotFoundError" in done.stderr


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    assert provenance.versions()["torch"]
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no_such_package"))
    assert set(provenance.versions()) == {"python", "numpy"}
