"""Makes the leaderboard: the methods and ensembles of each protocol side by side, and what each of them costs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from danet.config.networks import title_of
from danet.report import figures
from danet.report.columns import LEADERBOARD
from danet.report.runs import Group
from danet.report.sections import CAPTIONS, Files, keep, picture, show
from danet.report.tables import averaged_title, published_column
from danet.results import Cost, Metrics, printable

COLUMNS = (
    "dataset",
    "protocol",
    "method",
    "streams",
    "recipe",
    "seeds",
    "top1_mean",
    "top1_deviation",
    "top1_without_copies",
    "parameters",
    "mmacs",
    "train_seconds",
    "train_clips_per_second",
    "infer_clips_per_second",
    "worst_turn_loss",
    "worst_corruption_loss",
    "calibration_error",
    "epoch_rule",
    "published_top1",
    "repeated_top1",
    "last_epoch_top1",
    "chosen_on_validation_top1",
    "best_on_test_top1",
    "test_choice_points",
    "title",
    "simulated",
)


def leaderboard(
    groups: Sequence[Group],
    combined: Sequence[Metrics],
    costs: Sequence[Cost],
    published: pd.DataFrame,
    repeated: pd.DataFrame,
    titles: Mapping[str, str],
) -> pd.DataFrame:
    """One row per data set, protocol and method, the best of a protocol first: means over seeds.

    Accuracies in percent, losses and calibration in points, `mmacs` in millions. `combined` are the metrics of
    ensembles and of folds averaged, whose time is that of a fold. An ensemble costs what its members cost together.
    """
    measured: dict[tuple[str, str, str], list[Metrics]] = defaultdict(list)
    for metrics in [*(run.metrics for group in groups for run in group.runs), *combined]:
        measured[metrics.dataset, metrics.protocol, metrics.method].append(metrics)
    titles = {**titles, **{group.dataset: group.runs[0].record.title for group in groups}}
    members_of = {_family(metrics): list(metrics.members) for metrics in combined if metrics.members}
    rows = []
    for own in measured.values():
        names = members_of.get(_family(own[0]), [own[0].method])
        members = _runs_of(names, own[0], groups)
        row = _achieved(own) | _spent(own, names, costs) | _made_of(members)
        row |= _chosen_by(own, row["epoch_rule"]) | _of_others(own[0], len(names), members, published, repeated)
        rows.append(row | {"title": titles.get(own[0].dataset, own[0].dataset), "simulated": own[0].simulated})
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = ["simulated", "dataset", "protocol", "top1_mean"]
    return table.sort_values(order, ascending=[True, True, True, False], kind="stable", ignore_index=True)


def _family(metrics: Metrics) -> tuple[str, str, str]:
    """What the folds of a protocol have in common: where they are averaged, they alone name an ensemble's members."""
    return metrics.dataset, metrics.protocol.partition("/")[0], metrics.method


def _runs_of(names: Sequence[str], metrics: Metrics, groups: Sequence[Group]) -> list[Group]:
    """The runs of these methods on that protocol, by method and fold; none where a method has none."""
    found = [
        group
        for group in groups
        if group.dataset == metrics.dataset
        and group.method in names
        and metrics.protocol in (group.protocol, group.protocol.partition("/")[0])
    ]
    return found if {group.method for group in found} == set(names) else []


def _achieved(own: Sequence[Metrics]) -> dict[str, Any]:
    first, top1 = own[0], pd.Series([100 * metrics.top1 for metrics in own])
    return {
        "dataset": first.dataset,
        "protocol": averaged_title(first.protocol, len(first.folds)) if first.folds else first.protocol,
        "method": first.method,
        "seeds": len(own),
        "top1_mean": top1.mean(),
        "top1_deviation": top1.std(ddof=1),
        "top1_without_copies": 100 * _mean(metrics.top1_without_copies for metrics in own),
        "worst_turn_loss": 100 * _mean(_worst_turn(metrics) for metrics in own),
        "worst_corruption_loss": 100 * _mean(_worst_corruption(metrics) for metrics in own),
        "calibration_error": 100 * _mean(metrics.calibration.error for metrics in own if metrics.calibration),
    }


def _worst_turn(metrics: Metrics) -> float | None:
    shares = dict(zip(metrics.turned.degrees, metrics.turned.top1, strict=True)) if metrics.turned else {}
    return shares[0] - min(shares.values()) if 0 in shares else None


def _worst_corruption(metrics: Metrics) -> float | None:
    return max((corruption.plain - corruption.top1 for corruption in metrics.corruptions), default=None)


def _spent(own: Sequence[Metrics], names: Sequence[str], costs: Sequence[Cost]) -> dict[str, Any]:
    first = own[0]
    by_method = {cost.method: cost for cost in costs if cost.dataset == first.dataset}
    members = [by_method[name] for name in names if name in by_method]
    row: dict[str, Any] = {
        "parameters": first.parameters,
        "train_seconds": _mean(metrics.seconds / max(len(metrics.folds), 1) for metrics in own),
    }
    if len(members) == len(names):
        row["mmacs"] = sum(cost.inference_mmacs for cost in members)
        row["train_clips_per_second"] = 1 / sum(1 / cost.trains_a_second for cost in members)
        row["infer_clips_per_second"] = 1 / sum(1 / cost.infers_a_second for cost in members)
    return row


def _made_of(members: Sequence[Group]) -> dict[str, str]:
    streams = [_setting(group, "clips", "streams") for group in members]
    known = all(isinstance(names, list) for names in streams)
    return {
        "streams": "+".join(dict.fromkeys(printable(str(name)) for names in streams for name in names))
        if known
        else "",
        "recipe": _common(printable(str(_setting(group, "recipe") or "shared")) for group in members),
        "epoch_rule": _common(
            "last" if run.metrics.validation_top1 is None else "validation" for group in members for run in group.runs
        ),
    }


def _chosen_by(own: Sequence[Metrics], rule: str) -> dict[str, float]:
    """What the last epoch, the one chosen on validation, and the one that is best on test have, and the last's gain."""
    kept = [metrics.epochs for metrics in own if metrics.epochs]
    best, taken = (100 * _mean(getattr(each, name).top1 for each in kept) for name in ("best_on_test", "chosen"))
    return {
        "last_epoch_top1": 100 * _mean(each.last.top1 for each in kept),
        "chosen_on_validation_top1": taken if rule == "validation" else np.nan,
        "best_on_test_top1": best,
        "test_choice_points": best - taken,
    }


def _of_others(
    metrics: Metrics, fused: int, members: Sequence[Group], published: pd.DataFrame, repeated: pd.DataFrame
) -> dict[str, str]:
    """What others tell of these networks, as many of them fused: published, and by their input what was repeated."""
    title = title_of([str(_setting(group, "model", "name")) for group in members])
    if not title or not all(group.comparable for group in members):
        return {}
    alike = [frame[(frame["method"] == title) & (frame["streams"] == fused)] for frame in (published, repeated)]
    column = published_column(metrics)
    told = alike[0][column].dropna() if column in published else []
    trials = alike[1][(alike[1]["dataset"] == metrics.dataset) & (alike[1]["protocol"] == metrics.protocol)]
    by_input = trials.dropna(subset="repeated").groupby("input", sort=False)["repeated"]
    return {
        "published_top1": _listed(told),
        "repeated_top1": "; ".join(f"{name} {_listed(figures)}" for name, figures in by_input),
    }


def _listed(figures: Iterable[float]) -> str:
    return ", ".join(f"{figure:g}" for figure in figures)


def _setting(group: Group, *names: str) -> Any:
    """A setting of the runs; None where it is not there."""
    value: Any = group.runs[0].record.settings
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _common(values: Iterable[str]) -> str:
    """What all of them are, "mixed" where they differ, empty where there are none."""
    found = set(values)
    return "mixed" if len(found) > 1 else "".join(found)


def _mean(values: Iterable[float | None]) -> float:
    """The mean of those that are known; NaN where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else np.nan


def section(table: pd.DataFrame, files: Files) -> dict:
    """The leaderboard of real and of simulated protocols, apart, and accuracy against cost for each protocol."""
    csv = keep(files, "leaderboard", table)
    shown: dict = {"real": None, "simulated": None, "figures": []}
    for kind, caption in CAPTIONS.items():
        own = table[table["simulated"] == (kind == "simulated")].reset_index(drop=True)
        if len(own):
            known = own.replace("", None).notna().any()
            columns = [column for column in LEADERBOARD if known[column.key]]
            shown[kind] = show(files, f"leaderboard-{kind}", own, columns, caption=f"Leaderboard. {caption}")
    for (dataset, protocol), own in table.groupby(["dataset", "protocol"], sort=False):
        name = f"leaderboard--{dataset}--{protocol.partition(',')[0]}"
        of = f"{own['title'].iloc[0]}, {protocol}"
        svg = figures.against_cost(own, name, of) if len(own) > 1 and "/" not in protocol else None  # of no fold alone
        if svg:
            label = f"Accuracy against cost, {of}, {'SIMULATED' if own['simulated'].all() else 'real'} recordings"
            shown["figures"].append(picture(name, "leaderboard", svg, label, csv, files) | {"of": label})
    return shown
