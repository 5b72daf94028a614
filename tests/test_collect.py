"""Files of runs that are missing, broken or at odds with each other are named, and no report is made of them."""

import re

import pandas as pd
import pytest
from made_runs import PUBLISHED, make_preparation, make_run

from danet.errors import UserError
from danet.report.page import render
from danet.report.runs import read_groups


@pytest.mark.parametrize("name", ["metrics.json", "run.json", "history.jsonl", "scores.parquet", "attention.json"])
@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_missing_or_wrong_run_file_is_named(tmp_path, name, content):
    run = make_run(tmp_path / "results")
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(f"seed0/{name}: ")):
        render([run], [], PUBLISHED, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("name", ["set_aside.parquet", "audit.parquet"])
def test_missing_preparation_file_is_named(tmp_path, name):
    preparation = make_preparation(tmp_path / "results")
    (preparation / name).unlink()
    with pytest.raises(UserError, match=re.escape(f"demo/{name}: ")):
        render([], [preparation], PUBLISHED, tmp_path / "report")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1": 0.1}, "wanted top-1 0.1000 .* found 0.7500"),
        ({"samples": 9}, "wanted 9 samples"),
        ({"simulated": False}, "wanted simulated False"),
        ({"protocol": "../../up"}, "wanted letters"),
        ({"turned": {"samples": 8, "degrees": [0, 15], "top1": [0.5]}}, "a share for each of 2 turns"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_groups([make_run(tmp_path / "results", **changes)], [])


def test_runs_of_one_protocol_must_share_their_test_samples(tmp_path):
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    scores = pd.read_parquet(runs[1] / "scores.parquet")
    scores.assign(name=scores["name"] + "x").to_parquet(runs[1] / "scores.parquet")
    with pytest.raises(UserError, match=r"seed1/scores.parquet: wanted the test samples of"):
        read_groups(runs, [])
