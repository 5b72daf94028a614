"""Makes the tables of one method on one protocol: what its runs get right, where and when; one function each.

Units and the column `simulated` as in `tables`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from danet.errors import UserError
from danet.metrics import interval
from danet.report.runs import Group
from danet.report.tables import share_right

FACTORS = ("view", "subject", "setup")
SHARES = ("train_top1", "validation_top1")


def confusion_counts(group: Group) -> np.ndarray:
    """Samples by label (rows) and prediction (columns), summed over seeds: (actions, actions)."""
    counts = np.zeros((len(group.actions),) * 2, np.int64)
    for run in group.runs:
        np.add.at(counts, (run.samples["label"].to_numpy(), run.samples["prediction"].to_numpy()), 1)
    return counts


def confusion(group: Group) -> pd.DataFrame:
    """One row per pair of actions, pairs that never occur included. `share_percent`: of the action's samples."""
    counts = confusion_counts(group)
    label, prediction = (index.ravel() for index in np.indices(counts.shape))
    with np.errstate(invalid="ignore"):  # an action without test samples has no shares
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "label": label,
            "action": np.array(group.actions, object)[label],
            "prediction": prediction,
            "predicted_action": np.array(group.actions, object)[prediction],
            "count": counts.ravel(),
            "share_percent": shares.ravel(),
            "seeds": len(group.runs),
            "simulated": group.simulated,
        }
    )


def confused(group: Group) -> pd.DataFrame:
    """The pairs of different actions that occur, the largest share first."""
    table = confusion(group)
    table = table[(table["label"] != table["prediction"]) & (table["count"] > 0)]
    return table.sort_values(["share_percent", "count"], ascending=False, kind="stable", ignore_index=True)


def per_action(group: Group) -> pd.DataFrame:
    """One row per action: test samples of one seed, accuracy over seeds, and what it is most often taken for.

    `training_samples` is there where the split is known.
    """
    labels = {"label": range(len(group.actions)), "action": group.actions}
    table = pd.DataFrame(labels).merge(_accuracy_by(group, lambda samples: samples["label"]), "left", on="label")
    mistaken = confused(group).drop_duplicates("label")[["label", "predicted_action", "share_percent"]]
    mistaken = mistaken.rename(columns={"predicted_action": "most_taken_for", "share_percent": "taken_for_percent"})
    table = table.merge(mistaken, "left", on="label")
    shares = share_right(group)
    labels_of = group.runs[0].samples.set_index(["name", "segment"])["label"].reindex(shares.index)
    ends = {label: interval(own.to_numpy()) for label, own in shares.groupby(labels_of)}
    for place, end in enumerate(("low", "high")):
        table[f"top1_{end}_percent"] = [ends.get(label, (np.nan, np.nan))[place] for label in table["label"]]
    if group.coverage is not None:
        table["training_samples"] = group.coverage.training[table["label"]]
    return table.assign(samples=table["samples"].fillna(0).astype(int), simulated=group.simulated)


def by_factor(group: Group, factor: str) -> pd.DataFrame | None:
    """Accuracy by view, subject or setup of the test samples; None without a manifest. Errors: UserError.

    The data sets without setups have setup 0 throughout; for them there is no such table.
    """
    if group.preparation is None or group.preparation.manifest is None:
        return None
    values = group.preparation.manifest.drop_duplicates("name").set_index("name")[factor]
    known = group.runs[0].samples["name"].isin(values.index)
    if not known.all():
        missing = group.runs[0].samples["name"][~known]
        path = group.runs[0].folder / "scores.parquet"
        raise UserError(
            f"{path}: expected the manifest's samples, got {len(missing)} others, such as {missing.iloc[0]}"
        )
    table = _accuracy_by(group, lambda samples: samples["name"].map(values).rename(factor))
    if factor == "setup" and (table["setup"] == 0).all():
        return None
    order = table[factor].map(lambda value: (0, int(value), "") if str(value).isdigit() else (1, 0, str(value)))
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True).assign(simulated=group.simulated)


def by_fold_and_view(folds: Sequence[Group]) -> pd.DataFrame | None:
    """A row per fold, named by what it is trained on, a column per view of the test samples: the mean over seeds.

    None without a manifest, or where all test samples are of one view.
    """
    rows = []
    for group in folds:
        by_view = by_factor(group, "view")
        if by_view is None:
            return None
        rows.append(by_view.assign(fold=group.protocol.partition("/")[2]))
    cells = pd.concat(rows, ignore_index=True)
    if cells["view"].nunique() < 2:
        return None
    table = cells.pivot(index="fold", columns="view", values="top1_mean_percent")
    table = table.reindex(index=cells["fold"].unique(), columns=cells["view"].unique())
    return table.rename_axis(columns=None).reset_index().assign(simulated=folds[0].simulated)


def _accuracy_by(group: Group, key: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """Accuracy within each value of `key(samples)`: per seed, then mean and deviation over the seeds."""
    seeds = [(run.samples["label"] == run.samples["prediction"]).groupby(key(run.samples)).mean() for run in group.runs]
    by_seed = 100 * pd.concat(seeds, axis=1)
    samples = group.runs[0].samples.groupby(key(group.runs[0].samples)).size()
    columns = {"samples": samples, "seeds": len(seeds)}
    columns |= {"top1_mean_percent": by_seed.mean(axis=1), "top1_deviation_percent": by_seed.std(axis=1, ddof=1)}
    return pd.DataFrame(columns).reset_index()


def curves(group: Group) -> pd.DataFrame:
    """One row per seed and epoch: losses, accuracies in percent, and whether this epoch was the chosen one."""
    parts = []
    for run in group.runs:
        numbers = run.history[["epoch", "train_loss", "train_top1", "validation_loss", "validation_top1"]]
        parts.append(numbers.assign(seed=run.metrics.seed, chosen=numbers["epoch"] == run.metrics.epoch))
    table = pd.concat(parts, ignore_index=True)
    for share in SHARES:
        table[f"{share}_percent"] = 100 * table.pop(share)
    return table.assign(simulated=group.simulated)


def turned(group: Group) -> pd.DataFrame | None:
    """One row per turn of the test samples about the vertical: mean and deviation over seeds; None if not measured."""
    rows = []
    for run in group.runs:
        measured = run.metrics.turned
        if measured is not None:
            for degrees, share in zip(measured.degrees, measured.top1, strict=True):
                rows.append({"degrees": degrees, "samples": measured.samples, "top1_percent": 100 * share})
    if not rows:
        return None
    by_turn = pd.DataFrame(rows).groupby("degrees")
    return pd.DataFrame(
        {
            "samples": by_turn["samples"].first(),
            "top1_mean_percent": by_turn["top1_percent"].mean(),
            "top1_deviation_percent": by_turn["top1_percent"].std(ddof=1),
            "seeds": by_turn.size(),
            "simulated": group.simulated,
        }
    ).reset_index()


def robustness(group: Group) -> pd.DataFrame | None:
    """One row per corruption of the test samples: mean and deviation over seeds; None if not measured.

    `difference_points` is what is lost against the same samples unchanged.
    """
    rows = [corruption.model_dump() for run in group.runs for corruption in run.metrics.corruptions]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    table["difference"] = table["top1"] - table["plain"]
    by_corruption = table.groupby(["what", "level", "unit"], sort=False)
    return pd.DataFrame(
        {
            "samples": by_corruption["samples"].first(),
            "top1_mean_percent": 100 * by_corruption["top1"].mean(),
            "top1_deviation_percent": 100 * by_corruption["top1"].std(ddof=1),
            "difference_points": 100 * by_corruption["difference"].mean(),
            "seeds": by_corruption.size(),
            "simulated": group.simulated,
        }
    ).reset_index()


def calibration(group: Group) -> pd.DataFrame | None:
    """One row per seed and bin of confidence: samples in it, their mean confidence, their accuracy; None if unknown."""
    rows = [
        {"seed": run.metrics.seed} | bin_.model_dump()
        for run in group.runs
        if run.metrics.calibration is not None
        for bin_ in run.metrics.calibration.bins
    ]
    return pd.DataFrame(rows).assign(simulated=group.simulated) if rows else None
