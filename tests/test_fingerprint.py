"""A stage's fingerprint changes with what runs, and with nothing else."""

import shutil

import pytest

from danet.models.registry import module_of
from danet.pipeline import fingerprint as module
from danet.pipeline.fingerprint import PACKAGE, fingerprint

SCRIPTS = PACKAGE.parent / "workflow/scripts"


@pytest.fixture
def package(tmp_path, monkeypatch):
    copy = tmp_path / "danet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)
    return copy


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_fingerprint_reaches_what_a_stage_imports_and_no_more():
    denoise, train = fingerprint(SCRIPTS / "denoise.py"), fingerprint(SCRIPTS / "train.py")
    assert "danet.preparation.denoise" in denoise
    assert not any(name.startswith("danet.models") for name in denoise)
    assert {"danet.models.base", "danet.clips.sequences", "danet.training.train"} <= set(train)
    assert not any(name.startswith(("danet.evaluation", "danet.report")) for name in train)
    assert "danet.preparation.denoise" not in train


@pytest.mark.parametrize("stage", ["train", "evaluate", "attention_maps", "cost"])
def test_fingerprint_holds_a_network_only_where_it_is_named(stage):
    """The registry imports it when it is asked for; the rules name it, by the settings of the method."""
    without = fingerprint(SCRIPTS / f"{stage}.py")
    assert not any(name.startswith("danet.models.danet") for name in without)
    named = fingerprint(SCRIPTS / f"{stage}.py", module_of("danet"))
    added = {"danet.models.danet.network", "danet.models.danet.attention", "danet.models.danet.losses"}
    assert {name for name in named if name.startswith("danet.models.danet.")} == added
    assert without.items() <= named.items()


@pytest.mark.parametrize("path", ["config/networks.py", "config/settings.py", "models/registry.py"])
def test_fingerprint_passes_over_settings_and_registry(package, path):
    """Settings reach a stage as values; another network in the registry changes no training of this one."""
    before = fingerprint(SCRIPTS / "train.py", module_of("danet"))
    (package / path).write_text((package / path).read_text() + "SPARE = 1\n")
    assert fingerprint(SCRIPTS / "train.py", module_of("danet")) == before


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("@dataclass", "# a comment\n@dataclass", True),
        ('"""One body id over time', '"""Another docstring', True),
        ("    motion: float = 0.0\n", "    motion: float = 0.0\n\n\n", True),
        ("motion: float = 0.0", "motion: float = 1.0", False),
        ("spread /= count", "spread /= count - 1", False),
    ],
)
def test_fingerprint_changes_with_what_runs_only(package, old, new, same):
    before = fingerprint(SCRIPTS / "denoise.py")
    edit(package / "preparation/tracks.py", old, new)
    after = fingerprint(SCRIPTS / "denoise.py")
    assert (before == after) is same
    assert before.keys() == after.keys()
    assert all(before[name] == after[name] for name in before if name != "danet.preparation.tracks")


def test_fingerprint_counts_a_joint_layout_where_it_is_read(package):
    scripts = [SCRIPTS / f"{stage}.py" for stage in ("train", "manifest")]
    before = [fingerprint(script) for script in scripts]
    edit(package / "skeleton/layouts/coco_17.yaml", "origin: nose", "origin: left hip")
    for script, old in zip(scripts, before, strict=True):
        new = fingerprint(script)
        assert {name for name in new if new[name] != old[name]} == {"danet.skeleton.layouts/coco_17.yaml"}
