"""Files of runs that are missing, broken or at odds with each other are named, and no report is made of them."""

import json
import re

import pandas as pd
import pytest
from made_runs import PUBLISHED, edit_record, make_history, make_preparation, make_run

from danet.errors import UserError
from danet.report.page import render
from danet.report.reading import read_history
from danet.report.runs import read_groups
from danet.results import HistoryRow


@pytest.mark.parametrize("name", ["metrics.json", "run.json", "history.jsonl", "scores.parquet", "attention.json"])
@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_render_names_a_missing_or_wrong_run_file(tmp_path, name, content):
    run = make_run(tmp_path / "results")
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    with pytest.raises(UserError, match=rf"seed0/{re.escape(name)}(, line 1)?: expected "):
        render([run], [], PUBLISHED, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("name", ["set_aside.parquet", "audit.parquet"])
def test_render_names_a_missing_preparation_file(tmp_path, name):
    preparation = make_preparation(tmp_path / "results")
    (preparation / name).unlink()
    with pytest.raises(UserError, match=re.escape(f"demo/{name}: ")):
        render([], [preparation], PUBLISHED, tmp_path / "report")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1": 0.1}, "expected top-1 0.1000 .* got 0.7500"),
        ({"samples": 9}, "expected 9 samples"),
        ({"simulated": False}, "expected simulated False as in metrics.json, got True"),
        ({"protocol": "../../up"}, "'protocol': expected letters"),
        ({"turned": {"samples": 8, "degrees": [0, 15], "top1": [0.5]}}, "a share for each of 2 turns, got 1"),
        ({"top1": 1.5}, "'top1': expected 1 or less, got 1.5"),
    ],
)
def test_read_groups_refuses_files_that_contradict_each_other(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_groups([make_run(tmp_path / "results", **changes)], [])


def test_read_groups_refuses_runs_of_other_test_samples(tmp_path):
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    scores = pd.read_parquet(runs[1] / "scores.parquet")
    scores.assign(name=scores["name"] + "x").to_parquet(runs[1] / "scores.parquet")
    with pytest.raises(UserError, match=r"seed1/scores.parquet: expected the test samples of"):
        read_groups(runs, [])


def test_read_groups_holds_a_method_to_its_own_runs_only(tmp_path):
    """Runs of another method may have other seeds, and be of the same seed."""
    runs = [make_run(tmp_path, seed=seed, method=method) for method, seed in (("b", 0), ("b", 1), ("a", 0))]
    groups = read_groups(runs, [])
    assert [(group.method, len(group.runs)) for group in groups] == [("b", 2), ("a", 1)]
    assert [group.slug for group in groups] == ["demo--cross_view--b", "demo--cross_view--a"]
    with pytest.raises(UserError, match="expected one run per seed, got seed 0"):
        read_groups([*runs, runs[0]], [])


def test_read_groups_refuses_a_record_of_another_method(tmp_path):
    run = make_run(tmp_path)
    edit_record(run, method="other")
    with pytest.raises(UserError, match=r"run\.json: expected method 'danet' as in metrics\.json, got 'other'"):
        read_groups([run], [])


def test_read_history_has_a_column_for_every_field(tmp_path):
    path = tmp_path / "history.jsonl"
    rows = [*make_history(), *make_history(validation=False)]
    path.write_text("\n".join(map(json.dumps, rows)))
    history = read_history(path)
    assert list(history.columns) == list(HistoryRow.model_fields)
    assert history["validation_top1"].isna().tolist() == [False] * 3 + [True] * 3
    assert history["train_top1"].tolist() == [0.25, 0.5, 0.75] * 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("[1]", r"line 3: expected a JSON object, got \[1\]"),
        ("{", "line 3: expected a JSON object, got no JSON: Expecting "),
        ('{"epoch": 0}', "line 3: 'epoch': expected 1 or more, got 0"),
        ('{"epoch": 1}', "line 3: .*'learning_rate': expected a value, got none"),
    ],
)
def test_read_history_names_the_line(tmp_path, row, told):
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join([*map(json.dumps, make_history()[:2]), row]))
    with pytest.raises(UserError, match=rf"history\.jsonl, {told}"):
        read_history(path)
