"""Draws what a network attends to: tables, figures of skeletons and moving skeletons.

A joint's relevance in a frame is its share of the attention, less that of the least attended joint of its clip, times
the share of the patch that the frame lies in.
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from pydantic import Field, model_validator

from danet.config.base import check
from danet.errors import UserError
from danet.io.files import read_json
from danet.report.figures import BLUE, CELL, heading
from danet.report.runs import Group
from danet.report.svg import DARK_INK, INK, style, to_svg
from danet.results import FilePart, Share, Text
from danet.skeleton.layout import Layout, find_layout

GREEN = "#2c9a4b"
FRAMES_DRAWN = 8
LARGEST = 0.13  # radius of the most relevant joint, as a share of the height of what is drawn
LONGEST_SLUG = 60  # bytes: a file's name has at most 255, and says more than the action
SECONDS = 4  # that a moving skeleton takes


class Agreement(FilePart):
    """Correlation of attention maps: of two views of one performance, and of two that show different actions."""

    pairs: int = Field(ge=1)
    same_performance: float = Field(ge=-1.001, le=1.001)
    other_actions: float | None = Field(ge=-1.001, le=1.001)


class View(FilePart):
    """One recording: `joints` (A, T, V, 3) as its camera saw them, and the shares of attention."""

    name: Text
    view: Text
    part: str
    prediction: Text
    score: Share
    joints: list[list[list[tuple[float, float, float]]]] = Field(min_length=1)
    joint_attention: list[Share]
    patch_attention: list[Share] = Field(min_length=1)

    @property
    def places(self) -> np.ndarray:
        """(A, T, V, 3) float64 in metres."""
        return np.array(self.joints)

    def relevance(self, joints: int) -> np.ndarray:
        """(T, V), 1 for the most relevant joint in the most relevant frames."""
        shares = np.array(self.joint_attention[:joints])
        joint = (shares - shares.min()) / max(float(np.ptp(shares)), 1e-9)
        patch = np.array(self.patch_attention) / max(*self.patch_attention, 1e-9)
        frames = self.places.shape[1]
        return patch[np.arange(frames) * len(patch) // frames, None] * joint


class Shown(FilePart):
    """One performance, seen from one or two views; `pair_attention`: how much the first attends to the last one."""

    action: Text
    performance: str
    views: list[View] = Field(min_length=1)
    pair_attention: list[list[Share]] | None


class Attention(FilePart):
    """`attention.json` of one run."""

    layout: str | dict[str, Any]
    tokens: list[Text]
    agreement: dict[str, Agreement | None]
    shown: list[Shown]

    @property
    def body(self) -> Layout:
        """The joints and bones of the recordings."""
        return find_layout(self.layout)

    @model_validator(mode="after")
    def _fits(self) -> "Attention":
        try:
            size = self.body.size
        except UserError as error:
            raise ValueError(str(error)) from None
        for view in (view for shown in self.shown for view in shown.views):
            if (
                view.places.ndim != 4
                or view.places.shape[2:] != (size, 3)
                or len(view.joint_attention) != len(self.tokens)
            ):
                raise ValueError(f"expected {size} joints and {len(self.tokens)} shares of each frame of {view.name}")
        return self


def read_attention(group: Group) -> list[Attention]:
    """What each run of a group attends to. Errors: UserError."""
    paths = [Path(run.folder) / "attention.json" for run in group.runs]
    return [check(Attention, read_json(path), str(path)) for path in paths]


def agreement(group: Group, by_seed: Sequence[Attention]) -> pd.DataFrame:
    """One row for joints and one for patches: mean correlation of two views' maps, and its deviation over seeds."""
    rows = []
    for what in ("joints", "patches"):
        measured = [value for attention in by_seed if (value := attention.agreement.get(what)) is not None]
        if measured:
            same = pd.Series([each.same_performance for each in measured])
            different = pd.Series([each.other_actions for each in measured], dtype=float)
            row = {"map": f"over {what}", "pairs": measured[0].pairs, "correlation": same.mean()}
            row |= {"correlation_deviation": same.std(ddof=1), "other_actions": different.mean()}
            rows.append(row | {"other_actions_deviation": different.std(ddof=1), "seeds": len(measured)})
    return pd.DataFrame(rows).assign(simulated=group.simulated)


def shares(group: Group, attention: Attention) -> pd.DataFrame:
    """One row per recording shown and joint, part or patch: the share of the attention that it receives."""
    rows = []
    for shown in attention.shown:
        for view in shown.views:
            named = {"action": shown.action, "name": view.name, "view": view.view, "part": view.part}
            for token, share in zip(attention.tokens, view.joint_attention, strict=True):
                rows.append(named | {"kind": "space", "of": token, "share": share})
            for patch, share in enumerate(view.patch_attention):
                rows.append(named | {"kind": "time", "of": f"patch {patch}", "share": share})
    return pd.DataFrame(rows).assign(simulated=group.simulated)


def pair_shares(group: Group, attention: Attention, shown: Shown) -> pd.DataFrame:
    """One row per two tokens: the share of its attention that one of the first view gives to one of the last."""
    assert shown.pair_attention is not None
    size = len(attention.tokens)
    tokens = np.array(attention.tokens, object)
    values = np.array(shown.pair_attention)
    columns = {"attends": np.repeat(tokens, size), "to": np.tile(tokens, size), "share": values.ravel()}
    return pd.DataFrame(columns).assign(
        first=shown.views[0].name, second=shown.views[-1].name, simulated=group.simulated
    )


def slug(shown: Shown) -> str:
    """A name for files, of at most LONGEST_SLUG bytes of the action's."""
    whole = re.sub(r"\W+", "-", shown.action.lower()).strip("-")
    return "attention-" + whole.encode()[:LONGEST_SLUG].decode(errors="ignore").strip("-")


def slugs(shown: Sequence[Shown]) -> list[str]:
    """A name for files of each performance; where one was given already, a number follows it."""
    given: dict[str, None] = {}
    for each in shown:
        first, number = slug(each), 1
        name = first
        while name in given:
            number += 1
            name = f"{first}-{number}"
        given[name] = None
    return list(given)


def skeletons(group: Group, attention: Attention, shown: Shown) -> str:
    """Frames of the clip, a row for each view, as its camera saw them; an ellipse at each joint says its relevance.

    Under each row stands what share of the attention each patch of frames receives.
    """
    layout = attention.body
    rows = len(shown.views)
    with style():
        figure = Figure(figsize=(9.6, 2.5 * rows))
        grid = figure.add_gridspec(3 * rows, 1, height_ratios=[6, 1, 0.7] * rows, hspace=0)
        for row, view in enumerate(shown.views):
            axes = figure.add_subplot(grid[3 * row])
            _draw_row(axes, layout, view)
            place = f"camera view {view.view}, {'test' if view.part == 'test' else 'training'} sample {view.name}"
            axes.set_title(f"{place}: taken for {view.prediction} ({100 * view.score:.0f} %)", size=8, pad=3)
            if row == 0:
                figure.suptitle(
                    heading(group, f"Attention: {shown.action}", 90), x=0.125, ha="left", size=9, y=1.06 - 0.03 * rows
                )
            under = figure.add_subplot(grid[3 * row + 1])
            under.bar(
                np.arange(len(view.patch_attention)) + 0.5, view.patch_attention, width=0.9, color=BLUE, alpha=0.6
            )
            under.set(
                xlim=(0, len(view.patch_attention)), ylim=(0, max(max(each.patch_attention) for each in shown.views))
            )
            under.set_xticks([])
            under.set_yticks([])
            under.spines[["left"]].set_visible(False)
        return to_svg(figure, f"{group.slug}--{slug(shown)}")


def _draw_row(axes, layout: Layout, view: View) -> None:
    places, relevance = view.places, view.relevance(layout.size)
    count = places.shape[1]
    frames = ((np.arange(FRAMES_DRAWN) + 0.5) * count / FRAMES_DRAWN).astype(int) % count
    flat = places[..., :2]
    low, high = flat.min(axis=(0, 1, 2)), flat.max(axis=(0, 1, 2))
    height = high[1] - low[1]
    margin = LARGEST * height
    box = axes.get_window_extent()
    pitch = max((high[0] - low[0]) * 1.12, (height + 2 * margin) * box.width / box.height / FRAMES_DRAWN)
    middle = (high[0] + low[0]) / 2
    for column, frame in enumerate(frames):
        shift = np.array([(column + 0.5) * pitch - middle, 0])
        for actor in flat[:, frame] + shift:
            axes.add_collection(LineCollection(list(actor[layout.bones]), colors=INK, linewidths=0.8, alpha=0.75))
            for joint in np.argsort(relevance[frame]):
                size = 2 * LARGEST * height * relevance[frame, joint]
                best = joint == relevance[frame].argmax()
                color, strength = (GREEN, 0.85) if best else (BLUE, 0.35)
                axes.add_patch(
                    Ellipse(actor[joint], size, size, color=color, alpha=strength, linewidth=0, clip_on=False)
                )
    axes.set(xlim=(0, FRAMES_DRAWN * pitch), ylim=(low[1] - margin, high[1] + margin), aspect="equal")
    axes.set_axis_off()


def pair_map(group: Group, attention: Attention, shown: Shown) -> str:
    """Which tokens of the first view (rows) attend to which of the last one (columns)."""
    assert shown.pair_attention is not None
    values = np.array(shown.pair_attention)
    size = len(values)
    colors = LinearSegmentedColormap.from_list("share", [f"{CELL}00", f"{CELL}ff"])
    with style():
        figure = Figure(figsize=(0.17 * size, 0.17 * size))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.pcolormesh(values, cmap=colors, vmin=values.min(), vmax=values.max(), edgecolors="none")
        axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
        axes.set_xticks(np.arange(size) + 0.5, attention.tokens, rotation=90, size=6.5)
        axes.set_yticks(np.arange(size) + 0.5, attention.tokens, size=6.5)
        axes.tick_params(length=0, pad=3)
        axes.spines[:].set_visible(False)
        first, last = shown.views[0], shown.views[-1]
        axes.set(xlabel=f"of {last.name}, view {last.view}", ylabel=f"of {first.name}, view {first.view}")
        axes.set_title(
            heading(group, f"Attention between views, {values.min():.3f} to {values.max():.3f}: {shown.action}", 60),
            pad=8,
        )
        return to_svg(figure, f"{group.slug}--{slug(shown)}-pairs")


def moving(group: Group, attention: Attention, shown: Shown) -> str:
    """The clip as an SVG that moves by itself, the views side by side; ellipses as in `skeletons`."""
    layout = attention.body
    width, height = 240, 280  # of each view, pixels
    title, _, where = heading(group, f"Attention: {shown.action}").partition("\n")
    across = width * len(shown.views)
    pieces = [_text(across / 2, 14, title)]
    for column, view in enumerate(shown.views):
        places, relevance = view.places, view.relevance(layout.size)
        low, high = places[..., :2].min(axis=(0, 1, 2)), places[..., :2].max(axis=(0, 1, 2))
        scale = min(0.8 * width / max(high[0] - low[0], 1e-6), 0.72 * height / max(high[1] - low[1], 1e-6))
        middle = (low + high) / 2
        x = (column + 0.5) * width + (places[..., 0] - middle[0]) * scale
        y = 0.53 * height - (places[..., 1] - middle[1]) * scale
        largest = LARGEST * (high[1] - low[1]) * scale
        best = int(relevance.sum(axis=0).argmax())
        for actor in range(len(places)):
            for one, two in layout.bones:
                ends = {"x1": x[actor, :, one], "y1": y[actor, :, one], "x2": x[actor, :, two], "y2": y[actor, :, two]}
                pieces.append(_moving("line", ends, 'stroke="currentColor" stroke-width="1.5"'))
            for joint in range(layout.size):
                round_it = {"cx": x[actor, :, joint], "cy": y[actor, :, joint], "r": largest * relevance[:, joint]}
                color = f'fill="{GREEN}" fill-opacity="0.85"' if joint == best else f'fill="{BLUE}" fill-opacity="0.35"'
                pieces.append(_moving("circle", round_it, color))
        pieces.append(_text((column + 0.5) * width, height - 8, f"view {view.view}: {view.name}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across * 0.75:g}pt" height="{height * 0.75:g}pt" '
        f'viewBox="0 0 {across} {height}" color="{DARK_INK}" role="img"><title>{escape(f"{title}, {where}")}</title>'
        + "".join(pieces)
        + "</svg>\n"
    )


def _text(x: float, y: float, text: str) -> str:
    look = 'text-anchor="middle" font-size="11" font-family="sans-serif" fill="currentColor"'
    return f'<text x="{x:g}" y="{y:g}" {look}>{escape(text)}</text>'


def _moving(shape: str, values: dict[str, np.ndarray], look: str) -> str:
    still = " ".join(f'{key}="{each[0]:.1f}"' for key, each in values.items())
    moves = "".join(
        f'<animate attributeName="{key}" dur="{SECONDS}s" repeatCount="indefinite" '
        f'values="{";".join(f"{value:.1f}" for value in each[:: max(1, len(each) // 32)])}"/>'
        for key, each in values.items()
    )
    return f"<{shape} {still} {look}>{moves}</{shape}>"
