"""Networks of whole clips: where actors and channels go, the graph of a skeleton, published names."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from danet.clips.sequences import ClipBatch, Sequences
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.config.networks import (
    NETWORKS,
    ClipNetworkSettings,
    DANetSettings,
    GraphNetworkSettings,
    SGNSettings,
    name_of,
    read_network,
)
from danet.errors import UserError
from danet.inference.scores import as_tensors
from danet.models.base import ClipTensors
from danet.models.clip_network import ClipNetwork
from danet.models.graph import GraphConvolution, spatial_graph
from danet.models.registry import network_class
from danet.skeleton.layout import KINECT_V1, KINECT_V2
from danet.skeleton.recording import Sequence

CPU = torch.device("cpu")
OF_CLIPS = [name_of(each) for each in NETWORKS if issubclass(each, ClipNetworkSettings)]
OF_GRAPHS = [name_of(each) for each in NETWORKS if issubclass(each, GraphNetworkSettings)]


class Seeing(ClipNetwork):
    """Says what it sees."""

    published = ((r"one", "a.{0,1}.{x,y}"), (r"two", "b"))

    def __init__(self, **given):
        super().__init__(**given)
        self.one, self.two = nn.BatchNorm1d(4), nn.Linear(2, 2)

    def logits_of(self, clips: Tensor) -> Tensor:
        """The clips."""
        return clips


def make_seeing(people: int = 2, **clips) -> Seeing:
    """A network that says what it sees."""
    settings = ClipNetworkSettings(name="seeing", people=people)
    return Seeing(settings=settings, layout=KINECT_V2, clips=ClipSettings(frames=4, **clips), actions=3)


def make_batch(actors: tuple[int, ...] = (1, 3, 2), **clips) -> ClipBatch:
    """Clips of samples of so many actors each."""
    rng = np.random.default_rng(3)
    recordings = [
        Sequence(f"s{index}", rng.normal(0, 0.5, (9, count, 25, 3)).astype(np.float32))
        for index, count in enumerate(actors)
    ]
    settings = ClipSettings(frames=4, **clips)
    return Sequences(recordings, KINECT_V2, settings).cut(np.arange(len(actors)), np.random.default_rng(1))


def test_actors_stand_side_by_side_in_their_order():
    values = torch.arange(1.0, 7)[:, None]
    clips = ClipTensors(values, values, torch.tensor([0, 1, 1, 1, 3, 3]), samples=3)  # two rows are of no sample
    assert clips.side_by_side(values, 2).tolist() == [[[1], [0]], [[2], [3]], [[0], [0]]]
    assert clips.side_by_side(values, 1).tolist() == [[[1]], [[2]], [[0]]]


@pytest.mark.parametrize("streams", [("joint",), ("bone", "joint"), ("joint", "distance", "bone_motion"), ("bone",)])
def test_channels_are_those_of_the_streams_with_joints_at_their_places(streams):
    batch = make_batch(streams=streams)
    clips = as_tensors(batch.padded(9), CPU)
    seen = make_seeing(streams=streams).eval()(clips).logits
    assert seen.shape == (3, batch.channels.shape[3], 4, 25, 2)
    own = torch.from_numpy(batch.channels).clone()
    if "joint" in streams:
        first = 3 * streams.index("joint")
        own[..., first : first + 3] = torch.from_numpy(batch.joints)
    own = own.permute(0, 3, 1, 2)
    assert torch.equal(seen[0, ..., 0], own[0])
    assert not seen[0, ..., 1].any()
    assert torch.equal(seen[1, ..., 0], own[1])
    assert torch.equal(seen[1, ..., 1], own[2])


def test_masked_joints_are_nowhere_in_training():
    batch = make_batch(streams=("joint",), masked_joints=0.5)
    masked = (batch.channels[0] == 0).all(axis=(0, 2))
    assert masked.any()
    assert not masked.all()
    clips = as_tensors(batch, CPU)
    seen = make_seeing(streams=("joint",)).train()(clips).logits[0, ..., 0]
    assert np.array_equal((seen == 0).all(dim=1).all(dim=0).numpy(), masked)


def test_published_names_follow_from_rules():
    several = ("a.0.x", "a.0.y", "a.1.x", "a.1.y")
    names = make_seeing().published_names()
    assert names["one.running_mean"] == tuple(f"{name}.running_mean" for name in several)
    assert names["two.weight"] == "b.weight"
    assert "one.num_batches_tracked" not in names


def test_graph_leads_from_parents_and_shares_among_children():
    same, outwards, inwards = spatial_graph(KINECT_V1)
    assert torch.equal(same, torch.eye(20))
    for child, parent in KINECT_V1.bones:
        children = sum(other == parent for _, other in KINECT_V1.bones)
        assert outwards[parent, child] == 1
        assert inwards[child, parent] == pytest.approx(1 / children)
    assert outwards.sum() == (inwards > 0).sum() == 19


@pytest.mark.parametrize("carried", [False, True])
def test_graph_convolution_is_a_sum_of_convolutions(carried):
    torch.manual_seed(0)
    mix, features, graphs = GraphConvolution(4, 6, carried=carried), torch.randn(2, 4, 5, 7), torch.randn(3, 7, 7)
    nn.init.normal_(mix.bias)
    expected = sum(
        torch.einsum("oc,nctu,uv->notv", weight, features, graph)
        + (torch.outer(bias, graph.sum(dim=0))[:, None] if carried else bias[:, None, None])
        for weight, bias, graph in zip(mix.weight, mix.bias, graphs, strict=True)
    )
    torch.testing.assert_close(mix(features, graphs), expected)
    torch.testing.assert_close(mix(features, graphs.expand(2, 3, 7, 7)), expected)


@torch.no_grad()
@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize("name", OF_CLIPS)
def test_network_sees_one_person_or_several(name, people):
    given = {"layout": KINECT_V2, "clips": ClipSettings(frames=4), "actions": 3}
    settings = read_network({"name": name, "people": people})
    network = network_class(name)(settings=settings, **given).eval()
    clips = as_tensors(make_batch(), CPU)
    logits = network(clips).logits
    assert logits.shape == (3, 3)
    assert logits.isfinite().all()
    alone = ClipTensors(clips.channels[:2], clips.joints[:2], clips.owner[:2], samples=2)  # the first actor of each
    assert torch.allclose(network(alone).logits, logits[:2], atol=1e-5) == (people == 1)


@pytest.mark.parametrize("name", OF_GRAPHS)
def test_width_is_a_multiple_of_eight(name):
    with pytest.raises(UserError, match="'width': expected a multiple of 8, got 12"):
        check(type(read_network({"name": name})), {"width": 12}, "test")


def test_people_are_as_many_as_the_samples_have_unless_said():
    assert SGNSettings().of_people(1).people == 1
    assert SGNSettings(people=3).of_people(1).people == 3
    assert DANetSettings().of_people(1) == DANetSettings()
