"""Reads what a run learns from: the sequences of its protocol's parts, and what its weights will say of themselves."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danet.clips.sequences import Sequences, read_recordings
from danet.config.settings import Run
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.io.store import open_records
from danet.preparation.split import counts, read_split, refuse_leaks
from danet.skeleton.layout import find_layout
from danet.training.batches import LabelledSequences, gather


@dataclass(frozen=True)
class Task:
    """One network to train. `description` is what its weights say of themselves; nothing of the test part is in here.

    `counts` are those of the split, of samples that could be prepared; `samples_hash` tells one split of labelled
    samples from another.
    """

    dataset: Dataset
    run: Run
    training: LabelledSequences
    validation: LabelledSequences
    both: LabelledSequences
    description: dict[str, Any]
    counts: dict[str, int]
    samples_hash: str

    @property
    def validated(self) -> bool:
        """Whether an epoch is chosen by a validation part."""
        return bool(self.validation.performances)

    @property
    def title(self) -> str:
        """Data set, protocol, method and seed in words."""
        return "{dataset}/{protocol} {method} seed {seed}".format_map(self.description)


def read_task(*, centred: Path, split: Path, run: Run, dataset: Dataset, protocol: str, method: str, seed: int) -> Task:
    """The task of one run; a split without a test part is one of a network that is not to be tested.

    Errors: UserError when a part is empty, or a test sample is a copy of a training sample.
    """
    table = read_split(split)
    part_of = dict(zip(table["name"], table["part"], strict=True))
    with open_records(centred, "centred", verify=True) as records:
        refuse_leaks(records, part_of, dataset)
        learnt_from = {name for name, part in part_of.items() if part != "test"}
        recordings = read_recordings(records, learnt_from)
        described, prepare = records.described("layout", (str, dict)), records.described("prepare", dict)
        data_hash, prepared = records.data_hash, set(records.names)
    sequences = Sequences(recordings, find_layout(described, str(centred)), run.clips)
    training, validation, both = (
        gather(sequences, dataset, [part_of[name] in parts for name in sequences.names])
        for parts in (("train",), ("validation",), ("train", "validation"))
    )
    holds_out = (table["part"] == "validation").any()
    if not training.performances or (holds_out and not validation.performances):
        got = f"{len(training.performances)} and {len(validation.performances)}"
        raise UserError(f"{centred}: expected training and validation samples of {dataset.name}/{protocol}, got {got}")
    prepared_counts = counts(table[table["name"].isin(prepared)])
    if (table["part"] == "test").any() and not prepared_counts["test"]:
        raise UserError(f"{centred}: expected test samples of {dataset.name}/{protocol}, got none that were prepared")
    description = {
        "dataset": dataset.name,
        "protocol": protocol,
        "seed": seed,
        "method": method,
        "simulated": dataset.simulated,
        "layout": described,
        "actions": list(dataset.actions),
        "data_hash": data_hash,
        "prepare": prepare,
        "clips": run.clips.model_dump(mode="json"),
        "model": run.model.of_people(int(sequences.actors.max())).model_dump(mode="json"),
    }
    return Task(
        dataset=dataset,
        run=run,
        training=training,
        validation=validation,
        both=both,
        description=description,
        counts=prepared_counts,
        samples_hash=samples_hash(part_of, dataset),
    )


def samples_hash(part_of: dict[str, str], dataset: Dataset) -> str:
    """What tells one split of labelled samples from another: the part, the label and the performance of each."""
    samples = [(name, part, dataset.sample(name)) for name, part in sorted(part_of.items())]
    lines = [f"{name}\t{part}\t{sample.action}\t{sample.performance}\n" for name, part, sample in samples]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
