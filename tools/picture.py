"""Draws docs/views.svg: one simulated performance as its three cameras see it. Nothing real is in it."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from danet.config.settings import Prepare, Simulate
from danet.datasets.demo import DEMO
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise
from danet.simulate.simulate import performances, simulate_text
from danet.skeleton.layout import KINECT_V2

ROOT = Path(__file__).parents[1]
MOMENTS = 7
COLOURS = {
    "torso": "#64748b",
    "left arm": "#0284c7",
    "right arm": "#ea580c",
    "left leg": "#0284c7",
    "right leg": "#ea580c",
}


def draw(action: str) -> Figure:
    """Rows: cameras; columns: moments of one performance, from raw text through the preparation."""
    settings = Simulate()
    performance = next(p for p in performances(settings) if DEMO.actions[p.action - 1] == action)
    figure = Figure(figsize=(9, 5.2))
    axes = figure.subplots(3, 1)
    for camera, axis in zip((1, 2, 3), axes, strict=True):
        text = simulate_text(settings, performance, camera)
        sequence, _ = denoise(read_skeleton_text("picture", "picture", text.encode()), Prepare(), KINECT_V2)
        joints = centre(sequence, KINECT_V2.origin, "observed").joints[:, 0]
        seen = np.flatnonzero(joints.any(axis=(1, 2)))
        for moment, frame in enumerate(seen[np.linspace(0, len(seen) - 1, MOMENTS).astype(int)]):
            _stick_figure(axis, joints[frame], moment * 1.1)
        axis.set_title(f"camera {camera}", loc="left", fontsize=9, color="#64748b")
        axis.set_aspect("equal")
        axis.axis("off")
    figure.suptitle(f"“{action}”, simulated: one performance, three cameras", fontsize=11, color="#64748b")
    figure.tight_layout()
    return figure


def _stick_figure(axis, joints: np.ndarray, shift: float) -> None:
    parts = list(KINECT_V2.parts)
    for joint, parent in KINECT_V2.bones:
        colour = COLOURS[parts[KINECT_V2.part_of[joint]]]
        # x grows to the right of the sensor's own images, which are mirrored: what is drawn is what they show
        axis.plot(
            shift + joints[[joint, parent], 0], joints[[joint, parent], 1], color=colour, lw=2, solid_capstyle="round"
        )


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "danet"
    draw("throwing").savefig(ROOT / "docs/views.svg", metadata={"Date": None}, transparent=True)
