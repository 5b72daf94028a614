"""Moves the weights: the optimizers, the learning rate, and the exponential moving average (EMA)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from danet.config.training import TrainSettings
from danet.models.base import SkeletonModel

MOMENTUM = 0.95  # Muon's
ADAMW_BETAS = {"muon": (0.9, 0.98), "adamw": (0.9, 0.999)}  # alone it has torch's
SGD_MOMENTUM = 0.9
QUINTIC = (3.4445, -4.775, 2.0315)  # of a, a^3, a^5 for each singular value a: five times, and it is 0.7 to 1.2
TIMES = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, A, B) to the same with all singular values near 1, by Newton and Schulz's iteration: U V' for U S V'.

    Source: Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    first, third, fifth = QUINTIC
    matrices = matrices / torch.linalg.matrix_norm(matrices, keepdim=True).clamp(min=1e-7)
    for _ in range(TIMES):
        gram = matrices @ matrices.mT
        matrices = first * matrices + (third * gram + fifth * gram @ gram) @ matrices
    return matrices


class Muon(torch.optim.Optimizer):
    """Momentum of which every step is made orthogonal, so that a matrix turns in all directions at one speed.

    A step's root mean square is `lr`, as of AdamW's at its largest. `weight_decay` is AdamW's. All matrices of one
    shape are made orthogonal together, in float32: those of a small network take a seventh of the time that
    torch.optim.Muon takes on a CPU, which goes through them one by one, in bfloat16.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], *, lr: float, weight_decay: float):
        shapes: dict[torch.Size, list[nn.Parameter]] = {}
        for matrix in matrices:
            shapes.setdefault(matrix.shape, []).append(matrix)
        super().__init__([{"params": alike} for alike in shapes.values()], {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every matrix, all of which have a gradient."""
        for group in self.param_groups:
            matrices, rate = group["params"], group["lr"]
            gradients = [matrix.grad for matrix in matrices]
            for matrix in matrices:
                if not self.state[matrix]:
                    self.state[matrix]["momentum"] = torch.zeros_like(matrix)
            momenta = [self.state[matrix]["momentum"] for matrix in matrices]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch.stack(torch._foreach_lerp(gradients, momenta, MOMENTUM))  # Nesterov's
            steps = orthogonal(ahead) * max(ahead.shape[1:]) ** 0.5  # of which the mean square is 1
            torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
            torch._foreach_add_(matrices, list(steps.unbind()), alpha=-rate)


def make_optimizers(model: SkeletonModel, settings: TrainSettings) -> tuple[torch.optim.Optimizer, ...]:
    """The optimizers that move a network's groups of parameters.

    `muon` is Muon for the groups of orthogonal steps, AdamW for the others. Adam and SGD are as published recipes have
    them: weight decay is added to the gradient, of every parameter, norms and biases among them.
    """
    groups, rate, decay = model.parameter_groups(), settings.learning_rate, settings.weight_decay
    every = [parameter for group in groups for parameter in group.parameters]
    if settings.optimizer == "sgd":
        return (torch.optim.SGD(every, lr=rate, momentum=SGD_MOMENTUM, nesterov=True, weight_decay=decay, fused=True),)
    if settings.optimizer == "adam":
        return (torch.optim.Adam(every, lr=rate, weight_decay=decay, fused=True),)
    has_muon = settings.optimizer == "muon"
    matrices = [matrix for group in groups if has_muon and group.orthogonal for matrix in group.parameters]
    others = [
        {"params": group.parameters, "weight_decay": decay if group.decays else 0.0}
        for group in groups
        if group.parameters and not (has_muon and group.orthogonal)
    ]
    muon = [Muon(matrices, lr=rate, weight_decay=decay)] if matrices else []
    return (*muon, torch.optim.AdamW(others, lr=rate, betas=ADAMW_BETAS[settings.optimizer], fused=True))


def learning_rate(settings: TrainSettings, done: float, epochs: int) -> float:
    """After `done` of `epochs`: a straight rise over the warm-up, then as the schedule says.

    A constant rate keeps the weights moving through a region of low loss, and their EMA lies inside it, where
    a network holds better on data of another kind (Cha et al., SWAD, NeurIPS 2021).
    """
    warmup = min(settings.warmup_epochs, epochs / 2)
    if done < warmup:
        return settings.learning_rate * done / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "step":
        return settings.learning_rate * settings.decay_factor ** sum(done >= each for each in settings.milestones)
    return settings.learning_rate * (1 + math.cos(math.pi * (done - warmup) / (epochs - warmup))) / 2


@torch.no_grad()
def update_ema(ema_model: nn.Module, model: nn.Module, decay: float) -> None:
    """Moves the running mean of the weights towards the weights; buffers, such as a BatchNorm's means, are copied."""
    torch._foreach_lerp_(list(ema_model.parameters()), list(model.parameters()), 1 - decay)
    if buffers := list(ema_model.buffers()):
        torch._foreach_copy_(buffers, list(model.buffers()))
