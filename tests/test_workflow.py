"""The whole graph on tiny simulated sets, and what reruns after each kind of change."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import Checkout

from danet.config.settings import check_config
from danet.io.files import read_json
from danet.report.attention import Attention
from danet.results import Cost, HistoryRow, Metrics, RunRecord

TINY = {
    "runs": ["demo", "ntu60/cross_view"],
    "simulate": {"performers": 4, "setups": 1, "replications": 1, "frames": 20},
    "clips": {"frames": 8},
    "model": {"width": 16, "blocks": 1, "heads": 2},
    "train": {"epochs": 1, "warmup_epochs": 0},
    "datasets": {"ntu60": {"train": {"epochs": 2}}, "demo": {"seeds": [0, 1]}},
    "ablate": "demo/cross_view",
    "ablation": {
        "seeds": [0],
        "variants": {"joint": {"clips": {"streams": ["joint"]}}, "bone": {"clips": {"streams": ["bone"]}}},
    },
    "ensembles": {"both": ["joint", "bone"], "weighed": {"members": ["joint", "bone"], "weights": "validation"}},
}
AFTER_PARSE = {"denoise", "centre", "train", "evaluate", "attention_maps", "report"}
ENSEMBLE = {"ensemble"}  # of the demo's ablation


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Simulated recordings stand in for NTU's raw files, under NTU's names and in NTU's folder."""
    made = Checkout(tmp_path_factory.mktemp("checkout"), TINY)
    made.configure({"runs": "demo"})
    made.run("results/demo/raw")
    made.configure({})
    raw = made.folder / "data/nturgbd_raw/nturgb+d_skeletons"
    shutil.copytree(made.folder / "results/demo/raw", raw, ignore=shutil.ignore_patterns(".*"))
    made.run()
    return made


@pytest.fixture
def restored(checkout):
    """The checkout, put back after the test as it was: contents and times."""
    saved = {}
    for part in ("danet", "workflow", "config", "data"):
        for file in (checkout.folder / part).rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                saved[file] = (file.read_bytes(), file.stat())
    yield checkout
    for part in ("danet", "workflow", "config", "data"):
        for file in (checkout.folder / part).rglob("*"):
            if file.is_file() and file not in saved and file.suffix != ".pyc":
                file.unlink()
    for file, (content, stat) in saved.items():
        if not file.exists() or file.stat().st_mtime_ns != stat.st_mtime_ns:
            file.write_bytes(content)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def a_raw_file(checkout) -> Path:
    return min((checkout.folder / "data").rglob("*.skeleton"))


def test_workflow_makes_every_target(checkout):
    for run in ("demo/cross_view/danet/seed0", "demo/cross_subject/danet/seed1", "ntu60/cross_view/danet/seed0"):
        folder = checkout.folder / "results" / run
        metrics = read_json(folder / "metrics.json")
        scores = pd.read_parquet(folder / "scores.parquet")
        assert len(scores) == metrics["samples"]
        assert scores["name"].is_unique
        assert (folder / "weights.safetensors").exists()
        assert (folder / "history.jsonl").exists()
    assert metrics["simulated"] is False, "what lies under NTU's name is taken for NTU's"
    page = (checkout.folder / "results/report/index.html").read_text()
    assert "differ in more than their seed" not in page, "the demo's two seeds differ in nothing else"
    facts = re.search(r"trained and tested on: (\d+ of 56,578 recordings, \d+ of 60 actions, .*)\.</p>", page)
    assert facts, "a part of NTU is told on the page"
    assert facts[1] in (checkout.folder / "logs/ntu60/cross_view/split.log").read_text()
    costs = pd.read_csv(checkout.folder / "results/report/tables/cost.csv").set_index("dataset")
    assert costs.loc["ntu60", "parameters"] == metrics["parameters"]
    assert sorted(costs.index) == ["demo", "ntu60"]
    board = pd.read_csv(checkout.folder / "results/report/tables/leaderboard.csv").set_index("dataset")
    assert board.loc["ntu60", ["streams", "mmacs", "epoch_rule"]].notna().all()
    assert pd.isna(board.loc["ntu60", "published_top1"]), "of a part"


def test_workflow_writes_files_of_one_schema(checkout):
    """No key of a file is lost when it is read, and none is missing."""
    kinds = {"metrics.json": Metrics, "run.json": RunRecord, "cost.json": Cost, "attention.json": Attention}
    for name, kind in kinds.items():
        files = list((checkout.folder / "results").rglob(name))
        assert len(files) == {"metrics.json": 10, "run.json": 8, "cost.json": 2, "attention.json": 5}[name]
        for file in files:
            written = read_json(file)
            assert kind.model_validate(written).model_dump(mode="json") == written, file
    for file in (checkout.folder / "results").rglob("history.jsonl"):
        for line in file.read_text().splitlines():
            assert HistoryRow.model_validate_json(line).model_dump() == json.loads(line), file


def test_workflow_makes_snakemakes_own_report(checkout):
    done = checkout.snakemake("--report", "workflow.html")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (checkout.folder / "workflow.html").read_text()
    for category, name in (("Page", "index.html"), ("Tables", "accuracy.csv"), ("Figures", "confusion.svg")):
        assert f'"{category}"' in text
        assert name in text


def test_ensemble_is_the_mean_of_scores_by_name(checkout):
    folder = checkout.folder / "results/demo/cross_view"
    methods = ("joint", "bone", "both")
    joint, bone, both = (pd.read_parquet(folder / m / "seed0/scores.parquet").set_index("name") for m in methods)
    mean = (np.stack(joint["scores"]) + np.stack(bone.loc[joint.index, "scores"])) / 2
    np.testing.assert_allclose(np.stack(both.loc[joint.index, "scores"]), mean, atol=1e-6)
    *parts, metrics = (read_json(folder / method / "seed0/metrics.json") for method in methods)
    assert metrics["top1"] == pytest.approx((mean.argmax(axis=1) == joint["label"]).mean())
    assert metrics["parameters"] == sum(part["parameters"] for part in parts)
    assert (metrics["copies_of_training"], metrics["top1_without_copies"]) == (0, metrics["top1"])
    table = pd.read_csv(checkout.folder / "results/report/tables/ablation.csv")
    assert table["method"].tolist() == ["complete", "joint", "bone", "both", "weighed"]


def test_weighed_ensemble_is_the_mean_that_the_validation_part_asks_for(checkout):
    folder = checkout.folder / "results/demo/cross_view"
    tables = {m: pd.read_parquet(folder / m / "seed0/scores.parquet").set_index("name") for m in ("joint", "bone")}
    held_out = [pd.read_parquet(folder / method / "seed0/validation.parquet").set_index("name") for method in tables]
    split = pd.read_parquet(folder / "split.parquet").set_index("name")["part"]
    for table in held_out:
        assert set(table.index) == set(split.index[split == "validation"])
    metrics = read_json(folder / "weighed/seed0/metrics.json")
    assert (metrics["member_weights"], list(metrics["members"])) == ("validation", list(tables))
    weighed = pd.read_parquet(folder / "weighed/seed0/scores.parquet").set_index("name")["scores"]
    mean = sum(metrics["members"][m] * np.stack(table.loc[weighed.index, "scores"]) for m, table in tables.items())
    np.testing.assert_allclose(np.stack(weighed), mean, atol=1e-6)


def test_weights_of_an_ensemble_changed_rerun_it_alone(restored):
    restored.configure({"ensembles": TINY["ensembles"] | {"both": TINY["ensembles"]["weighed"]}})
    assert restored.stale() == {"ensemble": 1, "report": 1}


def test_multi_view_is_measured_where_cameras_ran_at_one_time(checkout):
    measured = read_json(checkout.folder / "results/demo/cross_subject/danet/seed0/metrics.json")["multi_view"]
    scores = pd.read_parquet(checkout.folder / "results/demo/cross_subject/danet/seed0/scores.parquet")
    performances = scores["name"].str.replace(r"C\d{3}", "", regex=True)
    assert measured["performances"] == performances.nunique()
    assert measured["recordings"] == len(scores) == 3 * measured["performances"]
    assert measured["top1_alone"] == pytest.approx((scores["prediction"] == scores["label"]).mean())
    assert read_json(checkout.folder / "results/demo/cross_view/danet/seed0/metrics.json")["multi_view"] is None


def test_workflow_has_nothing_to_do_after_a_run(checkout):
    assert "Nothing to be done" in checkout.snakemake().stderr


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("danet/models/danet/attention.py", "class SpatialAttention", "# why\nclass SpatialAttention"),
        ("danet/preparation/denoise.py", '"""Chooses one', '"""Picks one'),
        ("workflow/scripts/train.py", "if __name__", "# why\nif __name__"),
        ("danet/training/train.py", "", ""),
        ("workflow/scripts/parse.py", "", ""),
        ("workflow/rules/train.smk", "# Centred", "# The centred"),
        ("config/config.yaml", "", ""),
    ],
)
def test_comment_docstring_or_touch_reruns_nothing(restored, path, old, new):
    restored.edit(path, old, new)
    assert restored.stale() == {}


def test_edit_in_a_layer_reruns_training_and_what_follows(restored):
    restored.edit("danet/models/danet/attention.py", "FURTHEST = 6", "FURTHEST = 5")
    assert restored.stale() == {"train": 8, "evaluate": 8, "attention_maps": 5, "cost": 2, "ensemble": 2, "report": 1}


def test_edit_in_the_denoising_reruns_from_there(restored):
    restored.edit("danet/preparation/slots.py", "taken[track.frames]) <= 1", "taken[track.frames]) <= 2")
    assert set(restored.stale()) == AFTER_PARSE | ENSEMBLE


def test_edit_in_the_evaluation_trains_nothing(restored):
    restored.edit("danet/evaluation/corruptions.py", "percent / 100", "percent / 101")
    assert restored.stale() == {"evaluate": 8, "ensemble": 2, "report": 1}


def test_edit_in_the_report_reruns_only_the_report(restored):
    restored.edit("danet/report/page.py", "def render(", "SPARE = 1\n\n\ndef render(")
    assert restored.stale() == {"report": 1}


def test_edit_in_a_script_reruns_its_stage(restored):
    restored.edit("workflow/scripts/centre.py", "with stage", "SPARE = 1\nwith stage")
    assert set(restored.stale()) == {"centre", "train", "evaluate", "attention_maps", "report"} | ENSEMBLE


@pytest.mark.parametrize("change", ["add", "remove", "edit"])
def test_raw_file_changed_reruns_its_data_set_from_the_manifest(restored, change):
    file = a_raw_file(restored)
    if change == "add":
        shutil.copy(file, file.with_name("S001C001P039R001A001.skeleton"))
    elif change == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    stale = restored.stale()
    assert set(stale) == {"manifest", "parse", "split", *AFTER_PARSE}
    assert (stale["manifest"], stale["train"]) == (1, 1), "the demo stays"


@pytest.mark.parametrize("change", ["touch", "copy"])
def test_raw_file_touched_or_copied_reruns_nothing(restored, change):
    for file in (restored.folder / "data").rglob("*.skeleton"):
        if change == "touch":
            os.utime(file, (1_000_000_000, 1_000_000_000))
        else:
            shutil.copy(file, file.with_suffix(".copied"))
            file.with_suffix(".copied").replace(file)
    assert restored.stale() == {}


def test_training_setting_reruns_only_the_runs_that_it_concerns(restored):
    restored.configure({"datasets": TINY["datasets"] | {"ntu60": {"train": {"epochs": 3}}}})
    assert restored.stale() == {"train": 1, "evaluate": 1, "attention_maps": 1, "report": 1}


def test_seed_added_adds_its_runs(restored):
    restored.configure({"datasets": TINY["datasets"] | {"demo": {"seeds": [0, 1, 2]}}})
    assert restored.stale() == {"train": 2, "evaluate": 2, "attention_maps": 2, "report": 1}


def test_threshold_changed_reruns_from_denoising(restored):
    restored.configure({"prepare": {"shortest_body": 9}})
    assert set(restored.stale()) == AFTER_PARSE | ENSEMBLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, "'trian': no such setting"),
        ({"train": {"accumulate": 2}}, "'train.accumulate': now called 'train.grad_accum_steps'"),
        ({"runs": ["uestc/cross_view"]}, "expected raw recordings in data/UESTC"),
        ({"runs": ["nw_ucla"]}, "request them at"),
        ({"runs": ["demo/cross_setup"]}, "got 'cross_setup'"),
        ({"runs": ["dmeo"]}, "got 'dmeo'"),
        ({"split": {"validation_share": 0}}, "to weigh the ensemble 'weighed' by, got 'split.validation_share: 0' for"),
    ],
)
def test_workflow_says_what_cannot_be_run_in_one_line(restored, changes, message):
    restored.configure(changes)
    done = restored.snakemake("--dry-run")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_auto_takes_the_real_sets_in_place(restored):
    restored.configure({"runs": "auto"})
    assert restored.stale() == {"split": 1, "train": 1, "evaluate": 1, "attention_maps": 1, "report": 1}, (
        "cross_subject of ntu60 is new"
    )


def test_default_profile_runs_one_training_at_a_time(checkout):
    profile = yaml.safe_load((checkout.folder / "profiles/default/config.yaml").read_text())
    assert profile["resources"] == ["gpu=1"]
    assert "gpu=processes" in (checkout.folder / "workflow/rules/train.smk").read_text()
    assert check_config({}).train.processes == 1


def test_workflow_passes_the_linter(checkout):
    said = checkout.snakemake("--lint").stderr
    lints = {line.strip() for line in said.splitlines() if line.strip().startswith("*")}
    # The environment is pinned as a whole in requirements.txt, not rule by rule.
    assert lints == {"* Specify a conda environment or container for each rule.:"}, said


def test_workflow_runs_from_another_folder_with_the_settings_there_or_its_own(checkout, tmp_path):
    (tmp_path / "own/config").mkdir(parents=True)
    (tmp_path / "own/config/config.yaml").write_text(yaml.safe_dump(TINY | {"runs": "demo", "ablate": []}))
    snakefile = checkout.folder / "Snakefile"
    for arguments, folder in ((("--snakefile", snakefile), tmp_path), (("--directory", tmp_path / "own"), None)):
        asked = ("--config", "runs=demo") if folder else ()
        done = checkout.snakemake(*arguments, "results/demo/manifest.parquet", *asked, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_parquet(tmp_path / "results/demo/manifest.parquet")) > 0
    own = checkout.snakemake("--directory", tmp_path / "own", "--dry-run", "--quiet", "rules")
    assert re.search(r"^train +4$", own.stdout + own.stderr, re.MULTILINE), "two protocols, two seeds: its own settings"
