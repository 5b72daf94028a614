"""Runs in, one accuracy out: the folds of a protocol, or several networks whose scores are averaged."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.io.files import read_json, write_json, written_whole
from danet.metrics import apart_from_copies, top_k


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


def fuse(runs: dict[str, Path], name: str, scores: Path, metrics: Path) -> None:
    """Reads the run folders of several networks; writes the mean of their scores, sample by sample, by name."""
    tables = [pd.read_parquet(folder / "scores.parquet").set_index(["name", "segment"]) for folder in runs.values()]
    first = tables[0]
    for folder, table in zip(runs.values(), tables, strict=True):
        if not first["label"].sort_index().equals(table["label"].sort_index()):
            raise UserError(f"{folder}: wanted the test samples of {next(iter(runs.values()))}, found others")
    mean = np.mean([np.stack(list(table.loc[first.index, "scores"])) for table in tables], axis=0)
    labels = first["label"].to_numpy()
    fused = first.assign(prediction=mean.argmax(axis=1), scores=list(mean.astype(np.float32))).reset_index()
    with written_whole(scores) as partial:
        fused.to_parquet(partial, index=False)
    results = [read_json(folder / "metrics.json") for folder in runs.values()]
    result = {
        **{key: results[0][key] for key in ("dataset", "protocol", "seed", "simulated")},
        "method": name,
        "top1": top_k(mean, labels, 1),
        "top5": top_k(mean, labels, 5),
        **apart_from_copies(fused["prediction"].to_numpy() == labels, fused["copy"].to_numpy()),
        "samples": len(labels),
        "parameters": sum(result["parameters"] for result in results),
        "seconds": sum(result["seconds"] for result in results),
        "epoch": None,
        "validation_top1": None,
    }
    write_json(metrics, result)


def _mean(results: Iterable[dict], key: str) -> float | None:
    """None where any of them has none: a fold without a validation part."""
    values = [result[key] for result in results]
    return None if None in values else sum(values) / len(values)
