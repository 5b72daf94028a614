"""Samples in, the steps of an epoch out: clips, partners and all that is random in a step, drawn before it is cut."""

import math
from collections import defaultdict, deque
from collections.abc import Iterator
from collections.abc import Sequence as Ordered
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from danet.clips.sequences import Batch, Sequences
from danet.config.settings import Partners
from danet.datasets.dataset import Dataset
from danet.models.danet.network import DANet

SHAPES = 4  # a step of P samples is padded to a multiple of P / SHAPES clips, to be recorded


@dataclass(frozen=True)
class Material:
    """Samples to learn from or to be tried on: N sequences, `labels` (N,), and the performances that they show."""

    sequences: Sequences
    labels: np.ndarray
    performances: list[str]


@dataclass(frozen=True)
class Step:
    """One step's P samples, their partners if there are any, and all that was drawn for them.

    `labels` (P,) says what the samples show; `branches` (E, blocks, 3, K) is what `DANet.draw_branches` drew.
    """

    labels: np.ndarray
    clips: Batch
    partners: Batch | None
    branches: np.ndarray

    @property
    def views(self) -> list[Batch]:
        """The clips and, if there are any, those of the partners."""
        return [self.clips] if self.partners is None else [self.clips, self.partners]

    def pieces(self, count: int) -> list["Step | None"]:
        """The step cut into so many pieces of nearly one size; None for a piece that is empty."""
        if count == 1:
            return [self]
        return [self._piece(chosen) for chosen in np.array_split(np.arange(len(self.labels)), count)]

    def _piece(self, chosen: np.ndarray) -> "Step | None":
        if not len(chosen):
            return None
        partners = self.partners and self.partners.of(chosen)
        return Step(self.labels[chosen], self.clips.of(chosen), partners, self.branches[..., self.clips.rows(chosen)])

    def padded(self) -> "Step":
        """The same with empty clips in addition, so that steps of P samples come in few shapes, however many people."""
        unit = math.ceil(len(self.labels) / SHAPES)
        rows = unit * math.ceil(max(len(batch.owner) for batch in self.views) / unit)
        more = rows - len(self.clips.owner)
        clips, *partners = (batch.padded(rows) for batch in self.views)
        branches = np.pad(self.branches, [(0, 0), (0, 0), (0, 0), (0, more)])
        return Step(self.labels, clips, partners[0] if partners else None, branches)

    def arrays(self) -> list[np.ndarray]:
        """What `step_loss` takes, once on the device."""
        clips = [array for batch in self.views for array in (batch.channels, batch.joints, batch.owner)]
        return [self.labels, self.branches, *clips]


def gather(sequences: Sequences, source: Dataset, chosen: list[bool]) -> Material:
    """The chosen sequences with what is known of them."""
    part = sequences.subset(np.flatnonzero(chosen))
    samples = [source.sample(name) for name in part.names]
    labels = np.array([sample.action for sample in samples], np.int64)
    return Material(part, labels, [sample.performance for sample in samples])


def take_step(material: Material, groups: np.ndarray, rng: np.random.Generator, model: DANet) -> Step:
    """The clips of some samples, their partners, as `group_views` gives both, and what else is random in their step."""
    samples, *partners = groups.T
    clips, *others = (material.sequences.cut(each, rng) for each in (samples, *partners))
    branches = model.draw_branches(len(clips.owner), rng)
    return Step(material.labels[samples], clips, others[0] if others else None, branches)


def steps(
    material: Material, groups: np.ndarray, rng: np.random.Generator, model: DANet, *, size: int, threads: int
) -> Iterator[Step]:
    """The groups, `size` at a time; so many other threads cut, each of them one step ahead.

    Each step draws from a generator of its own, so that it does not matter which is cut first.
    """
    chunks = np.array_split(groups, math.ceil(len(groups) / size))
    cuts = (partial(take_step, material, *each) for each in zip(chunks, rng.spawn(len(chunks)), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        coming = deque(pool.submit(cut, model) for cut in islice(cuts, threads))
        while coming:
            ready = coming.popleft().result()
            coming.extend(pool.submit(cut, model) for cut in islice(cuts, 1))
            yield ready


def group_views(performances: Ordered[str], partners: Partners, rng: np.random.Generator) -> np.ndarray:
    """(N, 2) sample indices, or (N, 1) without partners, in random order: every sample comes first once, its partner
    second.

    With "views", the partner is another view of the same performance, where there is one. A sample without, or any with
    "copies", is its own partner; cut twice with different turns, that is its rotated copy.
    """
    order = rng.permutation(len(performances))
    if partners == "none":
        return order[:, None]
    partner = np.arange(len(performances))
    if partners == "views":
        groups: dict[str, list[int]] = defaultdict(list)
        for index, performance in enumerate(performances):
            groups[performance].append(index)
        for members in groups.values():
            if len(members) > 1:
                partner[members] = np.roll(members, rng.integers(1, len(members)))
    return np.stack([order, partner[order]], axis=1)
