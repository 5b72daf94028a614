"""Trains a network: sequences and a split to weights and a history, in one plain loop.

Each step sees clips, and beside each, where the network learns from pairs, another view of its performance. All that is
random in a step is drawn before the batch is divided, so that neither micro-batches one after the other nor shares of
several processes change what it computes. The validation part chooses the epoch, the last one that is within a standard
error of the best; the test part is not read. With `refit`, a network is then trained anew on both together, for as many
epochs as were chosen.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from danet.config.settings import Run
from danet.datasets.registry import find_dataset
from danet.device import pick_device
from danet.errors import UserError, tell
from danet.inference.scores import scores_of
from danet.metrics import chance_level, near_chance, top_k, unknown_below
from danet.models.base import SkeletonModel
from danet.models.weights import build_model, tensors_hash
from danet.results import NearChance
from danet.training.batches import LabelledSequences
from danet.training.checkpoint import State, forget, keep, resume
from danet.training.distributed import broadcast_from_rank0, launch, rank_and_world_size
from danet.training.learner import Learner, channel_spread, fresh_state, train_epoch
from danet.training.run_files import write_run
from danet.training.task import Task, read_task

CHANCE_EPOCHS, CHANCE_STEPS, CHANCE_SHARE = 5, 50, 0.99  # by then the loss has left what guessing costs, or never will
Judge = Callable[[dict, int, int, SkeletonModel, Task], object]
VALIDATED = ("validation_loss", "validation_top1")

log = logging.getLogger(__name__)


def train(*, run: Run, **arguments: Any) -> None:
    """The train stage, in as many processes as its settings say: `train_here` has the arguments."""
    launch(run.train.processes, train_here, run=run, **arguments)


def train_here(
    *,
    centred: Path,
    split: Path,
    run: Run,
    dataset: str,
    protocol: str,
    seed: int,
    method: str = "danet",
    own_data: str | None = None,
    code: dict,
    threads: int,
    folder: Path,
) -> None:
    """Trains one network, in this process or with others; the first of them writes what `write_run` says.

    `own_data` is their folder, where the data set is that. `.resume/` in `folder`, which no rule declares, holds the
    state after the last whole epoch until the run has ended.
    """
    rank, processes = rank_and_world_size()
    device = pick_device(max(1, threads // processes), rank if processes > 1 else None)
    task = read_task(
        centred=centred,
        split=split,
        run=run,
        dataset=find_dataset(dataset, own_data),
        protocol=protocol,
        method=method,
        seed=seed,
    )
    log.info("%s on %s, %d threads", task.title, device, torch.get_num_threads())
    resume_folder = folder / ".resume"
    state = train_network(task, device, resume_folder, code)
    if rank > 0:
        return
    threshold = unknown_threshold(task, state.best, device)
    chance = ended_near_chance(task, state)
    if chance:
        tell(log, f"{task.title}: {chance}")
    write_run(folder, resume_folder, task, state, threshold=threshold, chance=chance, code=code, device=str(device))
    forget(resume_folder)


def train_network(
    task: Task,
    device: torch.device,
    resume_folder: Path,
    code: dict,
    *,
    initial: dict[str, Tensor] | None = None,
    judge: Judge | None = None,
) -> State:
    """Trains a task's network to the end, from where an interrupted run of it left off; the state after every epoch.

    `initial` are tensors, by name, that it starts from. `judge` sees the row of each epoch, and may refuse it; without
    one, `refuse_chance` does. Errors: UserError when the loss is no number, or the network still guesses when it should
    have begun to learn.
    """
    settings, rank = task.run.train, rank_and_world_size()[0]
    spread, judge = channel_spread(task.training.sequences), judge or refuse_chance
    state = fresh_state(task.description, spread, settings, device, initial)
    identity = {
        "description": task.description,
        "train": settings.model_dump(mode="json"),
        "samples": task.samples_hash,
        "code": code,
    } | ({"initial": tensors_hash(initial)} if initial else {})
    resume(state, resume_folder, identity)
    learner = Learner(state, settings, device)
    bar = tqdm(initial=len(state.history), desc=task.title, unit=" epochs", disable=rank > 0 or None)

    def run_epoch(samples: LabelledSequences, epoch: int, epochs: int, checked: LabelledSequences | None) -> None:
        started = time.monotonic()
        row = train_epoch(learner, samples, seed=task.description["seed"], epoch=epoch, epochs=epochs)
        judge(row, epoch, len(samples.sequences), state.model, task)
        row |= validate(state, checked, device) if checked else dict.fromkeys(VALIDATED)
        state.close_epoch({**row, "seconds": time.monotonic() - started}, len(task.validation.performances))
        if rank > 0:
            return
        log.info("%s", json.dumps(state.history[-1]))
        bar.set_postfix(loss=row["train_loss"], validation=row["validation_top1"])
        bar.update()
        keep(state, resume_folder, identity)

    for epoch in range(len(state.history) + 1, settings.epochs + 1):
        run_epoch(task.training, epoch, settings.epochs, task.validation if task.validated else None)
    chosen = state.chosen_epoch(len(task.validation.performances))
    if settings.refit:
        if len(state.history) == settings.epochs:
            state.start_over(fresh_state(task.description, spread, settings, device, initial))
            learner = Learner(state, settings, device)
        for epoch in range(len(state.history) - settings.epochs + 1, chosen["epoch"] + 1):
            run_epoch(task.both, epoch, chosen["epoch"], None)
    bar.close()
    return state


def validate(state: State, samples: LabelledSequences, device: torch.device) -> dict:
    """Loss and accuracy of the running mean of the weights."""
    scores = scores_of(state.ema_model, samples.sequences, np.arange(len(samples.sequences)), device)
    loss = F.nll_loss(torch.from_numpy(scores).log(), torch.from_numpy(samples.labels)).item()
    values = torch.tensor([loss, top_k(scores, samples.labels, 1)], dtype=torch.float64, device=device)
    return dict(zip(VALIDATED, broadcast_from_rank0(values).tolist(), strict=True))


def unknown_threshold(task: Task, weights: dict[str, Tensor], device: torch.device) -> float | None:
    """The score below which the chosen epoch's label is better called unknown, as the validation part tells."""
    if not task.validated:
        return None
    model = build_model(task.description).to(device)
    model.load_state_dict(weights)
    sequences = task.validation.sequences
    return unknown_below(scores_of(model, sequences, np.arange(len(sequences)), device), task.validation.labels)


def ended_near_chance(task: Task, state: State) -> NearChance | None:
    """The chosen epoch's accuracy where it is near chance, else None.

    It is that on the validation part, or on the clips that were learnt from where there is none, or too little of it to
    tell.
    """
    chosen = state.chosen_epoch(len(task.validation.performances))
    if chosen["validation_top1"] is not None and chance_level(task.validation.labels)[1] < 1:
        return near_chance("validation", chosen["validation_top1"], task.validation.labels)
    return near_chance("training", chosen["train_top1"], task.training.labels)


def refuse_chance(row: dict, epoch: int, samples: int, model: SkeletonModel, task: Task) -> None:
    """Errors: UserError when the network still guesses after CHANCE_EPOCHS epochs, and CHANCE_STEPS steps.

    Guessing costs the same with smoothed labels, and the other terms of a loss only add to that.
    """
    settings, actions = task.run.train, len(task.dataset.actions)
    checked = max(CHANCE_EPOCHS, math.ceil(CHANCE_STEPS / math.ceil(samples / settings.batch_size)))
    expected = CHANCE_SHARE * model.guessing_loss(actions, settings.paired_views != "none")
    if epoch == checked and row["train_loss"] >= expected and row["train_top1"] < 2 / actions:
        got = f"{row['train_loss']:.3f} and a share of {row['train_top1']:.3f} right"
        advice = "is train.learning_rate too high, or are labels and recordings mixed up?"
        raise UserError(f"epoch {epoch}: expected a loss below chance, {expected:.3f}, got {got}; {advice}")
