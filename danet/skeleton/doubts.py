"""Says what in a recording does not look like a person in metres, y up, x to the sensor's left, z away from it.

A doubt is a question to whoever made the file: no number is changed. docs/data.md tells how the bounds were chosen.
"""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from danet.compiled import compiled
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Bodies

FRAMES = 24  # of a recording that are looked at, evenly spread
RARE = 0.05  # share of a set's recordings up to which a doubt is their own, and no fault of the set
LARGEST, CENTIMETRES, MILLIMETRES, SMALLEST = 1.5, 10, 150, 0.1  # mean distance of any two joints
BELOW = -0.5  # trunks that the head is above the feet: somebody who lies is at 0
BACKWARDS = 0.8  # share of the frames with somebody upright in which the toes lie behind the ankles
UPRIGHT, FEWEST_FRAMES = 1, 8  # trunks from feet to head, and how many such frames it takes
LONGEST_BONES = 0.68  # mean of the bones, as a share of the mean distance of any two joints
FEWEST_JOINTS = 15  # of fewer joints, most distances are bones
UNEQUAL = 0.3  # difference of the bones left and right, as a share of both
CHANGING = 0.5  # mean deviation of a bone's length, as a share of it


class Kind(NamedTuple):
    """What one kind of doubt asks, and what is seen of it."""

    question: str
    sign: str


KINDS = {
    "millimetres": Kind("in millimetres or pixels?", f"joints are more than {MILLIMETRES} apart"),
    "centimetres": Kind("in centimetres or pixels?", f"joints are more than {CENTIMETRES} apart"),
    "unit": Kind("in another unit?", f"joints are more than {LARGEST}, or less than {SMALLEST}, apart"),
    "confidence": Kind("a confidence as z?", "z stays within 0 and 1 where x and y do not fit it"),
    "flat": Kind("key points of a picture?", "z is 0 throughout"),
    "y_down": Kind("y points down?", "the head is below the feet"),
    "mirrored": Kind("x mirrored, or left and right exchanged?", "the toes are behind the ankles"),
    "order": Kind("joints in another order?", "the bones, or the head, are not where the layout has them"),
    "changing": Kind("no skeleton?", "the bones change their length by half and more"),
    "unseen": Kind("joints not found?", "more than one joint a frame, on average; they are bridged"),
}
FLAT = ("flat",)  # what may be meant so
NOT_WRONG = (*FLAT, "unseen")  # what preparation copes with


class Figures(NamedTuple):
    """What is measured of a recording, NaN where its joints do not show it; medians over the frames.

    `low` and `high` (3,) bound all joints. `size` is the mean distance of any two joints. In trunks, from the hips to
    the shoulders: `head` is how far it is beyond them, `standing` how far it is above the feet. `backwards` is the
    share of upright frames in which the toes are behind the ankles. `bones` is their mean as a share of `size`.
    `unequal` and `changing` are as the bounds above.
    """

    low: np.ndarray
    high: np.ndarray
    size: float
    head: float
    standing: float
    backwards: float
    bones: float
    unequal: float
    changing: float


def doubts_of(bodies: Bodies, layout: Layout) -> list[str]:
    """The KINDS of doubt about a recording; of its bodies, the one that is seen most often is looked at.

    A joint at (0, 0, 0), at (-1, -1, -1) or not finite was not seen, and is passed over.
    """
    joints = bodies.joints
    if not len(joints):
        return []
    if len(bodies.index.ids) > 1:
        joints = joints[bodies.index.track == np.bincount(bodies.index.track).argmax()]
    joints = np.array(joints[:: -(-len(joints) // FRAMES)], np.float32)  # a copy of one kind, compiled for once
    lost = ~np.isfinite(joints).all(axis=2) | (joints == 0).all(axis=2) | (joints == -1).all(axis=2)
    lacking = ["unseen"] if lost[~lost.all(axis=1)].sum() > len(joints) else []
    return lacking + list(
        _judged(Figures(*_measured(joints, layout.bones, layout.twin_bones, layout.sides, *layout.anatomy)))
    )


def _judged(of: Figures) -> Iterable[str]:
    """The kinds of doubt; one fault makes one doubt."""
    if of.low[0] > of.high[0]:  # nothing was seen
        return
    flat = of.low[2] == of.high[2] == 0
    within = (of.low >= 0) & (of.high <= 1)
    confidence = not flat and within[2] and (of.size > CENTIMETRES or within[:2].all())
    order = of.head < 0 or of.bones > LONGEST_BONES or of.unequal > UNEQUAL
    if flat:
        yield "flat"
    elif confidence:
        yield "confidence"
    elif of.size > MILLIMETRES:
        yield "millimetres"
    elif of.size > CENTIMETRES:
        yield "centimetres"
    elif of.size > LARGEST or of.size < SMALLEST:
        yield "unit"
    if order:
        yield "order"
    else:
        if of.standing < BELOW:
            yield "y_down"
        if of.backwards > BACKWARDS and not confidence:
            yield "mirrored"
        if of.changing > CHANGING:
            yield "changing"


@partial(compiled, error_model="numpy")
def _measured(
    joints: np.ndarray,
    bones: np.ndarray,
    twins: np.ndarray,
    sides: np.ndarray,
    head: np.ndarray,
    shoulders: np.ndarray,
    hips: np.ndarray,
    ankles: np.ndarray,
    toes: np.ndarray,
) -> tuple:
    """The `Figures` of joints (F, V, 3)."""
    frames, joint_count, _ = joints.shape
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    lengths = np.empty((len(bones), frames))
    each = np.empty((4, frames))
    backwards, forwards = 0, 0
    for frame in range(frames):
        body = _seen(joints[frame])
        for joint in range(joint_count):
            for axis in range(3):
                low[axis] = min(low[axis], body[joint, axis])
                high[axis] = max(high[axis], body[joint, axis])
        top, bottom, crown = _middle(body, shoulders), _middle(body, hips), _middle(body, head)
        heels, tips = _middle(body, ankles), _middle(body, toes)
        trunk = top - bottom
        length = np.sqrt((trunk * trunk).sum())
        each[1, frame] = ((crown - top) * trunk).sum() / (length * length)
        each[2, frame] = (crown[1] - (heels[1] if len(ankles) else tips[1])) / length
        across = _middle(body, sides[0]) - _middle(body, sides[1])  # from the right to the left
        ahead = across[0] * (tips[2] - heels[2]) - across[2] * (tips[0] - heels[0])  # (across x up) . (tips - heels)
        if abs(each[2, frame]) > UPRIGHT:
            backwards += ahead < 0
            forwards += ahead > 0
        for bone in range(len(bones)):
            lengths[bone, frame] = _distance(body, bones[bone, 0], bones[bone, 1])
        total, pairs = 0.0, 0
        for one in range(joint_count):
            for other in range(one):
                distance = _distance(body, one, other)
                if distance >= 0:
                    total += distance
                    pairs += 1
        each[0, frame] = total / pairs
        each[3, frame] = np.nanmean(lengths[:, frame]) / each[0, frame]
    means, changes = np.empty(len(bones)), np.empty(len(bones))
    for bone in range(len(bones)):
        means[bone] = np.nanmean(lengths[bone])
        changes[bone] = np.nanmean(np.abs(lengths[bone] - means[bone])) / means[bone]
    apart = np.abs(means[twins[:, 0]] - means[twins[:, 1]])
    both = means[twins[:, 0]] + means[twins[:, 1]]
    return (
        low,
        high,
        np.nanmedian(each[0]),
        np.nanmedian(each[1]),
        np.nanmedian(each[2]),
        backwards / (backwards + forwards) if backwards + forwards >= FEWEST_FRAMES else np.nan,
        np.nanmedian(each[3]) if joint_count >= FEWEST_JOINTS else np.nan,
        np.nansum(apart) / np.nansum(both),
        np.nanmedian(changes),
    )


@compiled
def _seen(body: np.ndarray) -> np.ndarray:
    """The joints (V, 3), those that were not seen as NaN."""
    seen = body.astype(np.float64)
    for joint in range(len(seen)):
        x, y, z = seen[joint]
        if not np.isfinite(x + y + z) or x == y == z == 0 or x == y == z == -1:
            seen[joint] = np.nan
    return seen


@compiled
def _middle(body: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(3,) the mean of some joints (V, 3); NaN where one was not seen, or there is none."""
    middle = np.full(3, 0.0 if len(members) else np.nan)
    for joint in members:
        middle += body[joint] / len(members)
    return middle


@compiled
def _distance(body: np.ndarray, one: int, other: int) -> float:
    total = 0.0
    for axis in range(3):
        total += (body[one, axis] - body[other, axis]) ** 2
    return np.sqrt(total)


class Doubts:
    """Counts the recordings of a set about which there is a doubt, by kind."""

    def __init__(self, recordings: Iterable[Iterable[str]] = ()):
        self.recordings, self.counts = 0, Counter[str]()
        for kinds in recordings:
            self.add(kinds)

    def add(self, kinds: Iterable[str]) -> None:
        """Counts a recording with these kinds of doubt."""
        self.recordings += 1
        self.counts.update(kinds)

    def lines(self, passed_over: Iterable[str] = ()) -> list[str]:
        """A line for each kind that holds for more than a RARE share of the recordings, but for those passed over."""
        told = [kind for kind in KINDS if self.counts[kind] > RARE * self.recordings and kind not in passed_over]
        return [self._line(KINDS[kind], self.counts[kind]) for kind in told]

    def _line(self, kind: Kind, count: int) -> str:
        counted = f" {count:,} of {self.recordings:,} recordings:" if self.recordings > 1 else ""
        return f"{kind.question}{counted} {kind.sign}"
