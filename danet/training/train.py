"""Sequences and a split in, weights and a history out: one plain loop, top to bottom.

Each step sees clips, each beside another view of its performance. All that is random in a step is
drawn before the step is divided into pieces, so that neither pieces one after the other nor pieces in several processes
change what it computes. The validation part chooses the epoch, the last one that is within a standard error of the
best; the test part is not read. With `refit`, a network is then trained anew on both together, for as many epochs as
were chosen.
"""

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

from danet.clips.sequences import load_sequences
from danet.config.settings import Run
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.device import pick_device
from danet.errors import UserError
from danet.inference.scores import scores_of
from danet.io.files import write_json, write_text
from danet.io.provenance import git_state, versions
from danet.io.store import open_records
from danet.metrics import top_k, unknown_below
from danet.models.weights import build_model, save_weights
from danet.preparation.split import counts, refuse_leaks
from danet.training.batches import Material, gather
from danet.training.checkpoint import State, forget, keep, kept_epochs, resume
from danet.training.distributed import as_the_first, place, together
from danet.training.learner import Learner, channel_spread, fresh_state, train_epoch

CHANCE_EPOCHS, CHANCE_STEPS, CHANCE_SHARE = 5, 50, 0.99  # by then the loss has left what guessing costs, or never will
VALIDATED = ("validation_loss", "validation_top1")

log = logging.getLogger(__name__)


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
