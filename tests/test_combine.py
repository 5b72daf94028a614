"""Several networks' scores become one label a sample, and samples that show training samples are counted apart."""

import pandas as pd
import pytest

from danet.evaluation.combine import fuse
from danet.io.files import read_json, write_json


def test_scores_are_averaged_and_copies_counted_apart(tmp_path):
    chances = {"joint": [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]], "bone": [[0.8, 0.2], [0.9, 0.1], [0.2, 0.8]]}
    table = {"name": ["a", "b", "c"], "segment": 0, "copy": [True, False, False], "label": [0, 1, 1]}
    metrics = {"dataset": "demo", "protocol": "cross_view", "seed": 0, "simulated": True, "parameters": 5, "seconds": 2}
    for stream, scores in chances.items():
        (tmp_path / stream).mkdir()
        write_json(tmp_path / stream / "metrics.json", metrics)
        pd.DataFrame(table | {"prediction": 0, "scores": scores}).to_parquet(tmp_path / stream / "scores.parquet")
    fuse({stream: tmp_path / stream for stream in chances}, "both", tmp_path / "fused.parquet", tmp_path / "fused.json")
    assert pd.read_parquet(tmp_path / "fused.parquet")["prediction"].tolist() == [0, 0, 1]
    found = read_json(tmp_path / "fused.json")
    assert found["top1"] == pytest.approx(2 / 3)
    assert (found["copies_of_training"], found["top1_without_copies"]) == (1, 0.5)
