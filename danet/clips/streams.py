"""What the channels of a clip hold: places, bones, motions, distances."""

from collections.abc import Sequence as Ordered

import numpy as np

from danet.config.clips import Stream
from danet.skeleton.layout import Layout


def channel_places(streams: Ordered[Stream], layout: Layout) -> dict[Stream, range]:
    """The places of each stream's channels among those of all."""
    counts = [len(layout.landmarks) if name == "distance" else 3 for name in streams]
    ends = np.cumsum(counts).tolist()
    return {name: range(end - count, end) for name, count, end in zip(streams, counts, ends, strict=True)}


def channel_count(streams: Ordered[Stream], layout: Layout) -> int:
    """How many channels these streams have together."""
    return sum(map(len, channel_places(streams, layout).values()))


def motion(values: np.ndarray) -> np.ndarray:
    """The change to the next frame; nothing after the last."""
    moved = np.zeros_like(values)
    np.subtract(values[:, 1:], values[:, :-1], out=moved[:, :-1])
    return moved


def distances(joints: np.ndarray, landmarks: list[int]) -> np.ndarray:
    """(..., V, 3) to (..., V, len(landmarks)): how far each joint is from each of these."""
    axes = np.moveaxis(joints, -1, 0)
    x, y, z = (np.square(axis[..., :, None] - axis[..., None, landmarks]) for axis in axes)
    return np.sqrt(x + y + z)
