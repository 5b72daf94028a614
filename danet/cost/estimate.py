"""Settings and a memory in; what batch fits into it and how long a training takes on this machine out."""

from pathlib import Path

import pandas as pd
import torch

from danet.config.settings import Config, Run
from danet.cost.measure import MEBIBYTE, make_trial
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.errors import UserError

STEPS = 5  # timed ones, after one that is not


def estimate(config: Config, dataset: str, protocol: str, memory: int, results: Path, threads: int | None) -> dict:
    """What a training takes on this machine, and the largest batch, or piece of one, that fits into `memory` bytes.

    Of a sample it is taken that it shows as many people as any action of the data set has, so that memory and time are
    upper bounds.
    """
    source = find_dataset(dataset)
    run = config.run(dataset)
    trial = make_trial(_changed(run, accumulate=1, replay=False), source, threads)
    trial.train(8)  # from then on the optimizers hold their moments
    small, large = trial.memory(8), trial.memory(16)
    a_clip = (large - small) / 8
    fixed = small - 8 * a_clip
    fits = int((memory - fixed) // a_clip)
    if fits < 2:
        wanted = f"{(fixed + 2 * a_clip) / MEBIBYTE:,.0f} MiB"
        raise UserError(f"wanted memory for two clips of {dataset}, {wanted}, found {memory / MEBIBYTE:,.0f} MiB")
    batch = run.train.batch_size
    pieces = -(-batch // max(1, fits))
    in_pieces = make_trial(_changed(run, accumulate=pieces), source, threads)
    seconds = sorted(in_pieces.train(batch) for _ in range(STEPS + 1))[STEPS // 2]
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


def _changed(run: Run, **settings: int) -> Run:
    return run.model_copy(update={"train": run.train.model_copy(update=settings)})


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
