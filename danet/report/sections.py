"""Makes the sections of the page, as plain dicts for the template.

Each function also adds the files that lie beside the page (path below its folder: text) to `files`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from danet.config.settings import COMPLETE
from danet.datasets.dataset import Dataset
from danet.io.csv_text import as_csv
from danet.report import attention, figures, protocol_tables, tables
from danet.report import preparation as preparation_tables
from danet.report.columns import (
    ABLATION,
    ABLATION_RUNS,
    ABLATION_WITHOUT_COPIES,
    ACCURACY,
    AGREEMENT,
    AUDIT,
    COMPARED,
    CONFUSED,
    COST,
    ENSEMBLES,
    EPOCHS,
    MULTI_VIEW,
    PER_ACTION,
    ROBUSTNESS,
    RUNS,
    SAMPLES,
    SET_ASIDE,
    TOP1_BAR,
    UNEXPECTED,
)
from danet.report.html_table import Column, Table, as_markdown, present
from danet.report.protocol_tables import FACTORS
from danet.report.runs import Group, Preparation, Run
from danet.report.svg import inlined, width_pixels
from danet.results import Cost, Metrics

Files = dict[str, str]

CAPTIONS = {"real": "Real recordings", "simulated": "SIMULATED recordings - not a result about people"}
MOST_SET_ASIDE = 200
MOST_PAIRS = 25


def keep(files: Files, name: str, frame: pd.DataFrame) -> str:
    """Adds a table as a CSV file and returns its path below the page's folder."""
    path = f"tables/{name}.csv"
    files[path] = as_csv(frame)
    return path


def show(files: Files, name: str, frame: pd.DataFrame, columns: Sequence[Column], **options: Any) -> Table:
    """Adds a table as a CSV and a Markdown file, and returns it for the page; `options` as those of `present`."""
    whole = frame.drop(columns=options["mark"]) if options.get("mark") else frame
    table = present(frame, columns, csv=keep(files, name, whole), **options)
    files[table.markdown] = as_markdown(table)
    return table


def summary(
    groups: Sequence[Group],
    ensembles: Sequence[Metrics],
    published: pd.DataFrame,
    titles: Mapping[str, str],
    files: Files,
) -> dict:
    """Accuracy of real and of simulated protocols, apart, and the real ones among the published figures."""
    table = tables.accuracy(groups)
    keep(files, "accuracy", table)
    section: dict = {
        "real": None,
        "simulated": None,
        "compared": [],
        "without_figures": [],
        "parts": [],
        "multi_view": None,
        "ensembles": None,
    }
    epochs = tables.epochs(groups)
    section["epochs"] = show(files, "epochs", epochs, EPOCHS, caption="Which epoch is taken") if len(epochs) else None
    section["crossed"] = crossed(groups, files)
    views = tables.multi_view(groups)
    if len(views):
        section["multi_view"] = show(files, "multi-view", views, MULTI_VIEW, caption="Several cameras at once")
    averaged = tables.ensembles(ensembles, titles)
    if len(averaged):
        section["ensembles"] = show(files, "ensembles", averaged, ENSEMBLES, caption="Ensembles of methods")
    for kind, caption in CAPTIONS.items():
        own = table[table["simulated"] == (kind == "simulated")] if len(table) else table
        if len(own):
            section[kind] = show(files, f"accuracy-{kind}", own, ACCURACY, caption=caption)
    for group in groups:
        frame = tables.compared(group, published)
        if len(frame):
            frame = frame.assign(ours=frame["year"].isna())
            name = f"{group.slug}--published"
            section["compared"].append(show(files, name, frame, COMPARED, caption=group.title, mark="ours"))
        elif not group.simulated:
            name = f"{group.runs[0].record.title}, {group.protocol}"
            known = tables.published_column(group) in published
            section["parts" if known else "without_figures"].append(f"{name} ({group.lacks})" if known else name)
    for kind in ("parts", "without_figures"):
        section[kind] = list(dict.fromkeys(section[kind]))  # of several methods named once
    return section


def crossed(groups: Sequence[Group], files: Files) -> list[Table]:
    """Accuracy by what was trained on and what was tested on, for each protocol of several folds."""
    shown = []
    for folds in tables.families(groups):
        frame = protocol_tables.by_fold_and_view(folds)
        if frame is not None:
            family = folds[0].protocol.partition("/")[0]
            views = [Column(name, str(name), "percent", bar=True) for name in frame.columns[1:-1]]
            columns = (Column("fold", "Trained on"), *views)
            method = folds[0].method
            caption = f"{folds[0].runs[0].record.title}, {family}, {method}: top-1 % by view of the test samples"
            name = f"{folds[0].dataset}--{family}--{method}--views"
            shown.append(show(files, name, frame, columns, caption=caption))
    return shown


def ablation_section(runs: Sequence[Metrics], titles: Mapping[str, str], files: Files) -> Table | None:
    """What each piece of the network is worth; None when no ablation was asked for."""
    frame = tables.ablation(runs, titles)
    if not len(frame):
        return None
    whole = frame.assign(complete=frame["method"] == COMPLETE)
    columns: tuple[Column, ...] = (*ABLATION, *ABLATION_RUNS)
    note = ""
    if any(run.copies_of_training for run in runs):
        columns = (*ABLATION, *ABLATION_WITHOUT_COPIES, *ABLATION_RUNS)
        note = "Copies, test samples that show what a training sample shows, tell how well that is known by heart."
    return show(files, "ablation", whole, columns, caption="Ablation", mark="complete", note=note)


def cost_section(costs: Sequence[Cost], files: Files) -> Table | None:
    """What each method costs on each data set; None where it was not measured."""
    frame = tables.costs(costs)
    return show(files, "cost", frame, COST, caption="Cost") if len(frame) else None


def group_section(group: Group, datasets: Mapping[str, Dataset], files: Files) -> dict:
    """Figures and tables of one method on one protocol."""
    known = group.dataset in datasets
    protocol = datasets[group.dataset].protocols.get(group.protocol) if known else None
    shown = group_tables(group, files)
    first = group.runs[0]
    return {
        "id": group.slug,
        "title": group.title,
        "about": protocol.about[:1].upper() + protocol.about[1:] if protocol else "",
        "simulated": group.simulated,
        "seeds": len(group.runs),
        "samples": first.metrics.samples,
        "accuracy": tables.accuracy([group]).iloc[0],
        "differing": group.differing,
        "left_out": first.record.settings.get("split", {}).get("leave_out", []),
        "coverage": group.coverage,
        "near_chance": group.near_chance,
        "copies": first.metrics.copies_of_training,
        "top1_without_copies": group.top1_without_copies,
        "validated": all(run.metrics.validation_top1 is not None for run in group.runs),
        "confusion": confusion_figure(group, files),
        "small": small_figures(group, shown, files),
        "per_action": shown["per-action"],
        "confused": shown["confused-pairs"],
        "by_factor": {factor: shown[f"by-{factor}"] for factor in FACTORS if f"by-{factor}" in shown},
        "robustness": shown.get("robustness"),
        "attention": attention_section(group, files),
    }


def group_tables(group: Group, files: Files) -> dict[str, Table]:
    """The tables of one method on one protocol, by name; those of what was not measured are left out."""
    by_action = protocol_tables.per_action(group)
    shown = [column for column in PER_ACTION if column.key in by_action]
    frames = {
        "per-action": (by_action, shown, "Accuracy by action"),
        "confused-pairs": (protocol_tables.confused(group), CONFUSED, "Most confused pairs"),
        "robustness": (protocol_tables.robustness(group), ROBUSTNESS, "Accuracy on corrupted recordings"),
    }
    for factor in FACTORS:
        columns = (Column(factor, factor.capitalize(), "text" if factor == "view" else "number"), SAMPLES, TOP1_BAR)
        frames[f"by-{factor}"] = (protocol_tables.by_factor(group, factor), columns, f"Accuracy by {factor}")
    most = {"confused-pairs": MOST_PAIRS}
    return {
        name: show(files, f"{group.slug}--{name}", frame, columns, caption=caption, most=most.get(name))
        for name, (frame, columns, caption) in frames.items()
        if frame is not None
    }


def confusion_figure(group: Group, files: Files) -> dict:
    """The confusion matrix, and its numbers."""
    csv = keep(files, f"{group.slug}--confusion", protocol_tables.confusion(group))
    return figure(group, "confusion", figures.confusion(group), csv, files)


def small_figures(group: Group, shown: Mapping[str, Table], files: Files) -> list[dict]:
    """The figures that stand side by side; those of what was not measured are left out."""
    curves = keep(files, f"{group.slug}--curves", protocol_tables.curves(group))
    drawn = {measure: (figures.curves(group, measure), curves) for measure in figures.MEASURES}
    by_view = protocol_tables.by_factor(group, "view")
    if by_view is not None and len(by_view) > 1:
        drawn["by-view"] = (figures.by_view(group, by_view), shown["by-view"].csv)
    turned, corrupted = protocol_tables.turned(group), protocol_tables.robustness(group)
    if turned is not None:
        drawn["turned"] = (figures.turned(group, turned), keep(files, f"{group.slug}--turned", turned))
    if corrupted is not None:
        drawn["robustness"] = (figures.robustness(group, corrupted), shown["robustness"].csv)
    calibrated = protocol_tables.calibration(group)
    if calibrated is not None:
        csv = keep(files, f"{group.slug}--calibration", calibrated)
        drawn["calibration"] = (figures.calibration(group, calibrated), csv)
    return [figure(group, name, svg, csv, files) for name, (svg, csv) in drawn.items()]


def attention_section(group: Group, files: Files) -> dict | None:
    """What the networks attend to: how far two views agree over all seeds, and the first seed's maps on skeletons.

    None for a network without maps.
    """
    by_seed = attention.read_attention(group)
    first = by_seed[0]
    if not first.tokens:
        return None
    frame = attention.agreement(group, by_seed)
    agreed = None
    if len(frame):
        caption = "Agreement of attention between views"
        agreed = show(files, f"{group.slug}--attention-agreement", frame, AGREEMENT, caption=caption)
    csv = keep(files, f"{group.slug}--attention", attention.shares(group, first))
    performances: list[dict] = []
    for shown, name in zip(first.shown, attention.slugs(first.shown), strict=True):
        still = figure(group, name, attention.skeletons(group, first, shown), csv, files)
        moving = figure(group, f"{name}-moving", attention.moving(group, first, shown), csv, files)
        pairs = None
        if shown.pair_attention is not None:
            between = keep(files, f"{group.slug}--{name}-pairs", attention.pair_shares(group, first, shown))
            pairs = figure(group, f"{name}-pairs", attention.pair_map(group, first, shown), between, files)
        performances.append({"action": shown.action, "still": still, "moving": moving, "pairs": pairs})
    return {"agreement": agreed, "performances": performances, "seed": group.runs[0].metrics.seed}


def figure(group: Group, name: str, svg: str, csv: str, files: Files) -> dict:
    """Adds a figure of a method on a protocol as a file and returns it for the page."""
    label = f"{name.replace('-', ' ')}, {group.title}, {'SIMULATED' if group.simulated else 'real'} recordings"
    return picture(f"{group.slug}--{name}", name, svg, label, csv, files)


def picture(file: str, name: str, svg: str, label: str, csv: str, files: Files) -> dict:
    """Adds a figure as a file and returns it for the page; `label` is its spoken name, `csv` its numbers' path."""
    path = f"figures/{file}.svg"
    files[path] = svg
    return {"name": name, "svg": Markup(inlined(svg, label)), "path": path, "csv": csv, "width": width_pixels(svg)}


def preparation_section(preparation: Preparation, files: Files) -> dict:
    """What was set aside and dropped from one data set."""
    name = preparation.dataset
    counts = preparation_tables.reasons(preparation)
    columns = (Column("reason", "Reason"), Column("recordings", "Recordings", "integer"))
    caption = "Set aside, by reason"
    reasons = show(files, f"{name}--set-aside-reasons", counts, columns, caption=caption, totals=("recordings",))
    aside = preparation_tables.set_aside(preparation)
    caption = "Recordings set aside"
    listed = show(files, f"{name}--set-aside", aside, SET_ASIDE, caption=caption, most=MOST_SET_ASIDE)
    audit = preparation_tables.audit(preparation)
    counted = [column.key for column in AUDIT if column.kind == "integer" and column.key != "people"]
    caption = "Bodies kept and dropped, by action"
    totals = show(files, f"{name}--audit-by-action", audit, AUDIT, caption=caption, totals=counted)
    odd = preparation_tables.unexpected(preparation)
    caption = "Samples with more or fewer actors than their action has people"
    unexpected = show(files, f"{name}--unexpected-actors", odd, UNEXPECTED, caption=caption, most=MOST_SET_ASIDE)
    return {
        "id": f"{name}--preparation",
        "title": preparation.title,
        "simulated": preparation.simulated,
        "prepared": len(preparation.audit),
        "set_aside": len(preparation.set_aside),
        "doubts": preparation_tables.doubts(preparation),
        "reasons": reasons,
        "listed": listed,
        "audit": totals,
        "retimed": int((preparation.audit["shifted"] > 0).sum()),
        "unexpected": unexpected,
    }


def reproduce(groups: Sequence[Group], files: Files) -> dict:
    """The table of all runs, and for each what it takes to run it again."""
    table = tables.runs(groups)
    shown = show(files, "runs", table, RUNS, caption="All runs") if len(table) else None
    runs = [_again(group, run) for group in groups for run in group.runs]
    return {"table": shown, "runs": runs}


def _again(group: Group, run: Run) -> dict:
    metrics, record = run.metrics, run.record
    target = f"results/{metrics.dataset}/{metrics.protocol}/{metrics.method}/seed{metrics.seed}/metrics.json"
    dirty = {True: "with uncommitted changes", False: "clean", None: "state unknown"}[record.git.dirty]
    facts = {
        "Commit": f"{record.git.commit}, {dirty}" if record.git.commit else "not known",
        "Seed": str(metrics.seed),
        "Data hash": record.data_hash,
        "Device": record.device,
        "Layout": record.layout if isinstance(record.layout, str) else record.layout["name"],
        "Samples": ", ".join(f"{part} {count:,}" for part, count in record.counts.items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items())),
    }
    return {
        "title": f"{group.title}, seed {metrics.seed}",
        "simulated": metrics.simulated,
        "command": f"snakemake {target} --cores 2",
        "facts": facts,
        "settings": json.dumps(record.settings, indent=2, ensure_ascii=False),
        "code": record.code,
    }
