"""Makes the tables of what runs achieved and cost, one function each.

Accuracies in percent, deviations with n - 1 and NaN where there is one seed only. Every table has a column `simulated`.
`protocol_tables` has those of one method on one protocol.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from danet.config.settings import COMPLETE
from danet.metrics import interval
from danet.report.runs import Group
from danet.results import Cost, Metrics


def runs(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per run: its accuracies, what chose its epoch, and where it comes from."""
    rows = []
    for group in groups:
        for run in group.runs:
            metrics, record = run.metrics, run.record
            validation = np.nan if metrics.validation_top1 is None else 100 * metrics.validation_top1
            row = {
                "dataset": metrics.dataset,
                "title": record.title,
                "protocol": metrics.protocol,
                "method": metrics.method,
                "seed": metrics.seed,
                "top1_percent": 100 * metrics.top1,
                "top5_percent": 100 * metrics.top5,
                "validation_top1_percent": validation,
                "epoch": metrics.epoch,
                "samples": metrics.samples,
                **{f"{part}_samples": record.counts.get(part) for part in ("train", "validation", "test")},
                "parameters": metrics.parameters,
                "seconds": metrics.seconds,
                "device": record.device,
                "commit": record.git.commit,
                "uncommitted_changes": record.git.dirty,
                "data_hash": record.data_hash,
                "simulated": metrics.simulated,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def accuracy(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol and method, mean and deviation over its seeds; then one for a protocol's folds together."""
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
    """The folds of each protocol that has more than one of them, method by method."""
    by_family: dict[tuple[str, str, str], list[Group]] = {}
    for group in groups:
        family, _, fold = group.protocol.partition("/")
        if fold:
            by_family.setdefault((group.dataset, family, group.method), []).append(group)
    return [folds for folds in by_family.values() if len(folds) > 1]


def share_right(group: Group) -> pd.Series:
    """The share of seeds in which each test sample got its label, by name and segment."""
    keyed = [run.samples.set_index(["name", "segment"]) for run in group.runs]
    return pd.concat([samples["label"] == samples["prediction"] for samples in keyed], axis=1).mean(axis=1)


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
    """The average over the folds, for each seed that has them all, then mean and deviation over those seeds.

    Top-1 is that of the averaged metrics, all else the folds' mean. None without a seed.
    """
    table, averaged = runs(groups), groups[0].averaged
    folds = len(groups)
    complete = table[table["seed"].isin(list(averaged))].groupby("seed").filter(lambda seed: len(seed) == folds)
    if not len(complete):
        return None
    numbers = ["top5_percent", "validation_top1_percent", "seconds", "parameters"]
    by_seed = complete.groupby("seed")[numbers].mean()
    by_seed["top1_percent"] = [100 * averaged[int(seed)] for seed in by_seed.index]
    by_seed["samples"] = complete.groupby("seed")["samples"].sum()
    first = complete.iloc[0]
    by_seed[["dataset", "title", "method", "simulated"]] = first[["dataset", "title", "method", "simulated"]].to_list()
    by_seed["protocol"] = averaged_title(first["protocol"].partition("/")[0], folds)
    return _over_seeds(by_seed)


def averaged_title(protocol: str, folds: int) -> str:
    """What tables call a protocol whose folds are averaged."""
    return f"{protocol}, {folds} folds averaged"


def multi_view(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol and method tested from several cameras at once: one label for all, or one for each."""
    rows = []
    for group in groups:
        measured = [run.metrics.multi_view for run in group.runs if run.metrics.multi_view is not None]
        if measured:
            shares = pd.DataFrame([{"together": each.top1, "alone": each.top1_alone} for each in measured]) * 100
            row = _named(group) | {"performances": measured[0].performances, "recordings": measured[0].recordings}
            for kind in shares:
                row |= {f"{kind}_mean_percent": shares[kind].mean()}
                row |= {f"{kind}_deviation_percent": shares[kind].std(ddof=1)}
            rows.append(row | {"seeds": len(measured), "simulated": group.simulated})
    return pd.DataFrame(rows)


def epochs(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per protocol and method whose epochs were kept: after the last, the chosen and the best on test."""
    rows = []
    for group in groups:
        measured = [run.metrics.epochs for run in group.runs if run.metrics.epochs is not None]
        if measured:
            row = _named(group) | {"seeds": len(measured)}
            for name in ("last", "chosen", "best_on_test"):
                by_seed = pd.DataFrame([getattr(each, name).model_dump() for each in measured])
                row |= {f"{name}_mean_percent": 100 * by_seed["top1"].mean()}
                row |= {f"{name}_epoch_mean": by_seed["epoch"].mean()}
                row |= {f"{name}_deviation_percent": 100 * by_seed["top1"].std(ddof=1)}
            rows.append(row | {"simulated": group.simulated})
    return pd.DataFrame(rows)


def _named(group: Group) -> dict[str, Any]:
    return {
        "dataset": group.dataset,
        "title": group.runs[0].record.title,
        "protocol": group.protocol,
        "method": group.method,
    }


def ensembles(metrics: Sequence[Metrics], titles: Mapping[str, str]) -> pd.DataFrame:
    """One row per protocol and ensemble, in the order given: mean and deviation over seeds of the averaged scores.

    `weights` are those of the members, mean over seeds, as "0.31 joint, 0.69 bone", and `weights_by` says what chose
    them; both are empty where folds were averaged, each of which has weights of its own.
    """
    shown = ("top1", "samples", "parameters", "seconds", "simulated", "members", "member_weights")
    fields = ("dataset", "protocol", "method", *shown)
    table = pd.DataFrame([{field: getattr(each, field) for field in fields} for each in metrics], columns=fields)
    groups = table.groupby(["dataset", "protocol", "method"], sort=False)
    return pd.DataFrame(
        {
            "title": groups["dataset"].first().map(titles),
            "top1_mean_percent": 100 * groups["top1"].mean(),
            "top1_deviation_percent": 100 * groups["top1"].std(ddof=1),
            "seeds": groups.size(),
            "weights": groups["members"].agg(_mean_weights),
            "weights_by": groups["member_weights"].first(),
            "samples": groups["samples"].first(),
            "parameters": groups["parameters"].first(),
            "seconds_mean": groups["seconds"].mean(),
            "simulated": groups["simulated"].first(),
        }
    ).reset_index()


def _mean_weights(by_seed: pd.Series) -> str:
    means = pd.DataFrame(by_seed.to_list()).mean()
    return ", ".join(f"{weight:.2f} {member}" for member, weight in means.items())


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


def costs(measured: Sequence[Cost]) -> pd.DataFrame:
    """One row per data set and method: operations, speed, memory, and the share of the peak that training reaches."""
    rows = []
    for cost in measured:
        people = f"{cost.people} {'person' if cost.people == 1 else 'people'}"
        row = {
            **cost.model_dump(),
            "clip": f"{cost.frames} frames, {cost.joints} joints, {people}",
            "share_of_peak_percent": 100 * cost.training_gflops / cost.peak_gflops,
            "measured_on": f"{cost.machine}, {cost.threads} threads, {cost.precision}",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def published_column(measured: Group | Metrics) -> str:
    """The column of the published figures that belongs to a protocol."""
    return f"{measured.dataset}_{measured.protocol}"


def compared(group: Group, published: pd.DataFrame) -> pd.DataFrame:
    """A method's accuracy on a real protocol, and the published ones below, best first.

    `difference_points` is the method minus the other. No rows when nobody's figure is known, when the recordings are
    simulated, or when they are not the whole data set.
    """
    columns = ["method", "year", "models_fused", "top1_percent", "top1_deviation_percent", "difference_points"]
    columns += ["parameters_millions", "gflops", "read_in"]
    if not group.comparable or published_column(group) not in published:
        return pd.DataFrame(columns=[*columns, "simulated"])
    names = {"streams": "models_fused", "params_m": "parameters_millions", published_column(group): "top1_percent"}
    others = published.rename(columns=names).dropna(subset="top1_percent")
    ours = _over_seeds(runs([group]))
    members = group.runs[0].record.fused_members
    row = {
        "method": f"{group.method} (this page)" + (f", {members} encoders" if members > 1 else ""),
        "models_fused": 1,
        "top1_percent": ours["top1_mean_percent"],
        "top1_deviation_percent": ours["top1_deviation_percent"],
        "parameters_millions": ours["parameters"] / 1e6,
        "read_in": f"this page, n = {ours['seeds']}",
    }
    others = others.assign(difference_points=row["top1_percent"] - others["top1_percent"])
    others = others.sort_values("top1_percent", ascending=False, kind="stable").to_dict("records")
    return pd.DataFrame([row, *others]).reindex(columns=columns).assign(simulated=False)
