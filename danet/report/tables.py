"""What was read of runs in; tables out, one function each. Accuracies in percent, deviations with n - 1.

Every table has a column `simulated`; a deviation is NaN where there is one seed only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from danet.config import COMPLETE
from danet.errors import UserError
from danet.report.collect import HISTORY, VALIDATION, Cost, Group, Metrics

FACTORS = ("view", "subject", "setup")
RESAMPLES = 1000
SHARES = ("train_top1", "validation_top1")


def runs(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per run: its accuracies, what chose its epoch, and where it comes from."""
    rows = []
    for group in groups:
        for run in group.runs:
            metrics, about = run.metrics, run.about
            validation = np.nan if metrics.validation_top1 is None else 100 * metrics.validation_top1
            row = {
                "dataset": metrics.dataset,
                "title": about.title,
                "protocol": metrics.protocol,
                "method": metrics.method,
                "seed": metrics.seed,
                "top1_percent": 100 * metrics.top1,
                "top5_percent": 100 * metrics.top5,
                "validation_top1_percent": validation,
                "epoch": metrics.epoch,
                "samples": metrics.samples,
                **{f"{part}_samples": about.counts.get(part) for part in ("train", "validation", "test")},
                "parameters": metrics.parameters,
                "seconds": metrics.seconds,
                "device": about.device,
                "commit": about.git.commit,
                "uncommitted_changes": about.git.dirty,
                "data_hash": about.data_hash,
                "simulated": metrics.simulated,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def accuracy(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol, mean and deviation over its seeds; then one for the folds of a protocol taken together."""
    rows: list[dict | None] = []
    for group in groups:
        low, high = interval(share_right(group).to_numpy())
        errors = [100 * run.metrics.calibration.error for run in group.runs if run.metrics.calibration is not None]
        row = {
            "top1_low_percent": low,
            "top1_high_percent": high,
            "calibration_error_points": np.mean(errors or np.nan),
        }
        rows.append(_over_seeds(runs([group])) | row)
    rows += [_over_folds(folds) for folds in families(groups)]
    table = pd.DataFrame([row for row in rows if row is not None])
    return (
        table.sort_values(["simulated", "dataset", "protocol"], kind="stable", ignore_index=True)
        if len(table)
        else table
    )


def families(groups: Sequence[Group]) -> list[list[Group]]:
    """The folds of each protocol that has more than one of them."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        family, _, fold = group.protocol.partition("/")
        if fold:
            found.setdefault((group.dataset, family), []).append(group)
    return [folds for folds in found.values() if len(folds) > 1]


def by_fold_and_view(folds: Sequence[Group]) -> pd.DataFrame | None:
    """A row per fold, named by what it is trained on, a column per view of the test samples: the mean over seeds.

    None without a manifest, or where all test samples are of one view.
    """
    rows = []
    for group in folds:
        found = by_factor(group, "view")
        if found is None:
            return None
        rows.append(found.assign(fold=group.protocol.partition("/")[2]))
    cells = pd.concat(rows, ignore_index=True)
    if cells["view"].nunique() < 2:
        return None
    table = cells.pivot(index="fold", columns="view", values="top1_mean_percent")
    table = table.reindex(index=cells["fold"].unique(), columns=cells["view"].unique())
    return table.rename_axis(columns=None).reset_index().assign(simulated=folds[0].simulated)


def share_right(group: Group) -> pd.Series:
    """The share of seeds in which each test sample got its label, by name and segment."""
    keyed = [run.samples.set_index(["name", "segment"]) for run in group.runs]
    return pd.concat([samples["label"] == samples["prediction"] for samples in keyed], axis=1).mean(axis=1)


def interval(shares: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `shares` (N,), in percent: the same each time.

    Efron, Annals of Statistics 1979. Samples are drawn one by one, so that people who are each seen many times make
    the true uncertainty larger than it says.
    """
    rng = np.random.default_rng(0)
    means = [shares[rng.integers(len(shares), size=len(shares))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)


def _over_seeds(own: pd.DataFrame) -> dict:
    first = own.iloc[0]
    validated = int(own["validation_top1_percent"].notna().sum())
    chosen = {0: "the last one", len(own): "validation"}.get(validated, f"validation in {validated} of {len(own)}")
    return {
        **first[["dataset", "title", "protocol", "method"]],
        "seeds": len(own),
        "top1_mean_percent": own["top1_percent"].mean(),
        "top1_deviation_percent": own["top1_percent"].std(ddof=1),
        "top5_mean_percent": own["top5_percent"].mean(),
        "top5_deviation_percent": own["top5_percent"].std(ddof=1),
        "validation_top1_mean_percent": own["validation_top1_percent"].mean(),
        "samples": int(first["samples"]),
        "parameters": int(first["parameters"]),
        "seconds_mean": own["seconds"].mean(),
        "epoch_chosen_by": chosen,
        "simulated": bool(first["simulated"]),
    }


def _over_folds(groups: Sequence[Group]) -> dict | None:
    """What was combined of the folds, for each seed that has them all, then mean and deviation over those seeds.

    Top-1 is that of the combined metrics, all else the folds' mean. None without a seed.
    """
    own, combined = runs(groups), groups[0].combined
    folds = len(groups)
    complete = own[own["seed"].isin(list(combined))].groupby("seed").filter(lambda seed: len(seed) == folds)
    if not len(complete):
        return None
    numbers = ["top5_percent", "validation_top1_percent", "seconds", "parameters"]
    by_seed = complete.groupby("seed")[numbers].mean()
    by_seed["top1_percent"] = [100 * combined[int(seed)] for seed in by_seed.index]
    by_seed["samples"] = complete.groupby("seed")["samples"].sum()
    first = complete.iloc[0]
    by_seed[["dataset", "title", "method", "simulated"]] = first[["dataset", "title", "method", "simulated"]].to_list()
    by_seed["protocol"] = f"{first['protocol'].partition('/')[0]}, {folds} folds combined"
    return _over_seeds(by_seed)


def fused_views(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol that was tested from several cameras at once: one label for all of them, or one for each."""
    rows = []
    for group in groups:
        found = [run.metrics.fused_views for run in group.runs if run.metrics.fused_views is not None]
        if found:
            shares = pd.DataFrame([{"fused": one.top1, "alone": one.top1_alone} for one in found]) * 100
            row: dict[str, Any] = {
                "dataset": group.dataset,
                "title": group.runs[0].about.title,
                "protocol": group.protocol,
            }
            row |= {"performances": found[0].performances, "recordings": found[0].recordings, "seeds": len(found)}
            for kind in shares:
                row |= {f"{kind}_mean_percent": shares[kind].mean()}
                row |= {f"{kind}_deviation_percent": shares[kind].std(ddof=1)}
            rows.append(row | {"simulated": group.simulated})
    return pd.DataFrame(rows)


def epochs(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol whose epochs were kept: mean over seeds after the last, the chosen and the best on test."""
    rows = []
    for group in groups:
        found = [run.metrics.epochs for run in group.runs if run.metrics.epochs is not None]
        if found:
            row: dict[str, Any] = {"title": group.runs[0].about.title, "protocol": group.protocol, "seeds": len(found)}
            for name in ("last", "chosen", "best_on_test"):
                own = pd.DataFrame([getattr(one, name).model_dump() for one in found])
                row |= {f"{name}_mean_percent": 100 * own["top1"].mean(), f"{name}_epoch_mean": own["epoch"].mean()}
                row |= {f"{name}_deviation_percent": 100 * own["top1"].std(ddof=1)}
            rows.append(row | {"simulated": group.simulated})
    return pd.DataFrame(rows)


def ablation(runs: Sequence[Metrics], titles: Mapping[str, str]) -> pd.DataFrame:
    """One row per protocol and variant, in the order given: mean and deviation over seeds, and what is lost or won.

    `difference_points` is the mean over seeds of the variant minus the complete network of the same seed; the same on
    the test samples that are no copies of training samples, which a network may know by heart.
    """
    if not runs:
        return pd.DataFrame()
    fields = ("dataset", "protocol", "method", "seed", "samples", "parameters", "seconds", "simulated")
    shares = {"top1": "difference", "top1_without_copies": "difference_without_copies"}
    table = pd.DataFrame([{field: getattr(run, field) for field in (*fields, *shares)} for run in runs])
    task = ["dataset", "protocol", "seed"]
    complete = table[table["method"] == COMPLETE].set_index(task)
    for share, difference in shares.items():
        table[share] = 100 * table[share].astype(float)
        own = complete[share].reindex(pd.MultiIndex.from_frame(table[task])).to_numpy(float)
        table[difference] = table[share] - 100 * own
    by_variant = table.groupby(["dataset", "protocol", "method"], sort=False)
    return pd.DataFrame(
        {
            "title": by_variant["dataset"].first().map(titles),
            "variant": by_variant["method"].first().str.replace("_", " "),
            "top1_mean_percent": by_variant["top1"].mean(),
            "top1_deviation_percent": by_variant["top1"].std(ddof=1),
            "difference_points": by_variant["difference"].mean(),
            "difference_deviation_points": by_variant["difference"].std(ddof=1),
            "top1_without_copies_mean_percent": by_variant["top1_without_copies"].mean(),
            "top1_without_copies_deviation_percent": by_variant["top1_without_copies"].std(ddof=1),
            "difference_without_copies_points": by_variant["difference_without_copies"].mean(),
            "difference_without_copies_deviation_points": by_variant["difference_without_copies"].std(ddof=1),
            "seeds": by_variant.size(),
            "samples": by_variant["samples"].first(),
            "parameters": by_variant["parameters"].first(),
            "seconds_mean": by_variant["seconds"].mean(),
            "simulated": by_variant["simulated"].first(),
        }
    ).reset_index()


def costs(found: Sequence[Cost]) -> pd.DataFrame:
    """One row per data set: operations, speed, memory, and how much of the machine's peak a training step reaches."""
    rows = []
    for cost in found:
        people = f"{cost.people} {'person' if cost.people == 1 else 'people'}"
        row = {
            **cost.model_dump(),
            "clip": f"{cost.frames} frames, {cost.joints} joints, {people}",
            "share_of_peak_percent": 100 * cost.training_gflops / cost.peak_gflops,
            "measured_on": f"{cost.machine}, {cost.threads} threads, {cost.precision}",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def published_column(group: Group) -> str:
    """The column of the published figures that belongs to a protocol."""
    return f"{group.dataset}_{group.protocol}"


def compared(group: Group, published: pd.DataFrame) -> pd.DataFrame:
    """A real protocol's accuracy, and the published ones below, best first. `difference_points`: DANet minus the other.

    No rows when nobody's figure is known, or when the recordings are simulated.
    """
    columns = ["method", "year", "models_fused", "top1_percent", "top1_deviation_percent", "difference_points"]
    columns += ["parameters_millions", "gflops", "read_in"]
    if group.simulated or published_column(group) not in published:
        return pd.DataFrame(columns=[*columns, "simulated"])
    names = {"streams": "models_fused", "params_m": "parameters_millions", published_column(group): "top1_percent"}
    others = published.rename(columns=names).dropna(subset="top1_percent")
    ours = _over_seeds(runs([group]))
    encoders = group.runs[0].about.settings.get("model", {}).get("encoders")
    row = {
        "method": "DANet (this page)" + (f", {len(encoders)} encoders" if encoders else ""),
        "models_fused": 1,
        "top1_percent": ours["top1_mean_percent"],
        "top1_deviation_percent": ours["top1_deviation_percent"],
        "parameters_millions": ours["parameters"] / 1e6,
        "read_in": f"this page, n = {ours['seeds']}",
    }
    others = others.assign(difference_points=row["top1_percent"] - others["top1_percent"])
    others = others.sort_values("top1_percent", ascending=False, kind="stable").to_dict("records")
    return pd.DataFrame([row, *others]).reindex(columns=columns).assign(simulated=False)


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
    """One row per action: test samples of one seed, accuracy over seeds, and what it is most often taken for."""
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
            f"{path}: wanted the manifest's samples, found {len(missing)} others, such as {missing.iloc[0]}"
        )
    table = _accuracy_by(group, lambda samples: samples["name"].map(values).rename(factor))
    if factor == "setup" and (table["setup"] == 0).all():
        return None
    order = table[factor].map(lambda value: (0, int(value), "") if str(value).isdigit() else (1, 0, str(value)))
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True).assign(simulated=group.simulated)


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
        numbers = run.history[[*HISTORY, *VALIDATION]]
        parts.append(numbers.assign(seed=run.metrics.seed, chosen=numbers["epoch"] == run.metrics.epoch))
    table = pd.concat(parts, ignore_index=True)
    for share in SHARES:
        table[f"{share}_percent"] = 100 * table.pop(share)
    return table.assign(simulated=group.simulated)


def turned(group: Group) -> pd.DataFrame | None:
    """One row per turn of the test samples about the vertical: mean and deviation over seeds; None if not measured."""
    rows = []
    for run in group.runs:
        found = run.metrics.turned
        if found is not None:
            for degrees, share in zip(found.degrees, found.top1, strict=True):
                rows.append({"degrees": degrees, "samples": found.samples, "top1_percent": 100 * share})
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
    """One row per way of making the test samples worse: mean and deviation over seeds; None if not measured.

    `difference_points` is what is lost against the same samples unchanged.
    """
    rows = [worse.model_dump() for run in group.runs for worse in run.metrics.worse]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    table["difference"] = table["top1"] - table["plain"]
    by_stress = table.groupby(["what", "level", "unit"], sort=False)
    return pd.DataFrame(
        {
            "samples": by_stress["samples"].first(),
            "top1_mean_percent": 100 * by_stress["top1"].mean(),
            "top1_deviation_percent": 100 * by_stress["top1"].std(ddof=1),
            "difference_points": 100 * by_stress["difference"].mean(),
            "seeds": by_stress.size(),
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
