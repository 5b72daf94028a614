"""How the weights move: each optimizer beside torch's own, the learning rate and the running mean."""

import copy

import pytest
import torch
from torch import nn

from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.training import TrainSettings
from danet.models.base import SkeletonModel
from danet.models.danet.network import DANet
from danet.skeleton.layout import KINECT_V2
from danet.training.optimizer import Muon, learning_rate, make_optimizers, orthogonal, update_ema

SHAPES = (8, 24), (24, 8), (16, 16), (8, 24)


def test_orthogonal_turns_all_directions_at_one_speed() -> None:
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


def test_make_optimizers_gives_each_weight_one() -> None:
    settings = DANetSettings(width=8, heads=2, encoders=(("joint",), ("bone",)))
    clips = ClipSettings(frames=8, streams=("joint", "bone"))
    network = DANet(settings=settings, layout=KINECT_V2, clips=clips, actions=3)
    optimizers = make_optimizers(network, TrainSettings(learning_rate=0.01, weight_decay=0.1))
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


class Plain(SkeletonModel):
    """A network that says nothing of its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(3, 4, 5), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.frozen = nn.Parameter(torch.zeros(3, 3), requires_grad=False)


def test_make_optimizers_is_adamw_alone_by_default() -> None:
    network = Plain()
    (optimizer,) = make_optimizers(network, TrainSettings(weight_decay=0.1))
    assert isinstance(optimizer, torch.optim.AdamW)
    decays, others = optimizer.param_groups
    convolution, norm, linear = network.layers
    assert (decays["weight_decay"], others["weight_decay"]) == (0.1, 0)
    assert {id(each) for each in decays["params"]} == {id(convolution.weight), id(linear.weight)}
    assert {id(each) for each in others["params"]} == {
        id(each) for each in (convolution.bias, norm.weight, norm.bias, linear.bias)
    }


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_make_optimizers_moves_as_torchs_do_and_reduces_the_loss(optimizer: str) -> None:
    rate, decay = 0.02, 0.05
    random = torch.Generator().manual_seed(4)
    clips, target = torch.randn(32, 3, 8, generator=random), torch.randn(32, 4, 2, generator=random)
    torch.manual_seed(4)
    ours = Plain()
    theirs = copy.deepcopy(ours)
    (own,) = make_optimizers(ours, TrainSettings(optimizer=optimizer, learning_rate=rate, weight_decay=decay))
    learnt = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    matrices, others = ([each for each in learnt if (each.ndim > 1) == wide] for wide in (True, False))
    split = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0}]
    peer = {
        "adamw": lambda: torch.optim.AdamW(split, lr=rate),
        "adam": lambda: torch.optim.Adam(learnt, lr=rate, weight_decay=decay),
        "sgd": lambda: torch.optim.SGD(learnt, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True),
    }[optimizer]()
    losses = []
    for _ in range(20):
        loss = nn.functional.mse_loss(ours.layers(clips), target)
        ours.zero_grad()
        loss.backward()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.grad = None if one.grad is None else one.grad.clone()
        own.step()
        peer.step()
        losses.append(loss.item())
        torch.testing.assert_close(dict(ours.named_parameters()), dict(theirs.named_parameters()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("optimizer", "decayed"),
    [("muon", ["0.weight", "2.weight"]), ("adamw", ["0.weight", "2.weight"]), ("sgd", None), ("adam", None)],
)
def test_make_optimizers_decays_convolutions_and_by_adam_and_sgd_all(optimizer: str, decayed: list | None) -> None:
    network = Plain().requires_grad_(True)
    for each in network.parameters():
        torch.nn.init.ones_(each)
        each.grad = torch.zeros_like(each)
    for moving in make_optimizers(network, TrainSettings(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5)):
        moving.step()
    smaller = [name for name, each in network.layers.named_parameters() if (each < 1).all()]
    assert smaller == (decayed or [name for name, _ in network.layers.named_parameters()])


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_make_optimizers_gives_all_of_danet_to_one(optimizer: str) -> None:
    network = DANet(settings=DANetSettings(), layout=KINECT_V2, clips=ClipSettings(), actions=3)
    (moving,) = make_optimizers(network, TrainSettings(optimizer=optimizer))
    moved = [id(parameter) for group in moving.param_groups for parameter in group["params"]]
    assert sorted(moved) == sorted(id(parameter) for parameter in network.parameters())


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_muon_steps_have_the_size_of_the_rate(shape: tuple[int, int]) -> None:
    matrix = nn.Parameter(torch.zeros(shape))
    matrix.grad = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    Muon([matrix], lr=0.01, weight_decay=0.0).step()
    assert matrix.detach().square().mean().sqrt() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(("schedule", "after"), [("cosine", [1, 0.5, 0]), ("constant", [1, 1, 1])])
def test_learning_rate_rises_and_then_does_as_the_schedule_says(schedule: str, after: list[float]) -> None:
    settings = TrainSettings(epochs=10, warmup_epochs=2, learning_rate=1.0, schedule=schedule)
    rates = [learning_rate(settings, done, 10) for done in (0, 1, 2, 6, 10)]
    assert rates == pytest.approx([0, 0.5, *after])


def test_learning_rate_falls_at_each_milestone() -> None:
    step = {"schedule": "step", "milestones": (1, 4, 7), "decay_factor": 0.5}
    settings = TrainSettings(epochs=10, warmup_epochs=2, learning_rate=0.8, **step)
    rates = [learning_rate(settings, done, 10) for done in (0, 1, 1.99, 2, 3.99, 4, 6.99, 7, 9.99)]
    assert rates == pytest.approx([0, 0.4, 0.796, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1])
    published = TrainSettings(epochs=65, learning_rate=0.1, schedule="step", milestones=(35, 55))
    assert [learning_rate(published, done, 65) for done in (5, 35, 55)] == pytest.approx([0.1, 0.01, 0.001])


def test_update_ema_moves_the_mean_towards_the_weights() -> None:
    mean, model = nn.Linear(2, 3), nn.Linear(2, 3)
    weights = model.weight.detach().clone()
    expected = 0.9 * mean.weight.detach() + 0.1 * weights
    update_ema(mean, model, 0.9)
    torch.testing.assert_close(mean.weight.detach(), expected)
    assert torch.equal(model.weight.detach(), weights)


def test_update_ema_takes_over_buffers() -> None:
    mean, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    update_ema(mean, model, 0.9)
    assert mean.running_mean.tolist() == model.running_mean.tolist() == pytest.approx([0.2, 0.4])
    assert mean.num_batches_tracked == 1
