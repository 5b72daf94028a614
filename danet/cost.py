"""Settings in; what a network costs on this machine out: parameters, operations, memory and time, all of them measured.

The sequences are random numbers: what they show changes no cost.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from danet.checkpoint import State
from danet.clips import Sequences
from danet.config import Config, Run
from danet.datasets.catalogue import find_dataset
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.errors import UserError
from danet.evaluate import as_tensors
from danet.recording import Sequence
from danet.train import Material, Step, channel_spread, fresh_state, learn, step_loss, take_step

LENGTH = 100  # frames of a sequence, about what a recording has
SEQUENCES = 64
STEPS = 5  # timed ones, after one that is not
MEBIBYTE = 1 << 20
COPIES = 5  # of every parameter, while training: itself, its gradient, AdamW's two moments, the running mean


@dataclass(frozen=True)
class Trial:
    """An untrained network and random samples of a data set's kind, in which every action has all of its people."""

    state: State
    material: Material
    run: Run
    device: torch.device

    def step(self, batch: int) -> Step:
        """One step of that many clips, drawn anew."""
        rng = np.random.default_rng(batch)
        groups = rng.integers(0, SEQUENCES, (batch, 1 if self.run.train.partners == "none" else 2))
        return take_step(self.material, groups, self.state.model, rng)

    def train(self, batch: int) -> float:
        """Seconds of one step, the clips cut beforehand, as the loader does while the step before is computed."""
        step = self.step(batch)
        started = time.perf_counter()
        learn(self.state, step, self.material.labels, self.run.train, self.device)
        return time.perf_counter() - started

    @torch.inference_mode()
    def infer(self, batch: int) -> float:
        """Seconds from sequences to scores of that many samples."""
        self.state.mean.eval()
        samples = np.arange(batch) % SEQUENCES
        started = time.perf_counter()
        self.state.mean(*as_tensors(self.material.sequences.cut(samples, None), self.device)).logits.cpu()
        return time.perf_counter() - started

    def operations(self, batch: int, training: bool) -> float:
        """Multiply-accumulates a clip, as the matrix products of one pass hold them."""
        step = self.step(batch)
        with FlopCounterMode(display=False) as counter:
            if training:
                target = self.material.labels[step.samples]
                step_loss(self.state, step, target, self.run.train, self.device)[0].backward()
            else:
                self.state.model(*as_tensors(step.clips, self.device))
        return counter.get_total_flops() / 2 / len(step.samples)

    def memory(self, batch: int) -> int:
        """Bytes that such a step needs: on a GPU what was allocated, else what is kept for the backward pass."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.train(batch)
            return torch.cuda.max_memory_allocated(self.device)
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.train(batch)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in self.state.model.parameters())
        return sum(kept.values()) + COPIES * weights


def make_trial(run: Run, dataset: Dataset, threads: int | None = None) -> Trial:
    """A trial of these settings on a data set's layout and actions."""
    device = pick_device(threads)
    rng = np.random.default_rng(0)
    shape = (LENGTH, 2 if dataset.two_person else 1, dataset.layout.size, 3)
    sequences = [Sequence(str(index), rng.normal(0, 0.3, shape).astype(np.float32)) for index in range(SEQUENCES)]
    cut = Sequences(sequences, dataset.layout, run.clips)
    labels = torch.arange(SEQUENCES, device=device) % len(dataset.actions)
    description = {
        "seed": 0,
        "layout": dataset.layout.described,
        "actions": list(dataset.actions),
        "clips": run.clips.model_dump(mode="json"),
        "model": run.model.model_dump(mode="json"),
    }
    state = fresh_state(description, channel_spread(cut), run.train, device)
    return Trial(state, Material(cut, labels, [str(index // 2) for index in range(SEQUENCES)]), run, device)


def estimate(config: Config, dataset: str, protocol: str, memory: int, results: Path, threads: int | None) -> dict:
    """What a training takes on this machine, and the largest batch, or piece of one, that fits into `memory` bytes.

    Of a sample it is taken that it shows as many people as any action of the data set has, so that memory and time are
    upper bounds.
    """
    source = find_dataset(dataset)
    run = config.run(dataset)
    trial = make_trial(run, source, threads)
    small, large = trial.memory(8), trial.memory(16)
    a_clip = (large - small) / 8
    fixed = small - 8 * a_clip
    fits = int((memory - fixed) // a_clip)
    if fits < 2:
        wanted = f"{(fixed + 2 * a_clip) / MEBIBYTE:,.0f} MiB"
        raise UserError(f"wanted memory for two clips of {dataset}, {wanted}, found {memory / MEBIBYTE:,.0f} MiB")
    batch = run.train.batch_size
    pieces = -(-batch // max(1, fits))
    piece = replace(trial, run=run.model_copy(update={"train": run.train.model_copy(update={"accumulate": pieces})}))
    seconds = sorted(piece.train(batch) for _ in range(STEPS + 1))[STEPS // 2]
    samples, counted = training_samples(results / dataset / protocol / "split.parquet", source)
    steps = -(-samples // batch)
    return {
        "dataset": dataset,
        "protocol": protocol,
        "device": str(trial.device),
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in trial.state.model.parameters()),
        "multiply_accumulates_a_clip": trial.operations(8, training=False),
        "fixed_mebibytes": fixed / MEBIBYTE,
        "mebibytes_a_clip": a_clip / MEBIBYTE,
        "largest_batch": fits,
        "batch_size": batch,
        "accumulate": pieces,
        "samples": samples,
        "samples_counted": counted,
        "seconds_a_step": seconds,
        "seconds_an_epoch": steps * seconds,
        "epochs": run.train.epochs * (2 if run.train.refit else 1),
        "seconds": steps * seconds * run.train.epochs * (2 if run.train.refit else 1),
    }


def training_samples(split: Path, dataset: Dataset) -> tuple[int, str]:
    """Samples that are trained on, and where that was read: the split, or else the whole data set as an upper bound."""
    if split.exists():
        return int((pd.read_parquet(split)["part"] != "test").sum()), str(split)
    return dataset.samples, "all of the data set"


def as_text(found: dict) -> str:
    """What `estimate` found, in a few lines."""
    room = f"{found['fixed_mebibytes']:,.0f} MiB, and {found['mebibytes_a_clip']:,.1f} MiB a clip"
    batch = f"train.batch_size {found['batch_size']} with train.accumulate {found['accumulate']}"
    operations = f"{found['multiply_accumulates_a_clip'] / 1e6:,.0f} million multiply-adds a clip"
    samples = f"{found['samples']:,} samples ({found['samples_counted']})"
    lines = [
        f"{found['dataset']}/{found['protocol']} on {found['device']}, {found['threads']} threads",
        f"  {found['parameters']:,} parameters, {operations}",
        f"  {room}: {found['largest_batch']:,} fit",
        f"  {batch}: {found['seconds_a_step']:.2f} s a step",
        f"  {samples}: {found['seconds_an_epoch'] / 60:,.1f} min an epoch",
        f"  {found['epochs']} epochs: {found['seconds'] / 3600:,.1f} h",
    ]
    return "\n".join(lines)
