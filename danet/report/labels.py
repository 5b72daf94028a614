"""Writes names beside the points of a figure, so that no name covers another one or a point."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from danet.report.svg import INK

POINT = 4.0  # half the side of what a point covers, in points
LETTERS = 7.5  # their height, in points
RINGS = (6, 14, 23, 33, 44, 56)  # distances of a name from its point, in points
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
ALIGNED = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def name_points(
    axes: Axes, places: Sequence[tuple[float, float]], names: Sequence[str], spreads: Sequence[float]
) -> None:
    """Names each of the places (x, y) at the nearest side that is free; a line leads to a name that is far.

    Points have error bars of `spreads` up and down. The limits and the scale of the axes are to be set before.
    """
    pixels = axes.figure.dpi / 72
    centres = axes.transData.transform(places)
    taken = [Bbox.from_extents(*(centre - POINT * pixels), *(centre + POINT * pixels)) for centre in centres]
    for (x, y), spread in zip(places, spreads, strict=True):
        taken.append(Bbox(axes.transData.transform([(x, y - spread), (x, y + spread)])).padded(pixels))
    frame = axes.get_window_extent()
    for place, name, centre in zip(places, names, centres, strict=True):
        probe = axes.text(0, 0, name, size=LETTERS)
        size = probe.get_window_extent().size
        probe.remove()
        candidates: list[tuple] = []
        for ring in RINGS:
            for side in SIDES:
                corner = centre + np.array(side) * ring * pixels - (1 - np.array(side)) / 2 * size
                box = Bbox([corner, corner + size]).padded(pixels)
                crossed = box.count_overlaps(taken)
                outside = not (frame.contains(*box.min) and frame.contains(*box.max))
                candidates.append((crossed, outside, len(candidates), ring, side, box))
        *_, ring, side, box = min(candidates)
        taken.append(box)
        across, up = side
        leader = {"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            name,
            place,
            (across * ring, up * ring),
            textcoords="offset points",
            size=LETTERS,
            ha=ALIGNED[across][0],
            va=ALIGNED[up][1],
            arrowprops=leader if ring > RINGS[0] else None,
        )
