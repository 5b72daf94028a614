"""Settings in; what a network costs on this machine out: parameters, operations, time and memory, all of them measured.

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
from danet.config.settings import Run, Train
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.device import multiplies_bfloat16, pick_device, to_device
from danet.inference.scores import as_tensors
from danet.io.files import write_json
from danet.skeleton.recording import Sequence
from danet.training.batches import Material, Step, take_step
from danet.training.checkpoint import State
from danet.training.learner import Learner, channel_spread, fresh_state, step_loss

LENGTH = 100  # frames of a sequence, about what a recording has
SEQUENCES = 64
BATCH = 32  # clips at a time, beside one
SIDE = {"cpu": 2048, "cuda": 8192}  # rows and columns of the matrices whose product takes the peak
SECONDS = 2.0  # for each rate
MEBIBYTE = 1 << 20
COPIES = 5  # of every parameter, while training: itself, its gradient, at most two moments, the running mean

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """An untrained network and random samples of a data set's kind, in which every action has all of its people."""

    learner: Learner
    material: Material
    run: Run

    @property
    def state(self) -> State:
        """The network and what goes with it."""
        return self.learner.state

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.learner.device

    def step(self, batch: int) -> Step:
        """One step of that many clips, drawn anew."""
        rng = np.random.default_rng(batch)
        groups = rng.integers(0, SEQUENCES, (batch, 1 if self.run.train.partners == "none" else 2))
        return take_step(self.material, groups, rng, self.state.model)

    def train(self, batch: int) -> float:
        """Seconds of one step, the clips cut beforehand, as the loader does while the step before is computed."""
        step = self.step(batch)
        started = time.perf_counter()
        self.learner.learn(step)
        return time.perf_counter() - started

    def loss(self, step: Step, settings: Train) -> torch.Tensor:
        """The loss of a step, with the terms that these settings weigh."""
        return step_loss(self.state, settings, *(to_device(array, self.device) for array in step.arrays()))[0]

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
                self.loss(step, self.run.train).backward()
            else:
                self.state.model(*as_tensors(step.clips, self.device))
        return counter.get_total_flops() / 2 / batch

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
    labels = np.arange(SEQUENCES) % len(dataset.actions)
    description = {
        "seed": 0,
        "layout": dataset.layout.described,
        "actions": list(dataset.actions),
        "clips": run.clips.model_dump(mode="json"),
        "model": run.model.model_dump(mode="json"),
    }
    state = fresh_state(description, channel_spread(cut), run.train, device)
    material = Material(cut, labels, [str(index // 2) for index in range(SEQUENCES)])
    return Trial(Learner(state, run.train, device), material, run)


def measure(run: Run, dataset: Dataset, threads: int | None = None, seconds: float = SECONDS) -> dict:
    """What these settings cost on a data set's layout and actions: medians of as many steps as fit into the seconds.

    Rates are clips a second, BATCH clips at a time or one; multiply-accumulates, in millions, are those of one clip.
    The peak is that of square matrix products in the precision that training uses, the higher one of before and after.
    Memory is the highest so far: of a GPU what was allocated, else of the whole process.
    """
    trial = make_trial(run, dataset, threads)
    device = trial.device
    precision = torch.bfloat16 if run.train.bfloat16 and multiplies_bfloat16(device) else torch.float32
    before = product_gflops(device, precision, seconds / 4)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    inferred = {batch: timed(partial(trial.infer, batch), seconds) for batch in (1, BATCH)}
    infer_memory = peak_memory(device)
    trained = {batch: timed(partial(trial.train, batch), seconds) for batch in (1, BATCH)}
    train_memory = peak_memory(device)
    peak = max(before, product_gflops(device, precision, seconds / 4))
    forth, back = (trial.operations(BATCH, training) for training in (False, True))
    rate = BATCH / float(np.median(trained[BATCH]))
    return {
        "machine": machine(device),
        "threads": torch.get_num_threads(),
        "precision": str(precision).removeprefix("torch."),
        "frames": run.clips.frames,
        "joints": dataset.layout.size,
        "people": 2 if dataset.two_person else 1,
        "parameters": sum(parameter.numel() for parameter in trial.state.model.parameters()),
        "inference_mmacs": forth / 1e6,
        "training_mmacs": back / 1e6,
        "trains_a_second": rate,
        "trains_a_second_one": 1 / float(np.median(trained[1])),
        "infers_a_second": BATCH / float(np.median(inferred[BATCH])),
        "latency_median_ms": 1e3 * float(np.median(inferred[1])),
        "latency_p95_ms": 1e3 * float(np.percentile(inferred[1], 95)),
        "training_gflops": 2 * back * rate / 1e9,
        "peak_gflops": peak,
        "inference_mib": infer_memory,
        "training_mib": train_memory,
    }


def measure_stage(*, dataset: str, run: Run, threads: int, out: Path) -> None:
    """The cost stage: writes what `measure` finds for a data set, and what that is called, as JSON."""
    source = find_dataset(dataset)
    named = {"dataset": dataset, "title": source.title, "simulated": source.simulated}
    found = named | measure(run, source, threads)
    log.info("%s", found)
    write_json(out, found)


def product_gflops(device: torch.device, precision: torch.dtype, seconds: float) -> float:
    """GFLOP/s of the fastest of the matrix products that fit into this time."""
    side = SIDE[device.type]
    one, other = (torch.randn(side, side, device=device).to(precision) for _ in range(2))

    def product() -> float:
        started = time.perf_counter()
        (one @ other)[0, 0].item()  # waits for the device
        return time.perf_counter() - started

    return 2 * side**3 / min(timed(product, seconds)) / 1e9


def timed(once: Callable[[], float], seconds: float) -> list[float]:
    """The seconds that `once` returns, again and again for this long, without the first time."""
    once()
    found: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(found) < 3:
        found.append(once())
    return found


def peak_memory(device: torch.device) -> float | None:
    """The most memory, in MiB, that was in use so far on a GPU, or by this process; None where no one counts it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEBIBYTE
    if sys.platform == "win32":
        return None
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / (MEBIBYTE if sys.platform == "darwin" else 1024)


def machine(device: torch.device) -> str:
    """What the processor or the GPU is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
