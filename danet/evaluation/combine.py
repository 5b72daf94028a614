"""Combines runs into one accuracy: the folds of a protocol, or several methods whose scores are averaged."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from danet.config.base import check
from danet.config.settings import MemberWeights
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.io.files import read_json, write_json, written_whole
from danet.io.tables import read_parquet
from danet.metrics import apart_from_copies, top_k
from danet.results import Metrics

MOST_STEPS, STANDSTILL = 500, 1e-9  # of EM
PSEUDO_OBSERVATIONS = 10  # a member
LEAST_LIKELIHOOD = float(np.finfo(np.float32).tiny)  # for a 0 of all members, which would be divided by
LARGEST_SCORE = 1.0001  # as float32 sums up to 1
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


def ensemble(runs: dict[str, Path], name: str, scores: Path, metrics: Path, weights: MemberWeights = "equal") -> None:
    """Reads the run folders of several methods; writes the weighted mean of their scores, sample by sample, by name.

    The weights are equal, or those that `likeliest_weights` finds on the validation part; the test part never chooses.
    Errors: UserError when the methods were not scored on the same samples, or the scores are no probabilities.
    """
    shares = np.full(len(runs), 1 / len(runs)) if weights == "equal" else weights_by_validation(runs)
    first, tested = _aligned(_tables(runs, "scores.parquet"), "test")
    mean = np.tensordot(shares, tested, axes=1)
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
        members=dict(zip(runs, shares.tolist(), strict=True)),
        member_weights=weights,
    )
    write_json(metrics, result.model_dump(mode="json"))


def weights_by_validation(runs: dict[str, Path]) -> np.ndarray:
    """The weights (K,) of K run folders under which the labels of their validation samples are likeliest.

    Samples that show what a training sample shows are passed over: a network may know them by heart.
    Errors: UserError where a run has no validation samples, or others than the first.
    """
    tables = _tables(runs, "validation.parquet")
    for path, table in tables.items():
        if table.empty:
            why = "split.validation_share is 0 or train.refit is on"
            raise UserError(f"{path}: expected validation samples to choose the weights by, got none: {why}")
    first, scores = _aligned(tables, "validation")
    fresh = ~first["copy"].to_numpy(dtype=bool)
    return likeliest_weights(scores[:, fresh, first["label"].to_numpy()[fresh]].T)


def likeliest_weights(likelihoods: np.ndarray) -> np.ndarray:
    """The weights (K,) of a mixture, 0 or more and 1 in all, under which its N samples are likeliest.

    `likelihoods` (N, K) is the probability of each sample's label in each member. The weights are found by EM
    (Dempster, Laird and Rubin, JRSS B 1977), from equal ones: a member's new weight is its mean share in the samples.
    Each member has pseudo-observations beside them, which are its alone, as of a Dirichlet prior. So a few samples push
    no weight to 0 by chance, and the best weights are unique; of no samples they are equal. Ten a member are taken: of
    four simulated members, equally good, the choice by 40 samples then cost 0.2 points of accuracy, and 3 with one.
    """
    count, members = likelihoods.shape
    likelihoods = np.maximum(likelihoods.astype(np.float64), LEAST_LIKELIHOOD)
    weights = np.full(members, 1 / members)
    for _ in range(MOST_STEPS):
        shares = weights * likelihoods
        shares /= shares.sum(axis=1, keepdims=True)
        before, weights = weights, shares.sum(axis=0) + PSEUDO_OBSERVATIONS
        weights /= count + members * PSEUDO_OBSERVATIONS
        if np.abs(weights - before).max() < STANDSTILL:
            break
    return weights


def _tables(runs: dict[str, Path], file: str) -> dict[Path, pd.DataFrame]:
    """The scores of each run by name and segment, under the path of their file."""
    return {folder / file: _read_scores(folder, file).set_index(["name", "segment"]) for folder in runs.values()}


def _aligned(tables: dict[Path, pd.DataFrame], part: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The first of K tables, and the scores (K, B, A) of all of them in the order of its rows."""
    first_path, first = next(iter(tables.items()))
    aligned = []
    for path, table in tables.items():
        if not first["label"].sort_index().equals(table["label"].sort_index()):
            raise UserError(f"{path}: expected the {part} samples of {first_path}, got others")
        scores = np.stack(list(table.loc[first.index, "scores"])).astype(np.float64)
        if not ((scores >= 0) & (scores <= LARGEST_SCORE)).all():  # nor is what is no number
            raise UserError(f"{path}: expected probabilities, got scores from {scores.min():g} to {scores.max():g}")
        aligned.append(scores)
    return first, np.stack(aligned)


def _read_scores(folder: Path, file: str = "scores.parquet") -> pd.DataFrame:
    return read_parquet(folder / file, SCORES)


def _read_metrics(folder: Path) -> Metrics:
    return check(Metrics, read_json(folder / "metrics.json"), str(folder / "metrics.json"))


def _mean_where_all(values: Iterable[float | None]) -> float | None:
    """The mean; None where any is None: a fold without a validation part."""
    listed = list(values)
    return None if None in listed else sum(value or 0.0 for value in listed) / len(listed)
