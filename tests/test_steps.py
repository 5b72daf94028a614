"""The steps of an epoch, and that a recorded one is the same: what must not matter, does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from danet.clips.sequences import Batch
from danet.config.base import check
from danet.config.settings import Run
from danet.cost.measure import make_trial
from danet.datasets.ntu import NTU60
from danet.errors import UserError
from danet.training.batches import steps
from danet.training.cuda_graph import Replay

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="a GPU records, a processor does not")
SETTINGS = {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2}, "train": {"learning_rate": 0.01}}


def test_room_for_more_people_changes_nothing():
    """Steps are padded to few shapes: the empty clips belong to no sample, own or partner's."""
    run = check(Run, SETTINGS, "test")
    losses, gradients = [], []
    for padded in (False, True):
        trial = make_trial(run, NTU60, threads=1)
        step = trial.step(5)
        few = Batch(
            *(array[[0, 2, 3, 4, 5, 6, 8]] for array in (step.clips.channels, step.clips.joints, step.clips.owner)), 5
        )
        step = replace(step, clips=few, branches=step.branches[..., :7])
        step = step.padded() if padded else step
        assert (len(step.clips.owner), len(step.partners.owner)) == ((10, 10) if padded else (7, 10))
        loss = trial.loss(step, run.train)
        loss.backward()
        losses.append(loss.detach())
        gradients.append([parameter.grad for parameter in trial.state.model.parameters()])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)
    assert len({tuple(map(np.shape, trial.step(size).padded().arrays())) for size in (5, 6, 7, 8)}) == 4


def test_however_many_threads_cut_the_steps_are_the_same():
    """And each step of an epoch is drawn anew."""
    trial = make_trial(check(Run, SETTINGS, "test"), NTU60, threads=1)
    groups = np.zeros((12, 2), np.int64)  # one sample, again and again

    def arrays(threads):
        rng = np.random.default_rng(1)
        found = steps(trial.material, groups, rng, trial.state.model, size=2, threads=threads)
        return [step.arrays() for step in found]

    one, four = arrays(1), arrays(4)
    assert len(one) == 6
    for alone, among in zip(one, four, strict=True):
        for array, same in zip(alone, among, strict=True):
            np.testing.assert_array_equal(array, same)
    assert len({arrays[2].tobytes() for arrays in one}) == 6


@GPU
def test_a_recorded_step_is_that_step():
    """Steps of changing shapes: what is recorded learns what is not, but for the order of sums."""
    found = []
    for replay in (False, True):
        run = check(Run, SETTINGS | {"train": SETTINGS["train"] | {"replay": replay, "bfloat16": False}}, "test")
        trial = make_trial(run, NTU60)
        losses = torch.stack([trial.learner.learn(trial.step(size)) for size in (8, 7, 8, 7, 8, 8, 7, 7)])
        weights = torch.cat([parameter.detach().flatten() for parameter in trial.state.model.parameters()])
        found.append((losses, weights))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@GPU
def test_what_cannot_be_recorded_is_said():
    replay = Replay(lambda tensor: tensor * tensor.sum().item(), torch.device("cuda"), records=True)
    replay(np.ones(3, np.float32))
    with pytest.raises(UserError, match=r"a GPU can record.*train.replay: false"):
        replay(np.ones(3, np.float32))
