"""Every command that the pages show as `console` runs as it stands there; the gate runs their `sh` blocks itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, START, Checkout, train_on_demo

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
THE_GATE = {"make test"}
INSTALLS = "pip install "  # what the next command needs, which is skipped without it
AFTER_A_RUN = "snakemake --report "  # needs results: tests/test_workflow.py runs it after a whole run
ADDED = "pooled"  # the network that docs/extend.md has its reader write: tests/test_extend.py writes and trains it
SLURM = "snakemake_executor_plugin_slurm"


def commands() -> list[str]:
    """The lines to type; where a block marks them by a `$`, the others are what is answered."""
    blocks = [block.splitlines() for page in PAGES for block in BLOCK.findall(page.read_text())]
    typed = [[line for line in lines if line.startswith("$ ")] or lines for lines in blocks]
    return [line.removeprefix("$ ") for lines in typed for line in lines if line]


def commands_of(program: str) -> list[str]:
    return [command for command in commands() if command.startswith(program + " ") or f"| {program} " in command]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout with small simulated recordings where the README has the demo's, NTU's and NW-UCLA's."""
    folder = tmp_path_factory.mktemp("project")
    Checkout(folder, yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    made = folder / "results/demo/cross_view/danet/seed0"
    train_on_demo(made)
    shutil.move(made / "raw", folder / "results/demo/raw")
    shutil.copytree(folder / "results/demo/raw", folder / "data/nturgbd_raw/nturgb+d_skeletons")
    nw_ucla = folder / "data/nwucla/all_sqe"
    nw_ucla.mkdir(parents=True)
    (nw_ucla / "a01_s01_e00_v01.json").write_text(json.dumps({"skeletons": [[[0.0, 1.0, 2.0]] * 20] * 3, "label": 1}))
    return folder


def run(project: Path, command: str) -> subprocess.CompletedProcess:
    """A command that must end well, in bash and with the project's own programs; 2 says what could not be read."""
    programs = os.fspath(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{project}:{programs}:{os.environ['PATH']}", "PYTHONPATH": os.fspath(project)}
    done = subprocess.run(["bash", "-c", command], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == (2 if done.stderr.startswith("danet: results/demo/raw/") else 0), done.stderr
    return done


@pytest.mark.parametrize(("cores", "at_a_time", "share"), [(2, 1, 2), (2, 2, 1), (1, 2, 1), (32, 2, 8)])
def test_make_shares_the_cores(cores, at_a_time, share):
    typed = ["make", "--dry-run", "all", f"CORES={cores}", f"GPUS={at_a_time}"]
    said = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    allotted = " ".join(f"{rule}={share}" for rule in ("train", "evaluate", "attention_maps"))
    assert f"--cores {cores} --resources gpu={at_a_time} --set-threads {allotted}\n" in said


def test_pages_have_no_untested_command():
    tested = {*THE_GATE, *commands_of("snakemake"), *commands_of("danet")}
    rest = [command for command in commands() if command not in tested and not command.startswith(INSTALLS)]
    assert rest == []
    gate = (ROOT / ".ci/run").read_text().splitlines()
    assert set(gate) >= THE_GATE


PLANNED = [
    command for command in commands_of("snakemake") if not command.startswith(AFTER_A_RUN) and ADDED not in command
]


@pytest.mark.parametrize("command", PLANNED)
def test_snakemake_plans_the_commands_of_the_pages(project, command):
    if "slurm" in command and find_spec(SLURM) is None:
        pytest.skip(f"needs {SLURM}")
    dry_run = run(project, f"{command} --dry-run")
    assert re.search(r"^train +[1-9]", dry_run.stdout + dry_run.stderr, re.MULTILINE)


def test_danet_runs_the_commands_of_the_pages(project):
    sensor = project / "sensor"  # what stands in for a user's own
    frame = json.dumps([[0.0, 1.0, 2.0]] * 25)
    sensor.write_text(f"#!/bin/sh\nfor frame in $(seq 30); do echo '{frame}'; done\n")
    sensor.chmod(0o755)
    asked = commands_of("danet")
    done = {command: run(project, command) for command in asked}
    (streamed,) = (done[command] for command in asked if command.startswith("sensor"))
    labels = [json.loads(line) for line in streamed.stdout.splitlines()]
    assert [label["frame"] for label in labels] == [15, 30]
    assert set(labels[0]) == {"frame", "action", "score"}
    (folder,) = (done[command] for command in asked if command.endswith("> labels.csv"))
    labelled = (project / "labels.csv").read_text().splitlines()[1:]
    files = list((project / "results/demo/raw").glob("*.skeleton"))
    assert len(labelled) + len(folder.stderr.splitlines()) == len(files)
    for written in (word for command in asked for word in re.findall(r"--out (\S+)", command)):
        assert (project / written).stat().st_size


def test_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = subprocess.run([Path(sys.executable).with_name("danet"), "--version"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, f"danet {version}\n"), "installed before the version changed: make env"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version


@pytest.mark.parametrize("form", ["", "--json", "--csv"])
def test_command_prints_on_a_terminal_that_knows_ascii_only(project, form):
    weights = project / "results/demo/cross_view/danet/seed0/weights.safetensors"
    recording = min((project / "results/demo/raw").iterdir())
    file = shutil.copy(recording, project / "r\u00e9sum\u00e9 \u96ea.skeleton")
    environment = os.environ | {"PYTHONPATH": os.fspath(project), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", START, "predict", weights, file, project / "\u96ea.skeleton", *form.split()]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 2, done.stderr.decode()
    assert done.stderr.decode("ascii").count("\n") == 1, "the file that is none, in one line"
    said = done.stdout.decode("ascii")
    if form == "--json":
        assert json.loads(said)[0]["file"] == os.fspath(file)
    assert "r\\u00e9sum\\u00e9 \\u96ea.skeleton" in said
