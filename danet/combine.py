"""The folds of a protocol in, its one accuracy out: the mean over all pairs of training fold and test view."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from danet.datasets.catalogue import find_dataset
from danet.files import read_json, write_json, written_whole


def combine(folds: dict[str, Path], scores: Path, metrics: Path) -> None:
    """Reads each fold's run folder; writes all scores, with a column `fold`, and the metrics of the whole protocol.

    `cells` holds the accuracy for every training fold and test view; `top1` is their mean, so that a view with many
    samples weighs no more than one with few.
    """
    tables, results = [], {}
    for fold, folder in folds.items():
        tables.append(pd.read_parquet(folder / "scores.parquet").assign(fold=fold))
        results[fold] = read_json(folder / "metrics.json")
    table = pd.concat(tables, ignore_index=True)
    first = next(iter(results.values()))
    dataset = find_dataset(first["dataset"])
    table["view"] = [dataset.sample(name).view for name in table["name"]]
    table["right"] = table["label"] == table["prediction"]
    cells = table.groupby(["fold", "view"])["right"].mean()
    with written_whole(scores) as partial:
        table.drop(columns="right").to_parquet(partial, index=False)
    combined = {
        **{key: first[key] for key in ("dataset", "seed", "simulated", "method", "parameters")},
        "protocol": first["protocol"].split("/")[0],
        "top1": float(cells.mean()),
        "top5": _mean(results.values(), "top5"),
        "samples": len(table),
        "seconds": sum(result["seconds"] for result in results.values()),
        "epoch": None,
        "validation_top1": _mean(results.values(), "validation_top1"),
        "folds": {fold: result["top1"] for fold, result in results.items()},
        "cells": {f"{fold} -> {view}": float(value) for (fold, view), value in cells.items()},
    }
    write_json(metrics, combined)


def _mean(results: Iterable[dict], key: str) -> float:
    values = [result[key] for result in results]
    return sum(values) / len(values)
