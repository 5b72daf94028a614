"""The two streams of ST-TR: how wide they are, which clips they take, what is dropped in training."""

import pytest
import torch

from danet.config.clips import ClipSettings
from danet.config.networks import read_network
from danet.models.base import parameters_of
from danet.models.registry import network_class
from danet.models.st_tr import KeyDropout, TransformerStream
from danet.skeleton.layout import LAYOUTS

both = pytest.mark.parametrize("name", ["s_tr", "t_tr"])


def make(name: str, *, streams=("joint",), frames=8, layout="kinect_v2_25", actions=60, **settings):
    """A fresh network."""
    torch.manual_seed(0)
    clips = ClipSettings(frames=frames, streams=streams)
    chosen = read_network({"name": name} | settings)
    return network_class(name)(settings=chosen, layout=LAYOUTS[layout], clips=clips, actions=actions)


@pytest.mark.parametrize(
    ("name", "streams", "parameters"),
    [
        ("s_tr", ("joint",), 3_075_338),
        ("s_tr", ("joint", "bone"), 12_126_348),
        ("t_tr", ("joint",), 1_768_870),
        ("t_tr", ("joint", "bone"), 6_840_914),
    ],
)
def test_parameters_are_as_many_as_published(name, streams, parameters):
    with torch.device("meta"):
        assert parameters_of(make(name, streams=streams)) == parameters


@torch.no_grad()
@pytest.mark.parametrize("layout", ["kinect_v1_20", "kinect_v2_25"])
@pytest.mark.parametrize("frames", [8, 9, 11, 15])
@both
def test_any_number_of_frames_people_and_joints_will_do(name, frames, layout):
    network = make(name, frames=frames, layout=layout, actions=4, people=3).eval()
    logits = network.logits_of(torch.randn(2, 3, frames, LAYOUTS[layout].size, 3))
    assert logits.shape == (2, 4)
    assert logits.isfinite().all()


@torch.no_grad()
@both
def test_attention_reaches_over_the_whole_of_its_axis(name):
    layer = make(name).eval().attention[1]
    attention, features = (layer.space if name == "s_tr" else layer.time), torch.randn(1, 128, 12, 25)
    moved = features.clone()
    moved[..., 3, 5] += 1
    changed = (attention(moved) != attention(features)).any(dim=1)[0]
    assert changed[3].all() if name == "s_tr" else changed[:, 5].all()
    assert changed.sum() == (25 if name == "s_tr" else 12)


def test_keys_are_dropped_for_all_queries_of_a_head_and_the_others_share_what_is_left():
    torch.manual_seed(0)
    shares, dropout = torch.randn(50, 8, 10, 10).softmax(dim=-1), KeyDropout(0.5)
    dropped = dropout(shares)
    gone = dropped == 0
    assert torch.equal(gone, gone[..., :1, :].expand_as(gone))
    assert 0.45 < gone.float().mean() < 0.55
    left = ~gone.all(dim=-1)
    torch.testing.assert_close(dropped.sum(dim=-1)[left], torch.ones(int(left.sum())))
    assert torch.equal(dropout.eval()(shares), shares)


def test_a_head_that_sees_no_key_gives_zeros():
    assert torch.equal(KeyDropout(1.0)(torch.full((2, 3, 3), 1 / 3)), torch.zeros(2, 3, 3))


@torch.no_grad()
@pytest.mark.parametrize("setting", ["dropout", "key_dropout"])
@both
def test_training_is_random_by_each_of_its_settings(name, setting):
    off = dict.fromkeys(("dropout", "key_dropout"), 0.0)
    clips = torch.randn(2, 3, 8, 25, 2)
    for settings, random in ((off, False), (off | {setting: 0.5}, True)):
        network = make(name, **settings).train()
        assert torch.equal(network.logits_of(clips), network.logits_of(clips)) != random


@both
def test_norm_that_the_published_network_never_uses_changes_nothing(name):
    clips, found = torch.randn(2, 3, 8, 25, 2), []
    for factor in (1.0, 100.0):
        network: TransformerStream = make(name, dropout=0.0, key_dropout=0.0).train()
        network.idle.weight.data *= factor
        logits = network.logits_of(clips)
        logits.logsumexp(dim=1).sum().backward()
        found.append([logits, *(each.grad for key, each in network.named_parameters() if "idle" not in key)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
