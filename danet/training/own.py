"""Trains a network on a table of own recordings, in one call: nothing but the table and the weights stays.

The recordings go through the stages of the workflow, in a temporary folder. A first network learns from a part of them
and is tried on the rest, once and at its end, so that nothing is chosen by what it is tried on. The one that is written
then learns from all of them, as long as the first. Rows that the table calls `test` no network learns from.
"""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from danet.clips.sequences import Sequences, read_recordings
from danet.config.base import check, overlaid
from danet.config.settings import Prepare, Run, check_config
from danet.datasets.custom import CUSTOM, HELD_OUT, own_data, repetitions
from danet.datasets.dataset import Dataset, Protocol, Sample, split_by
from danet.device import pick_device
from danet.errors import UserError, shown
from danet.inference.scores import scores_of
from danet.io.store import open_records
from danet.io.yaml_text import read_yaml
from danet.metrics import chance_level, interval, near_chance, top_k, unknown_below
from danet.models.base import SkeletonModel
from danet.models.weights import describe, load_model, save_weights
from danet.preparation.chain import prepare
from danet.preparation.coverage import actions_of, coverage
from danet.preparation.split import split
from danet.results import NearChance
from danet.skeleton.layout import find_layout
from danet.training.batches import LabelledSequences, gather
from danet.training.initial import start_from
from danet.training.learner import Learner, channel_spread, fresh_state, train_epoch
from danet.training.task import Task, read_task
from danet.training.train import train_network

METHOD = "danet"
AS_THE_WORKFLOW: dict[str, Any] = {"clips": {"frames": 64}, "model": {"patch_frames": 8}}  # of config/config.yaml
EPOCH_STEPS = 10  # that an epoch has at least: of few recordings each is cut several times in it
FEW_STEPS = 300
TIMED_STEPS = 4
SPARE = 0.85  # of the time: what is not a step takes some, too
MOST_CONFUSED = 5
ALL = "all"

Say = Callable[[str], None]


class Tried(NamedTuple):
    """What a network made of the N recordings that it had not learnt from: `scores` (N, A) and `labels` (N,)."""

    scores: np.ndarray
    labels: np.ndarray
    actions: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.scores.argmax(axis=1) == self.labels

    @property
    def top1(self) -> float:
        """The share that is right."""
        return top_k(self.scores, self.labels, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """In percent, of the accuracy."""
        return interval(self.right)

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """(action, what it was taken for, how often), the most frequent first."""
        guessed = self.scores.argmax(axis=1)
        wrong = Counter(zip(self.labels[~self.right].tolist(), guessed[~self.right].tolist(), strict=True))
        return [(self.actions[a], self.actions[b], count) for (a, b), count in wrong.most_common(MOST_CONFUSED)]

    @property
    def chance(self) -> NearChance | None:
        """The accuracy, where it is near chance."""
        return near_chance("held-out", self.top1, self.labels)

    def lines(self) -> list[str]:
        """A small table."""
        low, high = self.interval
        lines = [
            f"held out   {len(self.labels):,} recordings, {len(set(self.labels.tolist()))} actions",
            f"accuracy   {100 * self.top1:.1f} %, 95 % interval {low:.1f} to {high:.1f}",
        ]
        of_label = Counter(self.labels.tolist())
        for action, guess, count in self.confused:
            lines.append(f"confused   {action} taken for {guess}: {count} of {of_label[self.actions.index(action)]}")
        if self.chance:
            lines.append(f"warning    {self.chance}")
        elif chance_level(self.labels)[1] >= 1:
            lines.append("warning    too few recordings were held out to tell the accuracy from chance")
        return lines


@dataclass(frozen=True)
class Own:
    """Prepared recordings of a table, and all that a training of theirs is done with."""

    dataset: Dataset
    centred: Path
    names: list[str]
    seed: int
    start: Path | None
    device: torch.device
    say: Say

    def task(self, parts: pd.DataFrame, protocol: str, run: Run) -> Task:
        """What is learnt by a split; of few recordings each comes several times in an epoch."""
        file = self.centred.with_name(f"{protocol}.parquet")
        parts.to_parquet(file)
        task = read_task(
            centred=self.centred,
            split=file,
            run=run,
            dataset=self.dataset,
            protocol=protocol,
            method=METHOD,
            seed=self.seed,
        )
        samples = len(task.training.performances)
        times = math.ceil(EPOCH_STEPS * run.train.batch_size / samples)
        return replace(task, training=_chosen(task.training, np.tile(np.arange(samples), max(1, times))))

    def train(self, task: Task) -> SkeletonModel:
        """Trains to the end, and says a line an epoch; the running mean of the weights."""
        initial = start_from(self.start, task.description) if self.start else None
        if initial:
            self.say(f"{self.start}: {initial}")

        def tell(row: dict, epoch: int, *_: object) -> None:
            done = f"loss {row['train_loss']:.3f}, {100 * row['train_top1']:.0f} % of the clips labelled rightly"
            self.say(f"{task.description['protocol']}: epoch {epoch} of {task.run.train.epochs}: {done}")

        folder = self.centred.with_name(f"resume_{task.description['protocol']}")
        tensors = initial.tensors if initial else None
        return train_network(task, self.device, folder, {}, initial=tensors, judge=tell).ema_model

    def try_on(self, model: SkeletonModel, parts: pd.DataFrame, task: Task) -> Tried:
        """Labels the test part of a split."""
        tested = set(parts.loc[parts["part"] == "test", "name"])
        with open_records(self.centred, "centred") as records:
            recordings = read_recordings(records, tested)
        sequences = Sequences(recordings, find_layout(task.description["layout"]), task.run.clips)
        part = gather(sequences, self.dataset, [True] * len(sequences))
        scores = scores_of(model, sequences, np.arange(len(sequences)), self.device)
        return Tried(scores, part.labels, self.dataset.actions)


def train_own(
    table: Path,
    out: Path,
    *,
    seed: int,
    epochs: int | None,
    minutes: float,
    config: Path | None,
    start: Path | None,
    threads: int,
    say: Say,
) -> dict[str, Any]:
    """Trains on the recordings that a table lists, and writes the weights; what was measured, as plain values.

    `epochs` are counted, or as many as `minutes` allow. `config` is a YAML file of settings, `start` weights to start
    from. Errors: UserError for what is wrong with any of the files, and where there is too little to learn from.
    """
    started = time.monotonic()
    if out.is_dir():
        raise UserError(f"{out}: expected the name of a file to write, got a folder")
    run, preparation = own_settings(config, start)
    dataset = own_data(table)
    say(f"{table}: {dataset.samples:,} rows of {len(dataset.actions)} actions; joints: {dataset.layout_told}")
    with tempfile.TemporaryDirectory(prefix="danet-") as temporary:
        centred = Path(temporary, "centred.h5")
        prepare(dataset, table.parent, centred, settings=preparation, jobs=threads)
        own = Own(dataset, centred, names_in(table, dataset, centred, say), seed, start, pick_device(threads), say)
        protocol, parts = hold_out(own, run)
        first = own.task(parts, protocol, run)
        tests_for_good = protocol == "own_split"
        last = None if tests_for_good else own.task(parts.assign(part="train"), ALL, run)
        left = minutes * 60 - (time.monotonic() - started)
        run = own_epochs(run, epochs, first, last, left, own)
        first = replace(first, run=run)
        model = own.train(first)
        tried = own.try_on(model, parts, first)
        for line in tried.lines():
            say(line)
        if last:
            say(f"now a network learns from all {len(own.names):,} recordings")
            last = replace(last, run=run)
            model = own.train(last)
        threshold = unknown_below(tried.scores, tried.labels)
        description = (last or first).description | describe(model) | {"unknown_below": threshold}
        save_weights(out, model.state_dict(), description)
    low, high = tried.interval
    return {
        "out": str(out),
        "held_out_by": protocol,
        "top1": tried.top1,
        "top1_interval": [low / 100, high / 100],
        "samples": len(tried.labels),
        "actions": len(dataset.actions),
        "recordings": len(own.names),
        "epochs": run.train.epochs,
        "confused": [list(pair) for pair in tried.confused],
        "near_chance": tried.chance is not None,
        "seconds": round(time.monotonic() - started, 3),
    }


def own_settings(config: Path | None, start: Path | None) -> tuple[Run, Prepare]:
    """The settings of the training and of the preparation: those of own data, of the weights to start from, of a file.

    The file is one of settings as `config/config.yaml`; what it says of the data set `custom` lies above the rest.
    Errors: UserError that names the file.
    """
    values = read_yaml(config, "a YAML file of settings") if config else {}
    if not isinstance(values, Mapping):
        raise UserError(f"{config}: expected settings by name, got {shown(values)}")
    trained = load_model(start)[1] if start else {}
    try:
        check_config(values)
        given = overlaid(values, values.get("datasets", {}).get(CUSTOM, {}))
        below = {key: trained[key] for key in ("clips", "model") if trained}
        cut = {*given.get("clips", {})} & {"frames"} | {*given.get("model", {})} & {"patch_frames", "name"}
        changes = overlaid(below or ({} if cut else AS_THE_WORKFLOW), given)
        above = {key: changes[key] for key in ("recipe", "clips", "model", "train") if key in changes}
        shared = {key: changes[key] for key in ("split", "prepare") if key in changes}
        chosen = check_config(shared | {"methods": {METHOD: above}})
        return chosen.run(CUSTOM, METHOD), chosen.prepare
    except UserError as error:
        raise UserError(f"{config}: {error}" if config else str(error)) from None


def names_in(table: Path, dataset: Dataset, centred: Path, say: Say) -> list[str]:
    """The samples that could be prepared. Errors: UserError where they are of fewer than two labels."""
    with open_records(centred, "centred") as records:
        names = list(records.names)
    aside = pd.read_parquet(centred.with_name("centred_set_aside.parquet"))
    reasons = ", ".join(f"{count} {reason}" for reason, count in aside["reason"].value_counts().items())
    labels = {dataset.sample(name).action for name in names}
    if len(labels) < 2:
        got = f"{len(labels)} in {len(names)} of {dataset.samples:,} recordings" + (f": {reasons}" if reasons else "")
        raise UserError(f"{table}: expected people who do two or more actions, got {got}")
    if reasons:
        say(f"{len(aside):,} of {dataset.samples:,} recordings are not used: {reasons}")
    return names


def hold_out(own: Own, run: Run) -> tuple[str, pd.DataFrame]:
    """By what recordings are held out, and which part each is of. Errors: UserError where none can be.

    Those that the table calls `test`, or else all of a quarter of the people, at least one. Where there is one person,
    or an action that nobody else does, a quarter of what each does again.
    """
    samples = [own.dataset.sample(name) for name in own.names]
    name, protocol = _protocol(own.dataset, samples)
    settings = run.split.model_copy(update={"validation_share": 0})
    dataset = replace(own.dataset, protocols={name: protocol})
    if all(protocol.part(sample) == "train" for sample in samples):
        expected = "two or more recordings of an action, to try the network on one of them"
        raise UserError(f"{own.dataset.folder}: expected {expected}, got one of each")
    parts = split(dataset, name, own.names, settings)
    own.say(f"held out: {protocol.about}")
    own.say(str(coverage(own.dataset, actions_of(own.dataset, own.names), parts)))
    return name, parts


def _protocol(dataset: Dataset, samples: list[Sample]) -> tuple[str, Protocol]:
    if given := dataset.protocols.get("own_split"):
        about = "the rows that the table calls test; no network learns from them"
        return "own_split", Protocol(about, "subject", split_by(lambda sample: given.part(sample) != "test"))
    subjects = sorted({sample.subject for sample in samples})
    held = set(subjects[HELD_OUT])
    learnt, every = ({s.action for s in samples if s.subject not in out} for out in (held, set()))
    if held and learnt == every:
        about = f"{len(held)} of {len(subjects)} people"
        return "subjects", Protocol(about, "subject", split_by(lambda sample: sample.subject not in held))
    tested = repetitions(samples)
    why = "there is one person" if len(subjects) == 1 else "an action is done by those people alone"
    about = f"a quarter of each action's recordings, since {why}: how other people fare is not known"
    return "repetitions", Protocol(about, "subject", split_by(lambda sample: sample not in tested))


def own_epochs(run: Run, epochs: int | None, first: Task, last: Task | None, left: float, own: Own) -> Run:
    """The settings with as many epochs as were asked for, or fit into the time that is left, in seconds."""
    size = run.train.batch_size
    steps = [math.ceil(len(task.training.performances) / size) for task in (first, last) if task]
    chosen, why = epochs or run.train.epochs, "as asked for"
    if epochs is None:
        a_step = seconds_a_step(first, own.device)
        fit = max(1, int(SPARE * left / (a_step * sum(steps))))
        chosen = min(chosen, fit)
        why = f"a step of {size} clips takes {a_step:.2g} s, so that {fit:,} fit into the time"
    own.say(f"{chosen:,} epochs of {steps[0]} steps, {chosen * steps[0]:,} in all; {why}")
    if chosen * steps[0] < FEW_STEPS:
        own.say(f"under {FEW_STEPS} steps a network has hardly learnt: more minutes, or epochs, should help")
    changes = {"epochs": chosen, "warmup_epochs": min(run.train.warmup_epochs, chosen // 5)}
    changes |= {"refit": False, "keep_epochs": False, "processes": 1}
    return check(Run, overlaid(run.model_dump(), {"train": changes}), "settings")


def seconds_a_step(task: Task, device: torch.device) -> float:
    """How long a step of the training takes, from a few of them by a network that is then thrown away."""
    settings, description = task.run.train, task.description
    state = fresh_state(description, channel_spread(task.training.sequences), settings, device)
    learner = Learner(state, settings, device)
    for steps in (1, TIMED_STEPS):
        clips = _chosen(task.training, np.arange(min(steps * settings.batch_size, len(task.training.performances))))
        started = time.monotonic()
        train_epoch(learner, clips, seed=description["seed"], epoch=1, epochs=1)
    return (time.monotonic() - started) / math.ceil(len(clips.performances) / settings.batch_size)


def _chosen(samples: LabelledSequences, indices: np.ndarray) -> LabelledSequences:
    """The samples of these indices, perhaps several times."""
    performances = [samples.performances[index] for index in indices]
    return LabelledSequences(samples.sequences.subset(indices), samples.labels[indices], performances)
