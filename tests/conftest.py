"""What the tests share: real recordings where they are at hand, files in Kinect's grammar, a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from danet.config.base import check
from danet.config.settings import Prepare, Run, Simulate, Split
from danet.datasets.demo import DEMO
from danet.errors import MOST_MESSAGE, UserError
from danet.preparation.chain import prepare
from danet.preparation.split import split
from danet.simulate.simulate import simulate
from danet.skeleton.recording import Bodies
from danet.training.train import train

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
RECORDINGS = "DANET_RECORDINGS"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings and reference arrays: licensed for research, and not part of the project."""
    folder = os.environ.get(RECORDINGS)
    if not folder:
        pytest.skip(f"needs real recordings: set {RECORDINGS} to the folder that holds them")
    return Path(folder)


def line_about(path: Path, error: UserError) -> str:
    """The message of an error, which is one bounded line that names the file, what was expected and what was got."""
    said = str(error)
    assert said.startswith(f"{path}: ")
    assert "expected " in said
    assert ", got" in said
    assert said.isprintable()
    assert len(said) <= MOST_MESSAGE
    return said


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def kinect_text(frames: Sequence[Sequence[tuple[int, np.ndarray]]], end: str = "\n") -> bytes:
    """A `.skeleton` file: per frame the bodies in it, as (id, joints (25, 3))."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies:
            lines += [f"{body} 0 1 1 1 1 0 0.01 -0.02 2", str(len(joints))]
            lines += [f"{x!r} {y!r} {z!r} 1 2 3 4 0 0 0 1 2" for x, y, z in joints.tolist()]
    return (end.join(lines) + end).encode()


START = "from danet.cli import main; main()"
FIRST, SECOND = 72057594037931101, 72057594037931103
BAD = "S002C001P001R001A001"
GOOD = tuple(f"S001C00{camera}P001R001A001" for camera in (1, 2, 3))
JOINT_LINE = 4  # counted from 0: frames, bodies, header, joints come before it


def poses(rng: np.random.Generator, frames: int) -> np.ndarray:
    """An upright body that moves, (frames, 25, 3)."""
    shape = np.array([0.2, 1.0, 0.2]) * rng.uniform(-1, 1, (25, 3))
    return (shape + rng.normal(0, 0.05, (frames, 1, 3)) + [0, 0, 3]).round(4)


def recording(seed: int, ids: Sequence[int] = (FIRST,), frames: int = 14) -> bytes:
    """The text of a recording in which each of the ids is seen in every frame."""
    rng = np.random.default_rng(seed)
    bodies = [(body, poses(rng, frames)) for body in ids]
    return kinect_text([[(body, joints[frame]) for body, joints in bodies] for frame in range(frames)])


@pytest.fixture(scope="session")
def good() -> dict[str, bytes]:
    """Three good recordings, by sample name."""
    return {name: recording(seed, (FIRST, SECOND)[: 1 + seed % 2]) for seed, name in enumerate(GOOD)}


@pytest.fixture
def raw(tmp_path: Path, good: dict[str, bytes]) -> Path:
    """A folder that holds the good recordings."""
    return fill(tmp_path / "raw", good)


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    """Writes recordings, by sample name, into the folder."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.skeleton").write_bytes(content)
    return folder


@pytest.fixture
def make_bodies(rng: np.random.Generator) -> Callable[..., Bodies]:
    """Makes up the bodies of one recording from {id: frames in which it is seen}; upright, each moving by its own."""

    def make(seen: dict[int, Sequence[int]], frames: int, joints: int = 25) -> Bodies:
        rows = sorted((frame, place, body) for place, (body, where) in enumerate(seen.items()) for frame in where)
        shape = np.array([0.2, 1.0, 0.2]) * rng.uniform(-1, 1, (joints, 3))
        values = np.array([shape + rng.normal(0, 0.05 / (1 + place), 3) for _, place, _ in rows], np.float32)
        return Bodies(
            "made_up",
            frames,
            np.array([frame for frame, _, _ in rows], np.int32),
            np.array([body for _, _, body in rows], np.int64),
            values,
        )

    return make


def prepare_demo(folder: Path) -> dict[str, Path]:
    """Simulates, prepares and splits a small demo in a folder.

    Returns the paths of the centred sequences and of the split, by the names that stages know them by.
    """
    simulate(folder / "raw", Simulate(performers=4, setups=1, replications=1, frames=20))
    prepare(DEMO, folder / "raw", folder / "centred.h5", settings=Prepare(), jobs=1)
    names = [path.stem for path in (folder / "raw").iterdir()]
    split(DEMO, "cross_view", names, Split()).to_parquet(folder / "split.parquet")
    return {"centred": folder / "centred.h5", "split": folder / "split.parquet"}


def train_on_demo(folder: Path) -> dict[str, Path]:
    """Prepares the small demo in a folder, as `prepare_demo` does, and trains a small network there for an epoch."""
    data = prepare_demo(folder)
    model = {"width": 16, "blocks": 1, "heads": 2, "encoders": [["joint", "bone_motion"], ["bone"]]}
    run = check(Run, {"clips": {"frames": 8}, "model": model, "train": {"epochs": 1}}, "test")
    train(**data, run=run, dataset="demo", protocol="cross_view", seed=0, code={}, threads=1, folder=folder)
    return data


class Checkout:
    """A copy of the project in which the workflow runs, to be changed and looked at; `settings` are its config."""

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        self.settings = settings
        for part in ("Snakefile", "workflow", "config", "danet", "profiles"):
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(
                source, folder / part, **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {})
            )
        self.configure({})

    def configure(self, changes: dict) -> None:
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(self.settings | changes, sort_keys=False))

    def snakemake(self, *arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess:
        """A call in the checkout, or in another folder."""
        environment = os.environ | {
            "PYTHONPATH": os.fspath(self.folder),
            "XDG_CACHE_HOME": os.fspath(self.folder / ".cache"),
        }
        return subprocess.run(
            (SNAKEMAKE, *arguments, "--cores", "2"),
            cwd=folder or self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    def run(self, *targets: str) -> None:
        done = self.snakemake(*targets)
        assert done.returncode == 0, done.stdout + done.stderr

    def stale(self) -> dict[str, int]:
        """How many jobs of each rule would run now."""
        done = self.snakemake("--dry-run", "--quiet", "rules")
        assert done.returncode == 0, done.stdout + done.stderr
        listed = re.findall(r"^(\w+)\s+(\d+)$", done.stdout + done.stderr, re.MULTILINE)
        return {rule: int(count) for rule, count in listed if rule not in ("total", "all")}

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} no longer holds {old!r}"
        file.write_text(text.replace(old, new, 1))
