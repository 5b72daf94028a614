"""Says what batch fits into a memory, and how long a training takes on this machine."""

from pathlib import Path
from typing import Any

import torch

from danet.config.settings import Run
from danet.cost.measure import MEBIBYTE, make_benchmark_run
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.models.base import parameters_of
from danet.preparation.split import read_split

STEPS = 5  # timed ones, after one that is not


def estimate(
    run: Run, dataset: Dataset, protocol: str, *, memory: int, results: Path, threads: int | None
) -> dict[str, Any]:
    """What a training takes on this machine, and the largest batch, or part of one, that fits into `memory` bytes.

    Every sample is taken to show as many people as any action of the data set has, so that memory and time are upper
    bounds.
    """
    benchmark = make_benchmark_run(_changed(run, grad_accum_steps=1, cuda_graphs=False), dataset, threads)
    benchmark.time_training(8)  # from then on the optimizers hold their moments
    small, large = benchmark.memory(8), benchmark.memory(16)
    a_clip = (large - small) / 8
    fixed = small - 8 * a_clip
    fits = int((memory - fixed) // a_clip)
    batch = run.train.batch_size
    least = batch if benchmark.state.model.has_batch_norm else 2
    if fits < least:
        expected = f"{(fixed + least * a_clip) / MEBIBYTE:,.0f} MiB"
        got = f"{memory / MEBIBYTE:,.0f} MiB"
        raise UserError(f"expected memory for {least} clips of {dataset.name}, {expected}, got {got}")
    parts = -(-batch // max(1, fits))
    in_parts = make_benchmark_run(_changed(run, grad_accum_steps=parts), dataset, threads)
    seconds = sorted(in_parts.time_training(batch) for _ in range(STEPS + 1))[STEPS // 2]
    samples, counted = training_samples(results / dataset.name / protocol / "split.parquet", dataset)
    steps = -(-samples // batch)
    epochs = run.train.epochs * (2 if run.train.refit else 1)
    return {
        "dataset": dataset.name,
        "protocol": protocol,
        "device": str(benchmark.device),
        "threads": torch.get_num_threads(),
        "parameters": parameters_of(benchmark.state.model),
        "multiply_accumulates_a_clip": benchmark.operations(8, training=False),
        "fixed_mebibytes": fixed / MEBIBYTE,
        "mebibytes_a_clip": a_clip / MEBIBYTE,
        "largest_batch": fits,
        "batch_size": batch,
        "grad_accum_steps": parts,
        "samples": samples,
        "samples_counted": counted,
        "seconds_a_step": seconds,
        "seconds_an_epoch": steps * seconds,
        "epochs": epochs,
        "seconds": steps * seconds * epochs,
    }


def _changed(run: Run, **settings: int) -> Run:
    return run.model_copy(update={"train": run.train.model_copy(update=settings)})


def training_samples(split: Path, dataset: Dataset) -> tuple[int, str]:
    """Samples that are trained on, and where that was read: the split, or else the whole data set as an upper bound."""
    if split.exists():
        return int((read_split(split)["part"] != "test").sum()), str(split)
    return dataset.samples, "all of the data set"


def as_text(estimated: dict[str, Any]) -> str:
    """What `estimate` says, in a few lines."""
    room = f"{estimated['fixed_mebibytes']:,.0f} MiB, and {estimated['mebibytes_a_clip']:,.1f} MiB a clip"
    batch = f"train.batch_size {estimated['batch_size']} with train.grad_accum_steps {estimated['grad_accum_steps']}"
    operations = f"{estimated['multiply_accumulates_a_clip'] / 1e6:,.0f} million multiply-adds a clip"
    samples = f"{estimated['samples']:,} samples ({estimated['samples_counted']})"
    lines = [
        f"{estimated['dataset']}/{estimated['protocol']} on {estimated['device']}, {estimated['threads']} threads",
        f"  {estimated['parameters']:,} parameters, {operations}",
        f"  {room}: {estimated['largest_batch']:,} fit",
        f"  {batch}: {estimated['seconds_a_step']:.2f} s a step",
        f"  {samples}: {estimated['seconds_an_epoch'] / 60:,.1f} min an epoch",
        f"  {estimated['epochs']} epochs: {estimated['seconds'] / 3600:,.1f} h",
    ]
    return "\n".join(lines)
