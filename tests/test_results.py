"""The files of a real run hold what their schema says, every key of it and no other."""

import json
from functools import partial

import pytest
from conftest import train_on_demo

from danet.config.base import check
from danet.config.settings import Run
from danet.cost import measure
from danet.datasets.demo import DEMO
from danet.evaluation.attention import attention_maps
from danet.evaluation.evaluate import evaluate
from danet.preparation.split import split
from danet.report.attention import Attention
from danet.results import Cost, HistoryRow, Metrics, RunRecord

SCHEMA = {
    "metrics.json": Metrics,
    "run.json": RunRecord,
    "history.jsonl": HistoryRow,
    "attention.json": Attention,
    "cost.json": Cost,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that is tested on people that it has not seen, from all cameras at once, so that no key is empty."""
    folder = tmp_path_factory.mktemp("run")
    data = train_on_demo(folder) | {"weights": folder / "weights.safetensors", "dataset": DEMO}
    names = [path.stem for path in (folder / "raw").iterdir()]
    split(DEMO, "cross_subject", names, Run().split).to_parquet(folder / "by_subject.parquet")
    data["split"] = folder / "by_subject.parquet"
    evaluate(**data, run=folder / "run.json", scores=folder / "scores.parquet", metrics=folder / "metrics.json")
    attention_maps(**data, maps=folder / "attention.parquet", shown=folder / "attention.json")
    settings = check(Run, {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2}}, "test")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measure, "measure", partial(measure.measure, seconds=0.05))
        measure.measure_stage(dataset=DEMO, method="mine", run=settings, threads=1, out=folder / "cost.json")
    return folder


@pytest.mark.parametrize(("file", "kind"), SCHEMA.items())
def test_written_file_holds_its_schema_whole(run, file, kind):
    text = (run / file).read_text()
    for written in [json.loads(line) for line in text.splitlines()] if file.endswith("l") else [json.loads(text)]:
        read = kind.model_validate(written)
        assert read.model_dump(mode="json") == json.loads(json.dumps(written)), "no key is lost or made up"


def test_metrics_of_a_run_leave_out_only_what_it_has_not(run):
    metrics = Metrics.model_validate_json((run / "metrics.json").read_text())
    empty = {name for name, value in metrics if value in (None, (), {})}
    kept_apart = {"epochs", "folds", "cells", "members", "member_weights"}
    assert empty == kept_apart, "its epochs were not kept, it has no folds and is no ensemble"
    assert metrics.multi_view.recordings == 3 * metrics.multi_view.performances
    assert {corruption.what for corruption in metrics.corruptions} >= {"people swapped"}
