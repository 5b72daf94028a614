"""How the weights move: Muon beside torch's own, and which weights it moves."""

import copy

import pytest
import torch
from torch import nn

from danet.config.networks import Model
from danet.config.settings import Train
from danet.models.danet.network import DANet
from danet.skeleton.layout import KINECT_V2
from danet.training.optimizer import Muon, make_optimizers, orthogonal

SHAPES = (8, 24), (24, 8), (16, 16), (8, 24)


def test_orthogonal_steps_turn_all_directions_at_one_speed() -> None:
    matrices = torch.randn(5, 12, 20, generator=torch.Generator().manual_seed(1))
    for found in (orthogonal(matrices), orthogonal(matrices.mT)):
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.6
        assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    cosine = nn.functional.cosine_similarity(orthogonal(matrices).flatten(1), (left @ right).flatten(1))
    assert cosine.min() > 0.97


def test_muon_moves_as_torchs_does() -> None:
    random = torch.Generator().manual_seed(2)
    ours = [nn.Parameter(torch.randn(shape, generator=random)) for shape in SHAPES]
    theirs = copy.deepcopy(ours)
    starts = [matrix.detach().clone() for matrix in ours]
    rate, decay = 0.01, 0.3
    # torch scales a step to a root mean square of 0.2, and counts the decay by the unscaled rate
    peer = torch.optim.Muon(theirs, lr=5 * rate, weight_decay=decay / 5, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    own = Muon(ours, lr=rate, weight_decay=decay)
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=random)
            other.grad = one.grad.clone()
        own.step()
        peer.step()
    for one, other, start in zip(ours, theirs, starts, strict=True):
        moved = (one - start).norm()
        assert moved > rate
        assert (one - other).norm() < 0.02 * moved  # torch's are of bfloat16


def test_each_weight_has_one_optimizer() -> None:
    streams = ("joint", "bone")
    settings = Model(width=8, heads=2, encoders=(("joint",), ("bone",)))
    network = DANet(settings=settings, layout=KINECT_V2, frames=8, streams=streams, actions=3)
    optimizers = make_optimizers(network, Train(learning_rate=0.01, weight_decay=0.1))
    groups = [group for each in optimizers for group in each.param_groups]
    moved, decayed, by_muon = (
        [id(parameter) for group in chosen for parameter in group["params"]]
        for chosen in (groups, [group for group in groups if group["weight_decay"]], optimizers[0].param_groups)
    )
    matrices = {id(layer.weight) for layer in network.modules() if isinstance(layer, nn.Linear)}
    outer = {id(layer.weight) for encoder in network.encoders for layer in (encoder.embed[0], encoder.label)}
    assert sorted(moved) == sorted(id(parameter) for parameter in network.parameters())
    assert set(decayed) == matrices
    assert set(by_muon) == matrices - outer


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_a_step_has_the_size_of_the_rate(shape: tuple[int, int]) -> None:
    matrix = nn.Parameter(torch.zeros(shape))
    matrix.grad = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    Muon([matrix], lr=0.01, weight_decay=0.0).step()
    assert matrix.detach().square().mean().sqrt() == pytest.approx(0.01, rel=0.2)
