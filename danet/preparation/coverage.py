"""Says how much of a data set is there, and how its actions are spread over the parts of a protocol."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from danet.config.settings import Split
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.preparation.split import split, usable

NAMED = 5  # actions, before the others are only counted


class Coverage(NamedTuple):
    """How many recordings are there, and how many of the full data set may be used, 0 where that is not known.

    `found`, `training` and `test` (A,) are the recordings of each action that are there, that are trained on, those to
    validate apart, and that are tested on.
    """

    recordings: int
    expected: int
    actions: tuple[str, ...]
    found: np.ndarray
    training: np.ndarray
    test: np.ndarray

    @property
    def is_part(self) -> bool:
        """Whether the data set is known to have more recordings than are there."""
        return self.recordings < self.expected

    @property
    def amount(self) -> str:
        """The recordings that are there, of how many: `118 of 56,578 recordings`."""
        return f"{self.recordings:,}{f' of {self.expected:,}' if self.expected else ''} recordings"

    @property
    def lacking(self) -> list[str]:
        """What is said of actions that are tested and not trained on, and the other way round."""
        said = {
            "without a training sample, though tested": (self.training == 0) & (self.test > 0),
            "without a test sample, though trained on": (self.test == 0) & (self.training > 0),
        }
        return [f"{what}: {self._named(where)}" for what, where in said.items() if where.any()]

    @property
    def doubtful(self) -> bool:
        """Whether it must not go unseen."""
        return self.is_part or bool(self.lacking)

    def __str__(self) -> str:
        there = self.found > 0
        spans = [
            f"{part} samples {_span(counts[there])} an action"
            for part, counts in (("training", self.training), ("test", self.test))
            if there.any()
        ]
        facts = ", ".join([self.amount, f"{there.sum()} of {len(self.actions)} actions", *spans])
        return "; ".join([facts, *self.lacking])

    def _named(self, where: np.ndarray) -> str:
        names = [self.actions[action] for action in np.flatnonzero(where)]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(names[:NAMED]) + more


def _span(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def coverage(dataset: Dataset, action_of: Mapping[str, int], table: pd.DataFrame) -> Coverage:
    """The facts of a protocol's split, a table as `split` gives it.

    `action_of` has the action of each recording that is there and may be used, by the sample's name.
    """

    def by_action(names: pd.Index | pd.Series) -> np.ndarray:
        return np.bincount([action_of[name] for name in names if name in action_of], minlength=len(dataset.actions))

    training, test = (by_action(table.loc[table["part"] == part, "name"]) for part in ("train", "test"))
    found = by_action(pd.Index(action_of))
    return Coverage(len(action_of), dataset.usable_samples, dataset.actions, found, training, test)


def actions_of(dataset: Dataset, names: Iterable[str]) -> dict[str, int]:
    """The action of each sample that may be used among these names."""
    return {sample.name: sample.action for sample in usable(dataset, names)}


def of_each_protocol(dataset: Dataset, names: Collection[str]) -> dict[str, str]:
    """A line for each protocol and fold: what these names make of it, or why they make nothing.

    What would be held out to validate counts as training samples.
    """
    action_of, lines = actions_of(dataset, names), {}
    for protocol in dataset.protocols:
        try:
            table = split(dataset, protocol, names, Split(validation_share=0))
            lines[protocol] = f"{dataset.name}/{protocol}: {coverage(dataset, action_of, table)}"
        except UserError as problem:
            lines[protocol] = str(problem)
    return lines
