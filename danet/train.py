"""Sequences and a split in, weights and a history out: one plain loop, top to bottom.

Each step sees pairs of views of one performance. The validation part chooses the epoch, the last one that is within a
standard error of the best; the test part is not read. With `refit`, a network is then trained anew on training and
validation part together, for as many epochs as were chosen.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from danet.checkpoint import State, forget, keep, resume
from danet.clips import Batch, Sequences, load_sequences, pair_views
from danet.config import Run
from danet.config import Train as TrainSettings
from danet.datasets.catalogue import find_dataset
from danet.datasets.dataset import Dataset
from danet.device import multiplies_bfloat16, pick_device
from danet.errors import UserError
from danet.evaluate import as_tensors, logits_of, top_k
from danet.files import write_json, write_text
from danet.model.danet import DANet, Output, View
from danet.model.weights import build_model, save_weights
from danet.prepare.split import counts, refuse_leaks
from danet.provenance import git_state, versions
from danet.store import open_records

CHANCE_EPOCHS, CHANCE_SHARE = 5, 0.99  # by then the loss has left what guessing costs, or never will
SPREAD_SAMPLES = 512  # evenly spread over the training samples, enough for a root mean square

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """Samples to learn from or to be tried on: N sequences, `labels` (N,), and the performances that they show."""

    sequences: Sequences
    labels: Tensor
    performances: list[str]


def view_losses(views: Output, settings: TrainSettings) -> Tensor:
    """How far the two views of each pair disagree: in which joints they attend to, and in their features.

    `views` holds the first views of all pairs, then the second ones. Attention maps are compared by the Jensen-Shannon
    divergence, features by the cosine. Only the joints' maps are compared, since the recordings of a performance need
    not be synchronous.
    """
    maps = views.joint_map.float().chunk(2)
    middle = ((maps[0] + maps[1]) / 2).log()
    divergence = torch.stack([F.kl_div(middle, one, reduction="batchmean") for one in maps]).mean()
    first, second = views.features.chunk(2)
    distance = 1 - F.cosine_similarity(first, second).mean()
    return settings.map_agreement * divergence + settings.feature_agreement * distance


def pair_loss(model: DANet, batch: tuple, labels: Tensor, settings: TrainSettings) -> tuple[Tensor, Tensor]:
    """The loss of P pairs, and the logits (2 P, actions) that each view gives by itself.

    The batch holds the first views of all pairs, then the second ones; `labels` (2 P,) likewise. Each view is labelled
    by itself, as at test, and in the light of the other.
    """
    views = model.encode(*batch)
    alone = model.relate(views, views)
    loss = F.cross_entropy(alone.logits, labels, label_smoothing=settings.label_smoothing)
    if model.settings.cross_attention:
        crossed = model.relate(views, swapped(views))
        loss = (loss + F.cross_entropy(crossed.logits, labels, label_smoothing=settings.label_smoothing)) / 2
    return loss + view_losses(alone, settings), alone.logits


def swapped(views: View) -> View:
    """The tokens of each sample's partner: first views of pairs for second ones, and the reverse."""
    space, time = (torch.cat(tokens.chunk(2)[::-1]) for tokens in views)
    return space, time


def steps(sequences: Sequences, pairs: np.ndarray, rng: np.random.Generator, size: int) -> Iterator[tuple]:
    """Samples (2 P,) and their clips, first views first; each batch is cut by a second thread, one step ahead."""

    def cut(chosen: np.ndarray) -> tuple[np.ndarray, Batch]:
        samples = chosen.T.reshape(-1)
        return samples, sequences.cut(samples, rng)

    chunks = np.array_split(pairs, math.ceil(len(pairs) / size))
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(cut, chunks[0])
        for following in [*chunks[1:], None]:
            ready = coming.result()
            if following is not None:
                coming = pool.submit(cut, following)
            yield ready


def train_epoch(
    state: State,
    material: Material,
    *,
    settings: TrainSettings,
    seed: int,
    epoch: int,
    epochs: int,
    device: torch.device,
) -> dict:
    """One pass over the material, the `epoch`th of `epochs`; everything random in it follows from seed and epoch."""
    rng = np.random.default_rng([seed, len(state.history)])
    torch.manual_seed(int(rng.integers(1 << 62)))
    pairs = pair_views(material.performances, rng)
    size = max(1, settings.batch_size // 2)
    total = math.ceil(len(pairs) / size)
    losses, right = [], 0
    state.model.train()
    for step, (chosen, batch) in enumerate(steps(material.sequences, pairs, rng, size)):
        rate = learning_rate(settings, epoch - 1 + step / total, epochs)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        target = material.labels[chosen]
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
            loss, logits = pair_loss(state.model, as_tensors(batch, device), target, settings)
        if not torch.isfinite(loss):
            found = f"{loss.item()} in step {step}"
            raise UserError(f"epoch {epoch}: wanted a finite loss, found {found}; lower train.learning_rate")
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip_gradient)
        state.optimizer.step()
        taken = (epoch - 1) * total + step
        follow(state.mean, state.model, min(settings.averaging, (1 + taken) / (10 + taken)))
        losses.append(loss.item())
        right += int((logits.argmax(dim=1) == target).sum())
    return {"train_loss": float(np.mean(losses)), "train_top1": right / (2 * len(pairs)), "learning_rate": rate}


def validate(state: State, material: Material, device: torch.device) -> dict:
    """Loss and accuracy of the running mean of the weights."""
    logits = logits_of(state.mean, material.sequences, np.arange(len(material.sequences)), device)
    labels = material.labels.cpu()
    loss = F.cross_entropy(torch.from_numpy(logits), labels).item()
    return {"validation_loss": loss, "validation_top1": top_k(logits, labels.numpy(), 1)}


def refuse_chance(row: dict, epoch: int, actions: int) -> None:
    """Errors: UserError when the network still guesses after CHANCE_EPOCHS epochs.

    Guessing costs log(actions), with smoothed labels as well, and the agreement of two views only adds to that.
    """
    wanted = CHANCE_SHARE * math.log(actions)
    if epoch == CHANCE_EPOCHS and row["train_loss"] >= wanted and row["train_top1"] < 2 / actions:
        found = f"{row['train_loss']:.3f} and a share of {row['train_top1']:.3f} right"
        advice = "is train.learning_rate too high, or are labels and recordings mixed up?"
        raise UserError(f"epoch {epoch}: wanted a loss below chance, {wanted:.3f}, found {found}; {advice}")


def learning_rate(settings: TrainSettings, done: float, epochs: int) -> float:
    """After `done` of `epochs`: a straight rise over the warm-up, then a cosine down to 0."""
    warmup = min(settings.warmup_epochs, epochs / 2)
    if done < warmup:
        return settings.learning_rate * done / warmup
    return settings.learning_rate * (1 + math.cos(math.pi * (done - warmup) / (epochs - warmup))) / 2


@torch.no_grad()
def follow(mean: DANet, model: DANet, decay: float) -> None:
    """Moves the running mean towards the model."""
    torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - decay)


def channel_spread(sequences: Sequences) -> np.ndarray:
    """(C,) the root mean square of each channel over the training samples: motion is far smaller than position."""
    chosen = np.unique(np.linspace(0, len(sequences) - 1, SPREAD_SAMPLES).round().astype(int))
    channels = sequences.cut(chosen, None).channels
    return np.sqrt(np.square(channels, dtype=np.float64).mean(axis=(0, 1, 2))).astype(np.float32)


def make_optimizer(model: DANet, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices, not on biases, norms, embeddings and relation terms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name.endswith("weight")]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and name.endswith("weight"))]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def fresh_state(description: dict, spread: np.ndarray, settings: TrainSettings, device: torch.device) -> State:
    """An untrained network, which follows from the seed in its description."""
    torch.manual_seed(description["seed"])
    model = build_model(description).to(device)
    model.channel_scale.copy_(torch.from_numpy(spread))
    return State(model, copy.deepcopy(model), make_optimizer(model, settings))


def train(
    *,
    centred: Path,
    split: Path,
    run: Run,
    dataset: str,
    protocol: str,
    seed: int,
    code: dict,
    threads: int,
    folder: Path,
) -> None:
    """The train stage: writes `weights.safetensors`, `history.jsonl` and `run.json` into `folder`.

    `.resume/` in it, which no rule declares, holds the state after the last whole epoch until the run has ended.
    """
    source, device, settings = find_dataset(dataset), pick_device(threads), run.train
    log.info("%s/%s seed %d on %s, %d threads", dataset, protocol, seed, device, torch.get_num_threads())
    parts = pd.read_parquet(split)
    part_of = dict(zip(parts["name"], parts["part"], strict=True))
    with open_records(centred, "centred") as records:
        refuse_leaks(records, part_of, source)
    sequences, about, data_hash = load_sequences(
        centred, {n for n, part in part_of.items() if part != "test"}, run.clips
    )
    training, validation, both = (
        gather(sequences, source, [part_of[name] in chosen for name in sequences.names], device)
        for chosen in (("train",), ("validation",), ("train", "validation"))
    )
    if not training.performances or not validation.performances:
        found = f"{len(training.performances)} and {len(validation.performances)}"
        raise UserError(f"{centred}: wanted training and validation samples of {dataset}/{protocol}, found {found}")
    description = {
        "dataset": dataset,
        "protocol": protocol,
        "seed": seed,
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
    identity = {"description": description, "train": settings.model_dump(mode="json"), "code": code}
    resume(state, folder / ".resume", identity)
    bar = tqdm(initial=len(state.history), desc=f"{dataset}/{protocol} seed {seed}", unit=" epochs", disable=None)

    def epoch_of(material: Material, epoch: int, epochs: int, checked: Material | None) -> None:
        started = time.monotonic()
        row = train_epoch(state, material, settings=settings, seed=seed, epoch=epoch, epochs=epochs, device=device)
        refuse_chance(row, epoch, len(source.actions))
        row |= validate(state, checked, device) if checked else {"validation_loss": None, "validation_top1": None}
        state.close_epoch({**row, "seconds": time.monotonic() - started}, len(validation.performances))
        log.info("%s", json.dumps(state.history[-1]))
        bar.set_postfix(loss=row["train_loss"], validation=row["validation_top1"])
        bar.update()
        keep(state, folder / ".resume", identity)

    for epoch in range(len(state.history) + 1, settings.epochs + 1):
        epoch_of(training, epoch, settings.epochs, validation)
    chosen = state.chosen_epoch(len(validation.performances))
    if settings.refit:
        if len(state.history) == settings.epochs:
            state.start_over(fresh_state(description, spread, settings, device))
        for epoch in range(len(state.history) - settings.epochs + 1, chosen["epoch"] + 1):
            epoch_of(both, epoch, chosen["epoch"], None)
    bar.close()
    weights = state.mean.state_dict() if settings.refit else state.best
    save_weights(folder / "weights.safetensors", weights, description)
    write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in state.history))
    facts = {
        **{key: value for key, value in description.items() if key not in ("prepare", "clips", "model")},
        "title": source.title,
        "settings": run.model_dump(mode="json") | {"prepare": about["prepare"]},
        "versions": versions(),
        "git": git_state(),
        "code": code,
        "counts": counts(parts),
        "device": str(device),
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "seconds": sum(row["seconds"] for row in state.history),
        "epoch": chosen["epoch"],
        "validation_top1": chosen["validation_top1"],
    }
    write_json(folder / "run.json", facts)
    forget(folder / ".resume")


def gather(sequences: Sequences, source: Dataset, chosen: list[bool], device: torch.device) -> Material:
    """The chosen sequences with what is known of them."""
    part = sequences.subset(np.flatnonzero(chosen))
    samples = [source.sample(name) for name in part.names]
    labels = torch.tensor([sample.action for sample in samples], dtype=torch.int64, device=device)
    return Material(part, labels, [sample.performance for sample in samples])
