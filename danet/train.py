"""Sequences and a split in, weights and a history out: one plain loop, top to bottom.

Each step sees clips, each beside another view of its performance. All that is random in a step is
drawn before the step is divided into pieces, so that neither pieces one after the other nor pieces in several processes
change what it computes. The validation part chooses the epoch, the last one that is within a standard error of the
best; the test part is not read. With `refit`, a network is then trained anew on both together, for as many epochs as
were chosen.
"""

import copy
import hashlib
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from danet.checkpoint import State, forget, keep, kept_epochs, resume
from danet.clips import Sequences, group_views, load_sequences
from danet.config import Run
from danet.config import Train as TrainSettings
from danet.datasets.catalogue import find_dataset
from danet.datasets.dataset import Dataset
from danet.device import multiplies_bfloat16, pick_device
from danet.errors import UserError
from danet.files import write_json, write_text
from danet.model.losses import agreement, label_loss
from danet.model.weights import build_model, save_weights
from danet.optimizer import follow, learning_rate, make_optimizers
from danet.prepare.split import counts, refuse_leaks
from danet.provenance import git_state, versions
from danet.replay import Replay
from danet.scores import scores_of, top_k, unknown_below
from danet.steps import Material, Step, gather, steps
from danet.store import open_records
from danet.together import add_up, as_the_first, place, together

CHANCE_EPOCHS, CHANCE_STEPS, CHANCE_SHARE = 5, 50, 0.99  # by then the loss has left what guessing costs, or never will
VALIDATED = ("validation_loss", "validation_top1")
SPREAD_SAMPLES = 512  # evenly spread over the training samples, enough for a root mean square
SILENT = 1e-6  # of the widest channel's spread: rounding, not movement

log = logging.getLogger(__name__)


def step_loss(
    state: State, settings: TrainSettings, labels: Tensor, branches: Tensor, *clips: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of P samples with these labels (P,), and the logits (P, actions) that each gives by itself.

    `branches` (E, blocks, 3, K) and `clips`, the channels, joints and owner of a `Batch` and then those of the partners
    if there are any, are of a `Step`. Each sample is labelled by itself, as at test, and in the light of its partner.
    The partner is seen by the running mean of the weights, a teacher from which no gradient flows (Tarvainen and
    Valpola, NeurIPS 2017), so that all of a step's P samples can be of different performances.
    """
    (channels, joints, owner), partners = clips[:3], clips[3:]
    views = state.model.encode(channels, joints, owner, len(labels), branches)
    alone = state.model.relate(views, views)
    loss = label_loss(alone, labels, settings)
    if not partners:
        return loss, alone.logits
    with torch.no_grad():
        channels, joints, owner = partners
        others = state.mean.encode(channels, joints, owner, len(labels))
        taught = state.mean.relate(others, others)
    if state.model.settings.cross_attention:
        loss = loss + settings.crossed * label_loss(state.model.relate(views, others), labels, settings)
    return loss + agreement(alone, taught, settings), alone.logits


class Learner:
    """Moves the weights of a state, a step at a time."""

    def __init__(self, state: State, settings: TrainSettings, device: torch.device):
        self.state, self.settings, self.device = state, settings, device
        on_gpu = device.type == "cuda"
        self.records = settings.replay and on_gpu
        self.cutting_threads = torch.get_num_threads() if on_gpu else 1  # what computes does not cut
        self._parameters = list(state.model.parameters())
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self._learn_piece = Replay(self._add_gradients, device, self.records)

    def learn(self, step: Step) -> Tensor:
        """Moves the weights by one step, of which this process computes its pieces: the loss, and the samples labelled
        right.

        The loss of a step is the mean over its samples, so that a piece counts by the samples in it.
        """
        rank, processes = place()
        torch._foreach_zero_(self._gradients)
        learnt = torch.zeros(2, device=self.device)
        for piece in step.pieces(processes * self.settings.accumulate)[rank::processes]:
            if piece is not None:
                share = np.float32(len(piece.labels) / len(step.labels))
                ready = piece.padded() if self.records else piece
                learnt += self._learn_piece(np.asarray(share), *ready.arrays())
        add_up([*self._gradients, learnt])
        torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_gradient)
        for optimizer in self.state.optimizers:
            optimizer.step()
        return learnt.cpu()

    def _add_gradients(self, share: Tensor, labels: Tensor, branches: Tensor, *clips: Tensor) -> Tensor:
        """Adds the gradients of a piece to what there is; its share of the loss, and its samples labelled right."""
        bfloat16 = self.settings.bfloat16 and multiplies_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            loss, logits = step_loss(self.state, self.settings, labels, branches, *clips)
        loss = loss * share
        loss.backward()
        return torch.stack([loss.detach(), (logits.argmax(dim=1) == labels).sum()])


def train_epoch(learner: Learner, material: Material, *, seed: int, epoch: int, epochs: int) -> dict:
    """One pass over the material, the `epoch`th of `epochs`; everything random in it follows from seed and epoch."""
    state, settings = learner.state, learner.settings
    rng = np.random.default_rng([seed, len(state.history)])
    groups = group_views(material.performances, settings.partners, rng)
    total = math.ceil(len(groups) / settings.batch_size)
    found = torch.zeros(2)  # the sum of the steps' losses, and the clips that were labelled right
    waited, started = 0.0, time.monotonic()
    state.model.train()
    ready = steps(material, groups, rng, state.model, size=settings.batch_size, threads=learner.cutting_threads)
    for number in range(total):
        asked = time.monotonic()
        step = next(ready)
        waited += time.monotonic() - asked
        rate = learning_rate(settings, epoch - 1 + number / total, epochs)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        learnt = learner.learn(step)
        if not torch.isfinite(learnt[0]):
            loss = learnt[0].item()
            raise UserError(
                f"epoch {epoch}: wanted a finite loss, found {loss} in step {number}; lower train.learning_rate"
            )
        taken = (epoch - 1) * total + number
        follow(state.mean, state.model, min(settings.averaging, (1 + taken) / (10 + taken)))
        found += learnt
    return {
        "train_loss": found[0].item() / total,
        "train_top1": found[1].item() / len(groups),
        "learning_rate": rate,
        "waited": waited / (time.monotonic() - started),
    }


def validate(state: State, material: Material, device: torch.device) -> dict:
    """Loss and accuracy of the running mean of the weights."""
    scores = scores_of(state.mean, material.sequences, np.arange(len(material.sequences)), device)
    loss = F.nll_loss(torch.from_numpy(scores).log(), torch.from_numpy(material.labels)).item()
    found = torch.tensor([loss, top_k(scores, material.labels, 1)], dtype=torch.float64, device=device)
    return dict(zip(VALIDATED, as_the_first(found).tolist(), strict=True))


def calibrate(weights: dict[str, Tensor], about: dict, material: Material, device: torch.device) -> float | None:
    """The score below which the chosen epoch's label is better called unknown, as the validation part tells."""
    model = build_model(about).to(device)
    model.load_state_dict(weights)
    scores = scores_of(model, material.sequences, np.arange(len(material.sequences)), device)
    return unknown_below(scores, material.labels)


def refuse_chance(row: dict, epoch: int, samples: int, actions: int, run: Run) -> None:
    """Errors: UserError when the network still guesses after CHANCE_EPOCHS epochs, and CHANCE_STEPS steps.

    Guessing costs log(actions) for each label that is learnt, a clip's own and that in the light of its partner, with
    smoothed labels as well; the agreement of two views only adds to that.
    """
    settings = run.train
    checked = max(CHANCE_EPOCHS, math.ceil(CHANCE_STEPS / math.ceil(samples / settings.batch_size)))
    crossed = settings.crossed if run.model.cross_attention and settings.partners != "none" else 0
    wanted = CHANCE_SHARE * (1 + crossed) * math.log(actions)
    if epoch == checked and row["train_loss"] >= wanted and row["train_top1"] < 2 / actions:
        found = f"{row['train_loss']:.3f} and a share of {row['train_top1']:.3f} right"
        advice = "is train.learning_rate too high, or are labels and recordings mixed up?"
        raise UserError(f"epoch {epoch}: wanted a loss below chance, {wanted:.3f}, found {found}; {advice}")


def channel_spread(sequences: Sequences) -> np.ndarray:
    """(C,) the root mean square of each channel over the training samples: motion is far smaller than position.

    1 for a channel that says nothing, as the depth of flat key points.
    """
    chosen = np.unique(np.linspace(0, len(sequences) - 1, SPREAD_SAMPLES).round().astype(int))
    channels = sequences.cut(chosen, None).channels
    spread = np.sqrt(np.square(channels, dtype=np.float64).mean(axis=(0, 1, 2)))
    return np.where(spread > SILENT * spread.max(), spread, 1).astype(np.float32)


def fresh_state(description: dict, spread: np.ndarray, settings: TrainSettings, device: torch.device) -> State:
    """An untrained network, which follows from the seed in its description."""
    torch.manual_seed(description["seed"])
    model = build_model(description).to(device)
    model.channel_scale.copy_(torch.from_numpy(spread))
    mean = copy.deepcopy(model)
    if settings.compile:
        model.encode = torch.compile(model.encode)  # type: ignore[method-assign]
    return State(model, mean, make_optimizers(model, settings))


def train(*, run: Run, **arguments: Any) -> None:
    """The train stage, in as many processes as its settings say: `train_here` has the arguments."""
    together(run.train.processes, train_here, run=run, **arguments)


def train_here(
    *,
    centred: Path,
    split: Path,
    run: Run,
    dataset: str,
    protocol: str,
    seed: int,
    method: str = "danet",
    code: dict,
    threads: int,
    folder: Path,
) -> None:
    """Writes `weights.safetensors`, `epochs.safetensors`, `history.jsonl` and `run.json` into `folder`.

    Of several processes the first does. The second file holds the weights after every epoch, or none of them.

    `.resume/` in it, which no rule declares, holds the state after the last whole epoch until the run has ended.
    """
    rank, processes = place()
    source, settings = find_dataset(dataset), run.train
    device = pick_device(max(1, threads // processes), rank if processes > 1 else None)
    log.info("%s/%s %s seed %d on %s, %d threads", dataset, protocol, method, seed, device, torch.get_num_threads())
    parts = pd.read_parquet(split)
    part_of = dict(zip(parts["name"], parts["part"], strict=True))
    with open_records(centred, "centred") as records:
        refuse_leaks(records, part_of, source)
        known = records.names
    sequences, about, data_hash = load_sequences(
        centred, {n for n, part in part_of.items() if part != "test"}, run.clips
    )
    training, validation, both = (
        gather(sequences, source, [part_of[name] in chosen for name in sequences.names])
        for chosen in (("train",), ("validation",), ("train", "validation"))
    )
    validated = (parts["part"] == "validation").any()
    if not training.performances or (validated and not validation.performances):
        found = f"{len(training.performances)} and {len(validation.performances)}"
        raise UserError(f"{centred}: wanted training and validation samples of {dataset}/{protocol}, found {found}")
    description = {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
        "method": method,
        "simulated": source.simulated,
        "layout": about["layout"],
        "actions": list(source.actions),
        "data_hash": data_hash,
        "prepare": about["prepare"],
        "clips": run.clips.model_dump(mode="json"),
        "model": run.model.model_dump(mode="json"),
    }
    spread = channel_spread(training.sequences)
    state = fresh_state(description, spread, settings, device)
    identity = {
        "description": description,
        "train": settings.model_dump(mode="json"),
        "samples": samples_hash(part_of, source),
        "code": code,
    }
    resume(state, folder / ".resume", identity)
    learner = Learner(state, settings, device)
    title = f"{dataset}/{protocol} {method} seed {seed}"
    bar = tqdm(initial=len(state.history), desc=title, unit=" epochs", disable=rank > 0 or None)

    def epoch_of(material: Material, epoch: int, epochs: int, checked: Material | None) -> None:
        started = time.monotonic()
        row = train_epoch(learner, material, seed=seed, epoch=epoch, epochs=epochs)
        refuse_chance(row, epoch, len(material.sequences), len(source.actions), run)
        row |= validate(state, checked, device) if checked else dict.fromkeys(VALIDATED)
        state.close_epoch({**row, "seconds": time.monotonic() - started}, len(validation.performances))
        if rank > 0:
            return
        log.info("%s", json.dumps(state.history[-1]))
        bar.set_postfix(loss=row["train_loss"], validation=row["validation_top1"])
        bar.update()
        keep(state, folder / ".resume", identity)

    for epoch in range(len(state.history) + 1, settings.epochs + 1):
        epoch_of(training, epoch, settings.epochs, validation if validated else None)
    chosen = state.chosen_epoch(len(validation.performances))
    if settings.refit:
        if len(state.history) == settings.epochs:
            state.start_over(fresh_state(description, spread, settings, device))
            learner = Learner(state, settings, device)
        for epoch in range(len(state.history) - settings.epochs + 1, chosen["epoch"] + 1):
            epoch_of(both, epoch, chosen["epoch"], None)
    bar.close()
    if rank > 0:
        return
    weights = state.mean.state_dict() if settings.refit else state.best
    threshold = {"unknown_below": calibrate(state.best, description, validation, device) if validated else None}
    save_weights(folder / "weights.safetensors", weights, description | threshold)
    every = kept_epochs(folder / ".resume", settings.epochs) if settings.keep_epochs else {}
    save_weights(folder / "epochs.safetensors", every, description)
    write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in state.history))
    facts = {
        **{key: value for key, value in description.items() if key not in ("prepare", "clips", "model")},
        "title": source.title,
        "settings": run.model_dump(mode="json", exclude={"evaluate", "attention"}) | {"prepare": about["prepare"]},
        "versions": versions(),
        "git": git_state(),
        "code": code,
        "counts": counts(parts[parts["name"].isin(known)]),
        "device": str(device),
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "seconds": sum(row["seconds"] for row in state.history),
        "epoch": chosen["epoch"],
        "validation_top1": chosen["validation_top1"],
    }
    write_json(folder / "run.json", facts)
    forget(folder / ".resume")


def samples_hash(part_of: dict[str, str], source: Dataset) -> str:
    """What tells one split of labelled samples from another: the part, the label and the performance of each."""
    samples = [(name, part, source.sample(name)) for name, part in sorted(part_of.items())]
    lines = [f"{name}\t{part}\t{sample.action}\t{sample.performance}\n" for name, part, sample in samples]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
