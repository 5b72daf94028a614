"""The batches of an epoch, their partners, and that a recorded step is the same: what must not matter, does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from danet.clips.sequences import ClipBatch
from danet.config.base import check
from danet.config.settings import Run
from danet.cost.measure import make_benchmark_run
from danet.datasets.ntu import NTU60
from danet.errors import UserError
from danet.training.batches import as_batch, group_views, prefetch
from danet.training.cuda_graph import Replay

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="a GPU records, a processor does not")
SETTINGS = {"clips": {"frames": 8}, "model": {"width": 16, "blocks": 1, "heads": 2}, "train": {"learning_rate": 0.01}}
PERFORMANCES = ["a", "a", "b", "c", "c", "c"]


def make_benchmark(**train):
    settings = SETTINGS | {"train": SETTINGS["train"] | train}
    return make_benchmark_run(check(Run, settings, "test"), NTU60, threads=1)


def test_group_views_pairs_other_views_of_one_performance(rng):
    seen = set()
    for _ in range(40):
        groups = group_views(PERFORMANCES, "views", rng)
        assert sorted(groups[:, 0]) == list(range(6)), "every sample comes first once"
        for own, other in groups:
            assert PERFORMANCES[own] == PERFORMANCES[other]
            assert (own == other) == (PERFORMANCES[own] == "b"), "b has no other view"
        seen |= {tuple(group) for group in groups.tolist()}
    assert {(3, 4), (3, 5), (4, 3), (4, 5), (5, 3), (5, 4)} <= seen


def test_group_views_pairs_copies_or_nobody(rng):
    copies = group_views(PERFORMANCES, "copies", rng)
    assert sorted(copies[:, 0]) == sorted(copies[:, 1]) == list(range(6))
    assert (copies[:, 0] == copies[:, 1]).all()
    alone = group_views(PERFORMANCES, "none", rng)
    assert alone.shape == (6, 1)
    assert sorted(alone[:, 0]) == list(range(6))


def test_padded_changes_no_loss_and_no_gradient():
    """Batches are padded to few shapes: the empty clips belong to no sample, own or partner's."""
    losses, gradients = [], []
    for padded in (False, True):
        benchmark = make_benchmark()
        batch = benchmark.batch(5)
        clips = (batch.clips.channels, batch.clips.joints, batch.clips.owner)
        few = ClipBatch(*(array[[0, 2, 3, 4, 5, 6, 8]] for array in clips), 5)
        batch = replace(batch, clips=few, noise=batch.noise[..., :7])
        batch = batch.padded() if padded else batch
        assert (len(batch.clips.owner), len(batch.partners.owner)) == ((10, 10) if padded else (7, 10))
        loss = benchmark.loss(batch)
        loss.backward()
        losses.append(loss.detach())
        gradients.append([parameter.grad for parameter in benchmark.state.model.parameters()])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)
    assert len({tuple(map(np.shape, benchmark.batch(size).padded().arrays())) for size in (5, 6, 7, 8)}) == 4


@pytest.mark.parametrize("partners", [True, False])
@pytest.mark.parametrize("noise", [True, False])
def test_as_batch_takes_back_what_arrays_gave(partners, noise):
    batch = make_benchmark(paired_views="views" if partners else "none").batch(3)
    batch = batch if noise else replace(batch, noise=None)
    tensors = as_batch(*map(torch.from_numpy, batch.arrays()))
    assert tensors.labels.tolist() == batch.labels.tolist()
    assert (tensors.partners is not None) == partners
    views = [tensors.clips, *([tensors.partners] if partners else [])]
    for taken, view in zip(views, batch.views, strict=True):
        for name in ("channels", "joints", "owner"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(view, name))
        assert taken.samples == 3
    assert (tensors.noise is not None) == noise
    if noise:
        np.testing.assert_array_equal(tensors.noise, batch.noise)


def test_micro_batches_hold_every_sample_once_with_its_noise():
    batch = make_benchmark().batch(5)
    one, two, three = batch.micro_batches(3)
    assert [len(part.labels) for part in (one, two, three)] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([part.labels for part in (one, two, three)]), batch.labels)
    for name in ("clips", "partners"):
        parts = [getattr(part, name).channels for part in (one, two, three)]
        np.testing.assert_array_equal(np.concatenate(parts), getattr(batch, name).channels)
    np.testing.assert_array_equal(np.concatenate([part.noise for part in (one, two, three)], axis=-1), batch.noise)
    assert batch.micro_batches(7)[5:] == [None, None]


def test_prefetch_gives_the_same_batches_however_many_threads_cut():
    """And each batch of an epoch is drawn anew."""
    benchmark = make_benchmark()
    groups = np.zeros((12, 2), np.int64)  # one sample, again and again

    def arrays(threads):
        rng = np.random.default_rng(1)
        batches = prefetch(benchmark.samples, groups, rng, benchmark.state.model, size=2, threads=threads)
        return [batch.arrays() for batch in batches]

    one, four = arrays(1), arrays(4)
    assert len(one) == 6
    for alone, among in zip(one, four, strict=True):
        for array, same in zip(alone, among, strict=True):
            np.testing.assert_array_equal(array, same)
    assert len({arrays[2].tobytes() for arrays in one}) == 6


@GPU
def test_replay_of_a_step_is_that_step():
    """Steps of changing shapes: what is recorded learns what is not, but for the order of sums."""
    learnt = []
    for cuda_graphs in (False, True):
        settings = SETTINGS | {"train": SETTINGS["train"] | {"cuda_graphs": cuda_graphs, "bfloat16": False}}
        benchmark = make_benchmark_run(check(Run, settings, "test"), NTU60)
        losses = torch.stack([benchmark.learner.learn(benchmark.batch(size)) for size in (8, 7, 8, 7, 8, 8, 7, 7)])
        weights = torch.cat([parameter.detach().flatten() for parameter in benchmark.state.model.parameters()])
        learnt.append((losses, weights))
    torch.testing.assert_close(*learnt, rtol=1e-3, atol=1e-4)


@GPU
def test_replay_says_what_cannot_be_recorded():
    replay = Replay(lambda tensor: tensor * tensor.sum().item(), torch.device("cuda"), records=True)
    replay(np.ones(3, np.float32))
    with pytest.raises(UserError, match=r"a GPU can record.*train.cuda_graphs: false"):
        replay(np.ones(3, np.float32))
