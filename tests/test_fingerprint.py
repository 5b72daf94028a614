"""A stage's fingerprint changes with what runs, and with nothing else."""

import shutil

import pytest

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


def test_it_reaches_what_a_stage_imports_and_no_more():
    denoise, train = fingerprint(SCRIPTS / "denoise.py"), fingerprint(SCRIPTS / "train.py")
    assert "danet.prepare.denoise" in denoise
    assert not any(name.startswith("danet.model") for name in denoise)
    assert {"danet.model.attention", "danet.clips", "danet.train"} <= set(train)
    assert not {"danet.prepare.denoise", "danet.evaluate", "danet.stress"} & set(train)


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
def test_only_what_runs_counts(package, old, new, same):
    before = fingerprint(SCRIPTS / "denoise.py")
    edit(package / "prepare/denoise.py", old, new)
    after = fingerprint(SCRIPTS / "denoise.py")
    assert (before == after) is same
    assert before.keys() == after.keys()
    assert all(before[name] == after[name] for name in before if name != "danet.prepare.denoise")


def test_a_joint_layout_counts_where_it_is_read(package):
    scripts = [SCRIPTS / f"{stage}.py" for stage in ("train", "manifest")]
    before = [fingerprint(script) for script in scripts]
    edit(package / "layouts/coco_17.yaml", "origin: nose", "origin: left hip")
    for script, old in zip(scripts, before, strict=True):
        new = fingerprint(script)
        assert {name for name in new if new[name] != old[name]} == {"danet.skeleton.layouts/coco_17.yaml"}
