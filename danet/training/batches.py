"""Cuts the batches of an epoch: clips, their partners, and all that is random in a step, drawn before it is divided."""

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from danet.clips.sequences import ClipBatch, Sequences
from danet.config.training import PairedViews
from danet.datasets.dataset import Dataset
from danet.models.base import ClipTensors, SkeletonModel

SHAPES = 4  # a batch of B samples is padded to a multiple of B / SHAPES clips, to be recorded
SEEDS = 1 << 62


@dataclass(frozen=True)
class LabelledSequences:
    """Samples to learn from or to be tried on: N sequences, `labels` (N,), and the performances that they show."""

    sequences: Sequences
    labels: np.ndarray
    performances: list[str]


class BatchTensors(NamedTuple):
    """A `TrainingBatch` on the device, as `SkeletonModel.loss` takes it."""

    labels: Tensor
    clips: ClipTensors
    partners: ClipTensors | None
    noise: Tensor | None


@dataclass(frozen=True)
class TrainingBatch:
    """One step's B samples, their partners if there are any, and all that was drawn for them.

    `labels` (B,) says what the samples show; `noise` is what `SkeletonModel.sample_noise` drew, its last axis that of
    the clips; torch's own generator starts from `seed`.
    """

    labels: np.ndarray
    clips: ClipBatch
    partners: ClipBatch | None
    noise: np.ndarray | None
    seed: int

    @property
    def views(self) -> list[ClipBatch]:
        """The clips and, if there are any, those of the partners."""
        return [self.clips] if self.partners is None else [self.clips, self.partners]

    def micro_batches(self, count: int) -> list["TrainingBatch | None"]:
        """The batch cut into so many of nearly one size; None for one that is empty."""
        if count == 1:
            return [self]
        return [self._part(samples) for samples in np.array_split(np.arange(len(self.labels)), count)]

    def _part(self, samples: np.ndarray) -> "TrainingBatch | None":
        if not len(samples):
            return None
        partners = self.partners and self.partners.of(samples)
        noise = None if self.noise is None else self.noise[..., self.clips.rows(samples)]
        return TrainingBatch(self.labels[samples], self.clips.of(samples), partners, noise, self.seed)

    def padded(self) -> "TrainingBatch":
        """The same with empty clips in addition: batches of B samples come in few shapes, however many people."""
        unit = math.ceil(len(self.labels) / SHAPES)
        rows = unit * math.ceil(max(len(view.owner) for view in self.views) / unit)
        more = rows - len(self.clips.owner)
        clips, *partners = (view.padded(rows) for view in self.views)
        noise = self.noise
        if noise is not None:
            noise = np.pad(noise, [*[(0, 0)] * (noise.ndim - 1), (0, more)])
        return TrainingBatch(self.labels, clips, partners[0] if partners else None, noise, self.seed)

    def arrays(self) -> list[np.ndarray]:
        """Labels, three arrays for each view, and the noise if there is any; `as_batch` takes them on the device."""
        views = [array for view in self.views for array in (view.channels, view.joints, view.owner)]
        return [self.labels, *views, *([] if self.noise is None else [self.noise])]


def as_batch(labels: Tensor, *tensors: Tensor) -> BatchTensors:
    """The inverse of `TrainingBatch.arrays`, on the device."""
    views = [
        ClipTensors(channels, joints, owner, len(labels))
        for channels, joints, owner in zip(tensors[0:-2:3], tensors[1:-1:3], tensors[2::3], strict=False)
    ]
    noise = tensors[-1] if len(tensors) % 3 else None
    return BatchTensors(labels, views[0], views[1] if len(views) > 1 else None, noise)


def gather(sequences: Sequences, dataset: Dataset, chosen: list[bool]) -> LabelledSequences:
    """The chosen sequences with what is known of them."""
    part = sequences.subset(np.flatnonzero(chosen))
    samples = [dataset.sample(name) for name in part.names]
    labels = np.array([sample.action for sample in samples], np.int64)
    return LabelledSequences(part, labels, [sample.performance for sample in samples])


def group_views(performances: Sequence[str], paired_views: PairedViews, rng: np.random.Generator) -> np.ndarray:
    """(N, 2) sample indices, or (N, 1) without partners, in random order: every sample comes first once, its partner
    second.

    With "views", the partner is another view of the same performance, where there is one. A sample without, or any with
    "copies", is its own partner; cut twice with different turns, that is its rotated copy.
    """
    order = rng.permutation(len(performances))
    if paired_views == "none":
        return order[:, None]
    partner = np.arange(len(performances))
    if paired_views == "views":
        groups: dict[str, list[int]] = defaultdict(list)
        for index, performance in enumerate(performances):
            groups[performance].append(index)
        for members in groups.values():
            if len(members) > 1:
                partner[members] = np.roll(members, rng.integers(1, len(members)))
    return np.stack([order, partner[order]], axis=1)


def make_batch(
    samples: LabelledSequences, groups: np.ndarray, rng: np.random.Generator, model: SkeletonModel
) -> TrainingBatch:
    """The clips of some samples, their partners, as `group_views` gives both, and what else is random in their step."""
    chosen, *partners = groups.T
    clips, *others = (samples.sequences.cut(each, rng) for each in (chosen, *partners))
    noise = model.sample_noise(clips, rng)
    return TrainingBatch(samples.labels[chosen], clips, others[0] if others else None, noise, int(rng.integers(SEEDS)))


def prefetch(
    samples: LabelledSequences,
    groups: np.ndarray,
    rng: np.random.Generator,
    model: SkeletonModel,
    *,
    size: int,
    threads: int,
) -> Iterator[TrainingBatch]:
    """The groups, `size` at a time; so many other threads cut, each of them one batch ahead.

    Each batch draws from a generator of its own, so that it does not matter which is cut first.
    """
    chunks = np.array_split(groups, math.ceil(len(groups) / size))
    cuts = (partial(make_batch, samples, *each) for each in zip(chunks, rng.spawn(len(chunks)), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        coming = deque(pool.submit(cut, model) for cut in islice(cuts, threads))
        while coming:
            ready = coming.popleft().result()
            coming.extend(pool.submit(cut, model) for cut in islice(cuts, 1))
            yield ready
