"""Splits samples into train, validation and test, by their names alone."""

import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from danet.config.settings import Split
from danet.datasets.dataset import Dataset, Sample
from danet.errors import UserError, shown
from danet.io.store import Records
from danet.io.tables import read_parquet

PARTS = ("train", "validation", "test")


def read_split(path: Path) -> pd.DataFrame:
    """The columns `name` and `part` of a split. Errors: UserError for another file, or a damaged one."""
    table = read_parquet(path, ("name", "part"))
    for name, part in zip(table["name"], table["part"], strict=True):
        if not isinstance(name, str) or part not in PARTS:
            raise UserError(f"{path}: expected names with one of {', '.join(PARTS)}, got {shown(name)}: {shown(part)}")
    return table


def split(dataset: Dataset, protocol: str, names: Iterable[str], settings: Split) -> pd.DataFrame:
    """Columns `name` and `part`, in the order of the names; samples that the protocol leaves out are not in it.

    Names of no sample of the data set are passed over. So are samples on its list of those to leave out, and training
    samples that the settings leave out. Validation is a whole number of training subjects (or views), spread evenly
    over their sorted list, unless the protocol names it. Errors: UserError when there is no training or no test sample,
    or a part of the training samples cannot be held out.
    """
    part = dataset.protocol(protocol).part
    samples = usable(dataset, names)
    parts = {sample.name: part(sample) for sample in samples}
    chosen = "validation" in parts.values()
    for name in _left_out([name for name, known in parts.items() if known in ("train", "validation")], settings):
        parts[name] = ""
    training = [sample for sample in samples if parts[sample.name] == "train"]
    tested = sum(part == "test" for part in parts.values())
    if not training or not tested:
        got = f"{len(training)} and {tested} in {len(samples)} recordings"
        raise UserError(f"{dataset.name}/{protocol}: expected training and test samples, got {got}")
    held_out = set() if chosen else _held_out(dataset, protocol, training, settings)
    for sample in training:
        if getattr(sample, settings.validation_by) in held_out:
            parts[sample.name] = "validation"
    rows = [(name, part) for name, part in parts.items() if part]
    return pd.DataFrame(rows, columns=["name", "part"])


def usable(dataset: Dataset, names: Iterable[str]) -> list[Sample]:
    """The samples of the data set among the names, without those on its list to leave out."""
    return [sample for sample in map(dataset.parse_name, names) if sample and sample.name not in dataset.left_out]


def _left_out(names: list[str], settings: Split) -> set[str]:
    """Those that the settings leave out. A pattern of none is only logged: its recordings may not be here."""
    matches = {pattern: [name for name in names if fnmatchcase(name, pattern)] for pattern in settings.leave_out}
    for pattern, matching in matches.items():
        if not matching:
            logging.warning("split.leave_out: expected training samples, got none of %d named %s", len(names), pattern)
    return {name for matching in matches.values() for name in matching}


def _held_out(dataset: Dataset, protocol: str, training: list[Sample], settings: Split) -> set:
    if not settings.validation_share:
        return set()
    groups = sorted({getattr(sample, settings.validation_by) for sample in training})
    if len(groups) < 2:
        got = f"{len(groups)} in {len(training)} training samples"
        expected = f"two or more {settings.validation_by}s to hold one out"
        advice = "set split.validation_by to something else, or split.validation_share to 0"
        raise UserError(f"{dataset.name}/{protocol}: expected {expected}, got {got}; {advice}")
    count = max(1, round(settings.validation_share * len(groups)))
    indices = np.linspace(0, len(groups) - 1, count + 2)[1:-1].round().astype(int)
    return {groups[index] for index in indices}


def copies_of_training(records: Records, parts: dict[str, str], part: str = "test") -> dict[str, str]:
    """Each sample of a part that shows, joint for joint, what a sample before that part shows, and that sample.

    `parts` maps names to their part. Before the test part lie training and validation, before validation training.
    `records` are sequences, with the hash of their recording's content.
    """
    learnt_from = PARTS[: PARTS.index(part)]
    contents = dict(zip(records.names, map(int, records.facts.get("content", [])), strict=False))
    known = {name: content for name, content in contents.items() if content and name in parts}
    training = {content: name for name, content in known.items() if parts[name] in learnt_from}
    return {name: training[content] for name, content in known.items() if parts[name] == part and content in training}


def refuse_leaks(records: Records, parts: dict[str, str], dataset: Dataset) -> None:
    """Errors: UserError when a test sample is a copy of a training sample and the data set is not known for that."""
    leaks = copies_of_training(records, parts)
    if leaks and not dataset.keeps_copies:
        name, first = min(leaks.items())
        got = f"{len(leaks)}, among them {name}, a copy of {first}"
        expected = "no test sample that shows the same as a training sample"
        raise UserError(f"{records.path}: expected {expected}, got {got}; set prepare.drop_copies")


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Samples in each part."""
    return {part: int((table["part"] == part).sum()) for part in PARTS}
