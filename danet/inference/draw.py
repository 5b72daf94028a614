"""Draws the skeletons of a recording: bodies that are kept in colour, bodies that are dropped in grey."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image
from tqdm import tqdm

from danet.config.settings import Prepare
from danet.errors import UserError, one_line
from danet.inference.recordings import read_bodies
from danet.io.files import written_whole
from danet.preparation.denoise import denoise
from danet.preparation.unseen import seen_joints
from danet.skeleton.doubts import Doubts, doubts_of
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies

INKS = ("#1f62b0", "#c8701f")  # of the first and the second actor
GREY = "#a9a9a9"
GREEN = "#2c9a4b"
COLUMNS = 8  # frames in a still picture
MOST_DRAWN = 600  # in a moving one: 20 seconds, unless more are asked for
FRAMES_A_SECOND = 30
LARGEST = 0.08  # radius of the most attended joint, as a share of the height of what is drawn

log = logging.getLogger(__name__)


def draw(
    file: Path,
    out: Path,
    weights: Path | None = None,
    settings: Prepare | None = None,
    *,
    layout: Layout | None = None,
    most: int = MOST_DRAWN,
) -> dict[str, int]:
    """Writes `out`, a .png of some frames or a moving .gif, as the camera saw them, without joints not found.

    Of a recording of more than `most` frames the .gif has every second, third, and so on.

    With `weights`, a disc at each joint says how much of the network's attention it gets; their layout is taken then.
    Returns the numbers of `frames`, of those `drawn`, of `bodies` and of `kept` bodies. Errors: UserError for a file
    that cannot be read, another ending, weights or a `layout` of other joints.
    """
    if out.suffix not in (".png", ".gif"):
        raise UserError(f"{out}: expected a name that ends in .png or .gif, got '{out.suffix}'")
    shares = None
    if weights is not None:
        from danet.inference.predictor import Predictor

        predictor = Predictor(weights)
        settings, layout = predictor.prepare, predictor.layout
        shares = predictor.joint_attention(predictor.sequence(file))
    bodies, layout = read_bodies(file, layout)
    for line in Doubts([doubts_of(bodies, layout)]).lines():
        log.warning("%s: %s", one_line(str(file)), line)
    actors = actor_of(bodies, settings or Prepare(), layout)
    picture = _Picture(bodies, layout, actors, shares)
    with written_whole(out) as partial:
        drawn = picture.still(partial) if out.suffix == ".png" else picture.move(partial, most)
    kept = {int(body) for body in bodies.body[actors >= 0]}
    return {"frames": bodies.frames, "drawn": drawn, "bodies": len(bodies.index.ids), "kept": len(kept)}


def actor_of(bodies: Bodies, settings: Prepare, layout: Layout) -> np.ndarray:
    """(R,) int64: the actor, 0 or 1, that denoising makes of the body of each sighting, or -1 for one that it drops."""
    _, audit = denoise(bodies, settings.model_copy(update={"timing": "observed"}), layout)
    slot = {row["body"]: row["slot"] for row in audit["bodies"]}
    return np.array([slot[body] - 1 for body in bodies.body.tolist()])


def found(bodies: Bodies, layout: Layout) -> np.ndarray:
    """The joints (R, V, 3), NaN where the sensor did not find one."""
    joints = bodies.joints.copy()
    for number in range(len(bodies.index.ids)):
        rows = np.flatnonzero(bodies.index.track == number)
        joints[rows] = np.where(seen_joints(joints[rows], layout)[:, :, None], joints[rows], np.nan)
    return joints


class _Picture:
    def __init__(self, bodies: Bodies, layout: Layout, actors: np.ndarray, shares: np.ndarray | None):
        self.bodies, self.layout, self.actors, self.shares = bodies, layout, actors, shares
        self.flat = found(bodies, layout)[..., :2]
        if np.isnan(self.flat).all():
            raise UserError(f"{bodies.name}: expected a joint that the sensor found, got none")
        self.low, self.high = np.nanmin(self.flat, axis=(0, 1)), np.nanmax(self.flat, axis=(0, 1))
        self.radius = LARGEST * max(float(self.high[1] - self.low[1]), 1e-6)

    def still(self, path: Path) -> int:
        """COLUMNS frames in which somebody is seen, evenly spread; returns how many there were."""
        seen = np.unique(self.bodies.frame)
        frames = seen[np.linspace(0, len(seen) - 1, min(COLUMNS, len(seen))).round().astype(int)]
        figure = Figure(figsize=(1.6 * len(frames), 2.6))
        for axes, frame in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames, strict=True):
            self._frame(axes, int(frame))
        FigureCanvasAgg(figure).print_figure(path, format="png", dpi=150, bbox_inches="tight")
        return len(frames)

    def move(self, path: Path, most: int) -> int:
        """At most so many frames, evenly spread, at the rate of the sensor; returns how many there were."""
        frames = range(0, self.bodies.frames, math.ceil(self.bodies.frames / most))
        figure = Figure(figsize=(3.6, 4.0), dpi=80)
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()

        def images() -> Iterator[Image.Image]:
            for frame in tqdm(frames, desc="draw", unit="frame", disable=None):
                axes.clear()
                self._frame(axes, frame)
                canvas.draw()
                yield Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize()

        drawn = images()
        ends = np.array([*frames, self.bodies.frames]) * 100 // FRAMES_A_SECOND  # a GIF counts in hundredths
        held = (10 * np.diff(ends)).tolist()
        next(drawn).save(path, format="gif", save_all=True, append_images=drawn, duration=held, loop=0)
        return len(frames)

    def _frame(self, axes: Axes, frame: int) -> None:
        for row in np.flatnonzero(self.bodies.frame == frame):
            flat, actor = self.flat[row], self.actors[row]
            ink = INKS[actor] if actor >= 0 else GREY
            axes.add_collection(LineCollection(list(flat[self.layout.bones]), colors=ink, linewidths=1.6))
            if self.shares is not None and actor >= 0:
                best = self.shares.argmax()
                for joint, share in enumerate(
                    (self.shares - self.shares.min()) / max(float(np.ptp(self.shares)), 1e-9)
                ):
                    color = GREEN if joint == best else ink
                    axes.add_patch(Circle(flat[joint], self.radius * share, color=color, alpha=0.5, linewidth=0))
        margin = 1.3 * self.radius
        axes.set(xlim=(self.low[0] - margin, self.high[0] + margin), ylim=(self.low[1] - margin, self.high[1] + margin))
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(f"frame {frame + 1}", size=8)
