"""Draws figures as SVG text, one function each. Their numbers are the tables of the same names."""

import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from danet.report import protocol_tables
from danet.report.labels import name_points
from danet.report.runs import Group
from danet.report.svg import INK, style, to_svg

BLUE = "#2f78c4"  # both legible on white and on near-black
ORANGE = "#c8701f"
CELL = "#1f62b0"
NUMBERED = 20  # up to this many actions a cell shows its number
FAINTEST_PERCENT = 0.5  # cells below are not drawn: nobody could see them
WHITE_TEXT_FROM = 70  # percent; lighter cells bear the page's own ink
LONGEST_NAME = 42  # letters
MEASURES = {"loss": ("train_loss", "validation_loss"), "accuracy": ("train_top1_percent", "validation_top1_percent")}

COSTS = {"mmacs": "million multiply-accumulates a clip", "train_seconds": "training on this machine, seconds"}


def heading(group: Group, what: str, width: int = 100) -> str:
    """A figure's title: what it shows, of which protocol, and whether the recordings are simulated."""
    return titled(what, group.title, group.simulated, width)


def titled(what: str, of: str, simulated: bool, width: int = 100) -> str:
    """The same for any text that says of what."""
    label = "SIMULATED recordings" if simulated else "real recordings"
    return f"{what} - {label}\n{textwrap.fill(of, width)}"


def shortened(name: str) -> str:
    """A name of at most LONGEST_NAME letters."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def confusion(group: Group) -> str:
    """The confusion matrix: rows are actions and add to 100 percent, columns are what they were taken for."""
    table = protocol_tables.confusion(group)
    drawn = table[(table["count"] > 0) & (table["share_percent"] >= FAINTEST_PERCENT)]
    size = len(group.actions)
    numbered = size <= NUMBERED
    cell = 0.4 if numbered else 0.155  # inches
    names = [shortened(name) for name in group.actions]
    tooltips = {}
    with style():
        figure = Figure(figsize=(size * cell, size * cell))
        axes = figure.add_axes((0, 0, 1, 1))
        for row in drawn.itertuples():
            key = f"cell-{row.label}-{row.prediction}"
            corner = (row.prediction - 0.5, row.label - 0.5)
            alpha = row.share_percent / 100
            axes.add_patch(Rectangle(corner, 1, 1, color=CELL, alpha=alpha, linewidth=0, clip_on=False, gid=key))
            of = round(100 * row.count / row.share_percent)
            tooltips[key] = (
                f"{row.action} taken for {row.predicted_action}: {row.count} of {of} ({row.share_percent:.1f} %)"
            )
            if numbered:
                ink = "#ffffff" if row.share_percent >= WHITE_TEXT_FROM else INK
                number = f"{row.share_percent:.1f}"
                axes.text(row.prediction, row.label, number, color=ink, size=7, ha="center", va="center")
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal", xlabel="taken for", ylabel="action")
        letter = 8 if numbered else 6.5
        axes.set_xticks(range(size), names, rotation=90, rotation_mode="anchor", ha="right", va="center", size=letter)
        axes.set_yticks(range(size), names, size=letter)
        axes.tick_params(length=0, pad=4)
        for boundary in range(size + 1):
            for line in (axes.axvline, axes.axhline):
                line(boundary - 0.5, color=INK, alpha=0.09, linewidth=0.5, clip_on=False)
        axes.spines[:].set_visible(False)
        axes.set_title(heading(group, "Confusion of actions, percent of each row", 60), pad=10)
        return to_svg(figure, f"{group.slug}--confusion", tooltips)


def curves(group: Group, measure: str) -> str:
    """Loss or accuracy per epoch, training and validation, one line per seed; a ring marks the chosen epoch."""
    table = protocol_tables.curves(group)
    train, validation = MEASURES[measure]
    with style():
        figure = Figure(figsize=(4.9, 3.1))
        axes = figure.add_subplot()
        for column, color, name, dashes in (
            (train, ORANGE, "training", (4, 1.5)),
            (validation, BLUE, "validation", ()),
        ):
            label: str | None = name
            for _, run in table.dropna(subset=column).groupby("seed"):
                look = {"marker": "."} if len(run) == 1 else {"dashes": dashes}
                axes.plot(run["epoch"], run[column], color=color, linewidth=1.2, alpha=0.85, label=label, **look)
                label = None
        marked = validation if table[validation].notna().any() else train
        chosen = table[table["chosen"]].dropna(subset=marked)
        if len(chosen):
            axes.plot(
                chosen["epoch"], chosen[marked], "o", color=INK, fillstyle="none", markersize=6, label="chosen epoch"
            )
        axes.set(xlabel="epoch", ylabel="loss" if measure == "loss" else "top-1 accuracy, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.set_ylim(bottom=0, top=None if measure == "loss" else 102)
        axes.grid(axis="y")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize=8)
        axes.set_title(heading(group, f"{measure.capitalize()}, n = {len(group.runs)}", 48), pad=10)
        return to_svg(figure, f"{group.slug}--{measure}")


def by_view(group: Group, table: pd.DataFrame) -> str:
    """Accuracy by view of the test samples: mean over seeds, with one deviation to either side when there is one."""
    with style():
        figure = Figure(figsize=(4.9, 0.75 + 0.32 * len(table)))
        axes = figure.add_subplot()
        places = range(len(table))
        spread = table["top1_deviation_percent"].fillna(0)
        axes.hlines(places, table["top1_mean_percent"] - spread, table["top1_mean_percent"] + spread, color=BLUE)
        axes.plot(table["top1_mean_percent"], places, "o", color=BLUE, markersize=5)
        axes.set_yticks(places, [f"{row.view} ({row.samples:,})" for row in table.itertuples()])
        axes.set(xlabel="top-1 accuracy, %", ylabel="view (samples)", xlim=(0, 102), ylim=(len(table) - 0.5, -0.5))
        axes.grid(axis="x")
        axes.set_title(heading(group, f"Accuracy by view, n = {len(group.runs)}", 48), pad=10)
        return to_svg(figure, f"{group.slug}--by-view")


def turned(group: Group, table: pd.DataFrame) -> str:
    """Accuracy on test samples turned about the vertical: mean over seeds, and one deviation to either side."""
    with style():
        figure = Figure(figsize=(4.9, 3.1))
        axes = figure.add_subplot()
        mean, spread = table["top1_mean_percent"], table["top1_deviation_percent"].fillna(0)
        axes.fill_between(table["degrees"], mean - spread, mean + spread, color=BLUE, alpha=0.25, linewidth=0)
        axes.plot(table["degrees"], mean, ".-", color=BLUE)
        axes.set(xlabel="turned about the vertical, degrees", ylabel="top-1 accuracy, %", ylim=(0, 102))
        axes.set_xticks(range(-180, 181, 60))
        axes.grid(axis="y")
        axes.set_title(heading(group, f"Accuracy against turn, n = {len(group.runs)}", 48), pad=10)
        return to_svg(figure, f"{group.slug}--turned")


def robustness(group: Group, table: pd.DataFrame) -> str:
    """What is lost on corrupted test samples, in points; the mean over seeds."""
    with style():
        figure = Figure(figsize=(4.9, 0.9 + 0.22 * len(table)))
        axes = figure.add_subplot()
        places = range(len(table))
        axes.barh(places, table["difference_points"], height=0.7, color=BLUE, alpha=0.8)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_yticks(places, [f"{row.what}: {row.level:g} {row.unit}" for row in table.itertuples()], size=8)
        axes.set(xlabel="change of top-1 accuracy, points", ylim=(len(table) - 0.5, -0.5))
        axes.grid(axis="x")
        axes.set_title(heading(group, f"Corrupted recordings, n = {len(group.runs)}", 48), pad=10)
        return to_svg(figure, f"{group.slug}--robustness")


def calibration(group: Group, table: pd.DataFrame) -> str:
    """Accuracy against confidence, one line per seed: on the diagonal the network knows how often it is right."""
    with style():
        figure = Figure(figsize=(3.6, 3.4))
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color=INK, alpha=0.4, linewidth=0.8, dashes=(4, 2))
        for _, run in table.groupby("seed"):
            axes.plot(100 * run["confidence"], 100 * run["accuracy"], ".-", color=BLUE, linewidth=1, alpha=0.8)
        axes.set(xlabel="confidence, %", ylabel="top-1 accuracy, %", xlim=(0, 102), ylim=(0, 102), aspect="equal")
        axes.grid()
        axes.set_title(heading(group, f"Calibration, n = {len(group.runs)}", 40), pad=10)
        return to_svg(figure, f"{group.slug}--calibration")


def against_cost(table: pd.DataFrame, name: str, of: str) -> str | None:
    """Accuracy against what it costs, a named point a method, one deviation to either side; None without a cost.

    `table` holds the rows of one protocol in the leaderboard; where a cost is not known, the point is left out.
    """
    panels = {cost: table[table[cost] > 0] for cost in COSTS if (table[cost] > 0).any()}
    if not panels:
        return None
    with style():
        figure = Figure(figsize=(4.9 * len(panels), 4.4))
        for axes, (cost, own) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
        ):
            spread = own["top1_deviation"].fillna(0)
            axes.errorbar(own[cost], own["top1_mean"], spread, fmt="o", color=BLUE, markersize=5, elinewidth=1.2)
            axes.set(xscale="log", xlabel=COSTS[cost])
            wide = own[cost].max() > 10 * own[cost].min()
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if wide else (1, 1.2, 1.5, 2, 3, 4, 5, 7)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.margins(0.15, 0.12)
            axes.grid()
        figure.axes[0].set_ylabel("top-1 accuracy, %")
        figure.axes[0].set_title(titled("Accuracy against cost", of, bool(table["simulated"].all())), pad=10)
        figure.subplots_adjust(wspace=0.08)
        for axes, (cost, own) in zip(figure.axes, panels.items(), strict=True):
            places = list(zip(own[cost], own["top1_mean"], strict=True))
            names = [shortened(method) for method in own["method"]]
            name_points(axes, places, names, own["top1_deviation"].fillna(0).tolist())
        return to_svg(figure, name)
