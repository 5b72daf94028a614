"""The training loop: batches in, moved weights out."""

import copy
import math
import time

import numpy as np
import torch
from torch import Tensor

from danet.clips.sequences import Sequences
from danet.config.settings import Train as TrainSettings
from danet.device import multiplies_bfloat16
from danet.errors import UserError
from danet.models.danet.losses import agreement, label_loss
from danet.models.weights import build_model
from danet.training.batches import Material, Step, group_views, steps
from danet.training.checkpoint import State
from danet.training.cuda_graph import Replay
from danet.training.distributed import add_up, place
from danet.training.optimizer import follow, learning_rate, make_optimizers

SPREAD_SAMPLES = 512  # evenly spread over the training samples, enough for a root mean square


SILENT = 1e-6  # of the widest channel's spread: rounding, not movement


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
