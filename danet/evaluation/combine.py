"""Combines runs into one accuracy: the folds of a protocol, or several methods whose scores are averaged."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from danet.config.base import check
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.io.files import read_json, write_json, written_whole
from danet.io.tables import read_parquet
from danet.metrics import apart_from_copies, top_k
from danet.results import Metrics

SCORES = ("name", "segment", "copy", "label", "prediction", "scores")


def average_folds(folds: dict[str, Path], dataset: Dataset, scores: Path, metrics: Path) -> None:
    """Reads each fold's run folder; writes all scores, with a column `fold`, and the metrics of the whole protocol.

    `cells` holds the accuracy for every training fold and test view; `top1` is their mean, so that a view with many
    samples weighs no more than one with few.
    """
    tables, results = [], {}
    for fold, folder in folds.items():
        tables.append(_read_scores(folder).assign(fold=fold))
        results[fold] = _read_metrics(folder)
    table = pd.concat(tables, ignore_index=True)
    first = next(iter(results.values()))
    table["view"] = [dataset.sample(name).view for name in table["name"]]
    table["right"] = table["label"] == table["prediction"]
    cells = table.groupby(["fold", "view"])["right"].mean()
    with written_whole(scores) as partial:
        table.drop(columns="right").to_parquet(partial, index=False)
    combined = Metrics(
        dataset=first.dataset,
        protocol=first.protocol.split("/")[0],
        method=first.method,
        seed=first.seed,
        simulated=first.simulated,
        parameters=first.parameters,
        top1=float(cells.mean()),
        top5=sum(result.top5 for result in results.values()) / len(results),
        samples=len(table),
        seconds=sum(result.seconds for result in results.values()),
        epoch=None,
        validation_top1=_mean_where_all(result.validation_top1 for result in results.values()),
        folds={fold: result.top1 for fold, result in results.items()},
        cells={f"{fold} -> {view}": float(value) for (fold, view), value in cells.items()},
    )
    write_json(metrics, combined.model_dump(mode="json"))


def ensemble(runs: dict[str, Path], name: str, scores: Path, metrics: Path) -> None:
    """Reads the run folders of several methods; writes the mean of their scores, sample by sample, by name.

    Errors: UserError when they were not tested on the same samples.
    """
    tables = [
        read_parquet(folder / "scores.parquet", SCORES).set_index(["name", "segment"]) for folder in runs.values()
    ]
    first = tables[0]
    for folder, table in zip(runs.values(), tables, strict=True):
        if not first["label"].sort_index().equals(table["label"].sort_index()):
            raise UserError(f"{folder}: expected the test samples of {next(iter(runs.values()))}, got others")
    mean = np.mean([np.stack(list(table.loc[first.index, "scores"])) for table in tables], axis=0)
    labels = first["label"].to_numpy()
    averaged = first.assign(prediction=mean.argmax(axis=1), scores=list(mean.astype(np.float32))).reset_index()
    with written_whole(scores) as partial:
        averaged.to_parquet(partial, index=False)
    members = [_read_metrics(folder) for folder in runs.values()]
    result = Metrics(
        dataset=members[0].dataset,
        protocol=members[0].protocol,
        method=name,
        seed=members[0].seed,
        simulated=members[0].simulated,
        top1=top_k(mean, labels, 1),
        top5=top_k(mean, labels, 5),
        **apart_from_copies(averaged["prediction"].to_numpy() == labels, averaged["copy"].to_numpy()),
        samples=len(labels),
        parameters=sum(member.parameters for member in members),
        seconds=sum(member.seconds for member in members),
        epoch=None,
        validation_top1=None,
        members=dict.fromkeys(runs, 1 / len(runs)),
    )
    write_json(metrics, result.model_dump(mode="json"))


def _read_scores(folder: Path) -> pd.DataFrame:
    return read_parquet(folder / "scores.parquet", SCORES)


def _read_metrics(folder: Path) -> Metrics:
    return check(Metrics, read_json(folder / "metrics.json"), str(folder / "metrics.json"))


def _mean_where_all(values: Iterable[float | None]) -> float | None:
    """The mean; None where any is None: a fold without a validation part."""
    listed = list(values)
    return None if None in listed else sum(value or 0.0 for value in listed) / len(listed)
