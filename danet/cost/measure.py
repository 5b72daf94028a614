"""Measures what a network costs on this machine: parameters, operations, time and memory.

The sequences are random numbers: what they show changes no cost.
"""

import logging
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from danet.clips.sequences import Sequences
from danet.config.settings import Run
from danet.datasets.dataset import Dataset
from danet.device import multiplies_bfloat16, pick_device, to_device
from danet.inference.scores import as_tensors
from danet.io.files import write_json
from danet.models.base import parameters_of
from danet.results import Cost
from danet.skeleton.recording import Sequence
from danet.training.batches import LabelledSequences, TrainingBatch, make_batch
from danet.training.checkpoint import State
from danet.training.learner import Learner, channel_spread, fresh_state

LENGTH = 100  # frames of a sequence, about what a recording has
SEQUENCES = 64
BATCH = 32  # clips at a time, beside one
SIDE = {"cpu": 2048, "cuda": 8192}  # rows and columns of the matrices whose product takes the peak
SECONDS = 2.0  # for each rate
MEBIBYTE = 1 << 20
COPIES = 5  # of every parameter, while training: itself, its gradient, at most two moments, the running mean

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkRun:
    """An untrained network and random samples of a data set's kind, in which every action has all of its people."""

    learner: Learner
    samples: LabelledSequences
    run: Run

    @property
    def state(self) -> State:
        """The network and what goes with it."""
        return self.learner.state

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.learner.device

    def batch(self, size: int) -> TrainingBatch:
        """A batch of that many samples, drawn anew."""
        rng = np.random.default_rng(size)
        paired = self.state.model.learns_from_pairs and self.run.train.paired_views != "none"
        groups = rng.integers(0, SEQUENCES, (size, 2 if paired else 1))
        return make_batch(self.samples, groups, rng, self.state.model)

    def loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The loss of a batch."""
        return self.learner.loss(*(to_device(array, self.device) for array in batch.arrays()))[0]

    def time_training(self, size: int) -> float:
        """Seconds of one step, the clips cut beforehand, as the loader does while the step before is computed."""
        batch = self.batch(size)
        started = time.perf_counter()
        self.learner.learn(batch)
        return time.perf_counter() - started

    @torch.inference_mode()
    def time_inference(self, size: int) -> float:
        """Seconds from sequences to scores of that many samples."""
        self.state.ema_model.eval()
        samples = np.arange(size) % SEQUENCES
        started = time.perf_counter()
        self.state.ema_model(as_tensors(self.samples.sequences.cut(samples, None), self.device)).logits.cpu()
        return time.perf_counter() - started

    def operations(self, size: int, training: bool) -> float:
        """Multiply-accumulates a clip, as the matrix products of one pass hold them."""
        batch = self.batch(size)
        with FlopCounterMode(display=False) as counter:
            if training:
                self.loss(batch).backward()
            else:
                self.state.model(as_tensors(batch.clips, self.device))
        return counter.get_total_flops() / 2 / size

    def memory(self, size: int) -> int:
        """Bytes that such a step needs: on a GPU what was allocated, else what is kept for the backward pass."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.time_training(size)
            return torch.cuda.max_memory_allocated(self.device)
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.time_training(size)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in self.state.model.parameters())
        return sum(kept.values()) + COPIES * weights


def make_benchmark_run(run: Run, dataset: Dataset, threads: int | None = None) -> BenchmarkRun:
    """An untrained network of these settings, on a data set's layout and actions."""
    device = pick_device(threads)
    rng = np.random.default_rng(0)
    shape = (LENGTH, 2 if dataset.two_person else 1, dataset.layout.size, 3)
    recordings = [Sequence(str(index), rng.normal(0, 0.3, shape).astype(np.float32)) for index in range(SEQUENCES)]
    sequences = Sequences(recordings, dataset.layout, run.clips)
    labels = np.arange(SEQUENCES) % len(dataset.actions)
    description = {
        "seed": 0,
        "layout": dataset.layout.described,
        "actions": list(dataset.actions),
        "clips": run.clips.model_dump(mode="json"),
        "model": run.model.of_people(shape[1]).model_dump(mode="json"),
    }
    state = fresh_state(description, channel_spread(sequences), run.train, device)
    samples = LabelledSequences(sequences, labels, [str(index // 2) for index in range(SEQUENCES)])
    return BenchmarkRun(Learner(state, run.train, device), samples, run)


def measure(run: Run, dataset: Dataset, method: str, threads: int | None = None, seconds: float = SECONDS) -> Cost:
    """What these settings cost on a data set's layout and actions: medians of as many steps as fit into the seconds.

    Rates are clips a second, BATCH clips at a time or one; multiply-accumulates, in millions, are those of one clip.
    The peak is that of square matrix products in the precision that training uses, the higher one of before and after.
    Memory is the highest so far: of a GPU what was allocated, else of the whole process.
    """
    benchmark = make_benchmark_run(run, dataset, threads)
    device = benchmark.device
    precision = torch.bfloat16 if run.train.bfloat16 and multiplies_bfloat16(device) else torch.float32
    before = product_gflops(device, precision, seconds / 4)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    inferred = {size: timed(partial(benchmark.time_inference, size), seconds) for size in (1, BATCH)}
    inference_memory = peak_memory(device)
    trained = {size: timed(partial(benchmark.time_training, size), seconds) for size in (1, BATCH)}
    training_memory = peak_memory(device)
    peak = max(before, product_gflops(device, precision, seconds / 4))
    forward, training = (benchmark.operations(BATCH, training) for training in (False, True))
    rate = BATCH / float(np.median(trained[BATCH]))
    return Cost(
        dataset=dataset.name,
        title=dataset.title,
        method=method,
        simulated=dataset.simulated,
        machine=machine(device),
        threads=torch.get_num_threads(),
        precision=str(precision).removeprefix("torch."),
        frames=run.clips.frames,
        joints=dataset.layout.size,
        people=2 if dataset.two_person else 1,
        parameters=parameters_of(benchmark.state.model),
        inference_mmacs=forward / 1e6,
        training_mmacs=training / 1e6,
        trains_a_second=rate,
        trains_a_second_one=1 / float(np.median(trained[1])),
        infers_a_second=BATCH / float(np.median(inferred[BATCH])),
        latency_median_ms=1e3 * float(np.median(inferred[1])),
        latency_p95_ms=1e3 * float(np.percentile(inferred[1], 95)),
        training_gflops=2 * training * rate / 1e9,
        peak_gflops=peak,
        inference_mib=inference_memory,
        training_mib=training_memory,
    )


def measure_stage(*, dataset: Dataset, method: str, run: Run, threads: int, out: Path) -> None:
    """The cost stage: writes what `measure` says of a method on a data set."""
    cost = measure(run, dataset, method, threads).model_dump(mode="json")
    log.info("%s", cost)
    write_json(out, cost)


def product_gflops(device: torch.device, precision: torch.dtype, seconds: float) -> float:
    """GFLOP/s of the fastest of the matrix products that fit into this time."""
    side = SIDE[device.type]
    left, right = (torch.randn(side, side, device=device).to(precision) for _ in range(2))

    def product() -> float:
        started = time.perf_counter()
        (left @ right)[0, 0].item()  # waits for the device
        return time.perf_counter() - started

    return 2 * side**3 / min(timed(product, seconds)) / 1e9


def timed(once: Callable[[], float], seconds: float) -> list[float]:
    """The seconds that `once` returns, again and again for this long, without the first time."""
    once()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 3:
        times.append(once())
    return times


def peak_memory(device: torch.device) -> float | None:
    """The most memory, in MiB, that was in use so far on a GPU, or by this process; None where no one counts it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEBIBYTE
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (MEBIBYTE if sys.platform == "darwin" else 1024)


def machine(device: torch.device) -> str:
    """What the processor or the GPU is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
