"""The training loop: takes batches, moves the weights and their running mean, and tells what was learnt."""

import copy
import math
import time

import numpy as np
import torch
from torch import Tensor

from danet.clips.sequences import Sequences
from danet.config.training import TrainSettings
from danet.device import multiplies_bfloat16
from danet.errors import UserError
from danet.models.base import SkeletonModel
from danet.models.weights import build_model
from danet.training.batches import LabelledSequences, TrainingBatch, as_batch, group_views, prefetch
from danet.training.checkpoint import State
from danet.training.cuda_graph import Replay
from danet.training.distributed import all_reduce_sum, rank_and_world_size
from danet.training.optimizer import learning_rate, make_optimizers, update_ema

SPREAD_SAMPLES = 512  # evenly spread over the training samples, enough for a median
SILENT = 1e-6  # of the widest channel of a clip: rounding, not movement


class Learner:
    """Moves the weights of a state, a batch at a time.

    Errors: UserError for settings that cut the batches of a network with BatchNorm.
    """

    def __init__(self, state: State, settings: TrainSettings, device: torch.device):
        self.state, self.settings, self.device = state, settings, device
        on_gpu = device.type == "cuda"
        self.records = settings.cuda_graphs and on_gpu
        self.pads = not state.model.has_batch_norm  # whose statistics the empty clips would enter
        refuse_cut_batches(state.model, settings)
        self.cutting_threads = torch.get_num_threads() if on_gpu else 1  # what computes does not cut
        self._parameters = list(state.model.parameters())
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self._learn_micro_batch = Replay(self._add_gradients, device, self.records)

    def learn(self, batch: TrainingBatch) -> Tensor:
        """Moves the weights by one step, of which this process computes its share: the loss, and the samples labelled
        right.

        The loss of a batch is the mean over its samples, so that a micro-batch counts by the samples in it.
        """
        rank, processes = rank_and_world_size()
        torch.manual_seed(batch.seed + rank)
        torch._foreach_zero_(self._gradients)
        learnt = torch.zeros(2, device=self.device)
        for micro_batch in batch.micro_batches(processes * self.settings.grad_accum_steps)[rank::processes]:
            if micro_batch is not None:
                share = np.float32(len(micro_batch.labels) / len(batch.labels))
                ready = micro_batch.padded() if self.records and self.pads else micro_batch
                learnt += self._learn_micro_batch(np.asarray(share), *ready.arrays())
        all_reduce_sum([*self._gradients, learnt])
        if self.settings.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
        for optimizer in self.state.optimizers:
            optimizer.step()
        return learnt.cpu()

    def loss(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch, as `TrainingBatch.arrays` has it, and the logits (B, A) of each of its samples alone."""
        batch = as_batch(*tensors)
        return self.state.model.loss(
            batch.clips,
            batch.labels,
            partners=batch.partners,
            teacher=self.state.ema_model,
            noise=batch.noise,
            label_smoothing=self.settings.label_smoothing,
        )

    def _add_gradients(self, share: Tensor, labels: Tensor, *tensors: Tensor) -> Tensor:
        """Adds a micro-batch's gradients to what there is; its share of the loss, and its samples labelled right."""
        bfloat16 = self.settings.bfloat16 and multiplies_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            loss, logits = self.loss(labels, *tensors)
        loss = loss * share
        loss.backward()
        return torch.stack([loss.detach(), (logits.argmax(dim=1) == labels).sum()])


def refuse_cut_batches(model: SkeletonModel, settings: TrainSettings) -> None:
    """Errors: UserError where a BatchNorm would see only a part of each batch."""
    for name in ("grad_accum_steps", "processes"):
        if model.has_batch_norm and (got := getattr(settings, name)) > 1:
            raise UserError(f"expected 'train.{name}' 1 for BatchNorm, which has to see whole batches, got {got}")


def train_epoch(learner: Learner, samples: LabelledSequences, *, seed: int, epoch: int, epochs: int) -> dict:
    """One pass over the samples, the `epoch`th of `epochs`; everything random in it follows from seed and epoch."""
    state, settings = learner.state, learner.settings
    rng = np.random.default_rng([seed, len(state.history)])
    paired_views = settings.paired_views if state.model.learns_from_pairs else "none"
    groups = group_views(samples.performances, paired_views, rng)
    total = math.ceil(len(groups) / settings.batch_size)
    learnt = torch.zeros(2)  # the sum of the batches' losses, and the clips that were labelled right
    waited, started = 0.0, time.monotonic()
    state.model.train()
    ready = prefetch(samples, groups, rng, state.model, size=settings.batch_size, threads=learner.cutting_threads)
    for number in range(total):
        asked = time.monotonic()
        batch = next(ready)
        waited += time.monotonic() - asked
        rate = learning_rate(settings, epoch - 1 + number / total, epochs)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        by_batch = learner.learn(batch)
        if not torch.isfinite(by_batch[0]):
            loss = by_batch[0].item()
            raise UserError(
                f"epoch {epoch}: expected a finite loss, got {loss} in step {number}; lower train.learning_rate"
            )
        taken = (epoch - 1) * total + number
        update_ema(state.ema_model, state.model, min(settings.ema_decay, (1 + taken) / (10 + taken)))
        learnt += by_batch
    return {
        "train_loss": learnt[0].item() / total,
        "train_top1": learnt[1].item() / len(groups),
        "learning_rate": rate,
        "waited": waited / (time.monotonic() - started),
    }


def channel_spread(sequences: Sequences) -> np.ndarray:
    """(C,) the root mean square of each channel in a clip: the median over the clips in which it says anything.

    A few recordings of garbage so do not move it. 1 for a channel that says nothing, as the depth of flat key points.
    """
    chosen = np.unique(np.linspace(0, len(sequences) - 1, SPREAD_SAMPLES).round().astype(int))
    channels = sequences.cut(chosen, None).channels
    by_clip = np.sqrt(np.square(channels, dtype=np.float64).mean(axis=(1, 2)))  # (K, C)
    silent = by_clip <= SILENT * by_clip.max(axis=1, keepdims=True)
    spread = np.ma.median(np.ma.array(by_clip, mask=silent), axis=0)
    return spread.filled(1).astype(np.float32)


def fresh_state(
    description: dict,
    spread: np.ndarray,
    settings: TrainSettings,
    device: torch.device,
    initial: dict[str, Tensor] | None = None,
) -> State:
    """An untrained network, which follows from the seed in its description; `initial` are tensors to start from."""
    torch.manual_seed(description["seed"])
    model = build_model(description).to(device)
    model.set_channel_scale(spread)
    model.load_state_dict(initial or {}, strict=False)
    return State(model, copy.deepcopy(model).eval(), make_optimizers(model, settings))
