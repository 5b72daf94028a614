"""Attention and the network: what must hold whatever the weights are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from danet.clips.sequences import Sequences
from danet.clips.streams import channel_places
from danet.config.networks import Model
from danet.config.settings import Clips, Train
from danet.errors import UserError
from danet.inference.scores import as_tensors
from danet.models.danet.attention import pair_geometry, token_relations
from danet.models.danet.losses import agreement
from danet.models.danet.network import PartTokens
from danet.models.weights import build_model, load_model, save_weights
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS
from danet.skeleton.recording import Sequence

CPU = torch.device("cpu")
ACTIONS = ["a", "b", "c"]
APART = {"encoders": [["joint"], ["bone_motion", "distance"]]}
CLIPS = Clips(frames=8, streams=("joint", "distance", "bone", "joint_motion", "bone_motion"))


def about(layout=KINECT_V2, **model):
    settings = Model(width=16, blocks=2, heads=4, **model)
    return {
        "model": settings.model_dump(mode="json"),
        "clips": CLIPS.model_dump(mode="json"),
        "layout": layout.name,
        "actions": ACTIONS,
    }


@pytest.fixture
def network(request):
    torch.manual_seed(3)
    model = build_model(about(**getattr(request, "param", {}))).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # no term may be idle because it starts at 0
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def sequences(rng, layout=KINECT_V2, actors=(1, 2, 1, 2), settings=None):
    made = [
        Sequence(f"s{place}", rng.normal(0, 0.5, (20 + place, count, layout.size, 3)).astype(np.float32))
        for place, count in enumerate(actors)
    ]
    return Sequences(made, layout, settings or CLIPS)


def batch(rng, **kwargs):
    made = sequences(rng, **kwargs)
    return as_tensors(made.cut(np.arange(len(made)), None), CPU)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_shapes_and_maps(rng, layout):
    torch.manual_seed(0)
    output = build_model(about(layout)).eval()(*batch(rng, layout=layout))
    assert output.logits.shape == (4, len(ACTIONS))
    assert output.joint_map.shape == (4, layout.size + len(layout.parts))
    assert output.moment_map.shape == (4, 4)
    for rows in (output.joint_map, output.moment_map):
        torch.testing.assert_close(rows.sum(dim=1), torch.ones(4))


@pytest.mark.parametrize("network", [{}, {"relations": False}, {"parts": False}], indirect=True)
def test_attention_rows_sum_to_one_and_local_heads_see_their_part(rng, network):
    joints = batch(rng)[1]
    block = network.encoders[0].blocks[0]
    tokens = torch.randn(len(joints), 4, len(network.encoders[0].token_embedding), 16)
    places = torch.randn(len(joints), 4, tokens.shape[2], 3)
    _, space = block.space(tokens, pair_geometry(places, 2))
    _, time = block.time(tokens)
    for rows in (space, time):
        torch.testing.assert_close(rows.sum(dim=-1), torch.ones(rows.shape[:-1]))
    _, near, _ = token_relations(KINECT_V2, network.settings.parts)
    assert (space[:, :, :2][..., ~near] == 0).all()
    assert (space[:, :, 2:] > 0).all()
    apart = (torch.arange(4)[:, None] - torch.arange(4)[None]).abs() > network.settings.window
    assert (time[:, :2][..., apart] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("network", [{}, {"relations": False}], indirect=True)
def test_attention_is_the_softmax_of_its_terms(network):
    """As docs/method.md writes it, index by index; two stretches of two moments each, 4 channels a head."""
    space, time = network.encoders[0].blocks[0].space, network.encoders[0].blocks[0].time
    tokens = torch.randn(3, 4, len(network.encoders[0].token_embedding), 16)
    geometry = pair_geometry(torch.randn(3, 4, tokens.shape[2], 3), 2)

    def logits(attention, seen, axes):
        query, key = attention.query_key(seen).unflatten(-1, (2, 4, 4)).unbind(-3)
        return torch.einsum(axes, query, key) / 2 + attention.hidden

    wanted = logits(space, tokens.unflatten(1, (2, 2)).mean(dim=2), "ksihd,ksjhd->kshij")
    if network.settings.relations:
        wanted += space.relation_term[:, space.relation] + torch.einsum(
            "hg,ksgij->kshij", space.geometry_term, geometry
        )
    torch.testing.assert_close(space(tokens, geometry)[1], wanted.softmax(dim=-1))
    wanted = logits(time, tokens.mean(dim=2), "kthd,kuhd->khtu")
    if network.settings.relations:
        apart = torch.arange(4)[:, None] - torch.arange(4)[None]
        wanted += time.time_term[:, apart + 3]
    torch.testing.assert_close(time(tokens)[1], wanted.softmax(dim=-1))


@torch.no_grad()
@pytest.mark.parametrize("network", [{}, {"relations": False}], indirect=True)
def test_what_is_mixed_is_attention_and_the_learned_weights_of_pairs(rng, network):
    """As docs/method.md writes it, index by index; two stretches of two moments each."""
    space, time = network.encoders[0].blocks[0].space, network.encoders[0].blocks[0].time
    tokens = torch.randn(3, 4, len(network.encoders[0].token_embedding), 16)
    mixed, attention = space(tokens, pair_geometry(torch.randn(3, 4, tokens.shape[2], 3), 2))
    weights = attention.repeat_interleave(2, dim=1)  # (K, T, H, L, L)
    if network.settings.relations:
        weights = weights + space.topology
    value = space.value(tokens).unflatten(-1, (4, -1))
    wanted = space.merge(torch.einsum("kthij,ktjhd->ktihd", weights, value).flatten(-2))
    torch.testing.assert_close(mixed, wanted)
    mixed, weights = time(tokens)
    if network.settings.relations:
        apart = torch.arange(4)[:, None] - torch.arange(4)[None]
        weights = weights + time.time_kernel[:, apart + 3]
    value = time.value(tokens).unflatten(-1, (4, -1))
    wanted = time.merge(torch.einsum("khtu,kuihd->ktihd", weights, value).flatten(-2))
    torch.testing.assert_close(mixed, wanted)


@pytest.mark.parametrize(
    "network", [{}, APART, {"relations": False}, {"parts": False}, {"cross_attention": False}], indirect=True
)
def test_every_parameter_gets_a_gradient(rng, network):
    network.train()
    views = network.encode(*batch(rng))
    other = tuple(torch.roll(tokens, 1, dims=0) for tokens in views)
    network.relate(views, other).logits.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_a_part_tells_its_joints_apart_and_sees_no_others(layout):
    beside = PartTokens(layout, 8)
    tokens = torch.randn(layout.size, 8)
    plain = beside(tokens)
    assert torch.equal(plain[: layout.size], tokens)
    for place, members in enumerate(layout.parts.values()):
        first, last = members[0], members[-1]
        swapped = tokens.clone()
        swapped[[first, last]] = tokens[[last, first]]
        changed = (beside(swapped) != plain).any(dim=1)[layout.size :]
        assert changed.nonzero().flatten().tolist() == ([place] if first != last else [])


@torch.no_grad()
@pytest.mark.parametrize("network", [APART], indirect=True)
def test_an_encoder_sees_its_streams_alone_and_all_of_them_label_together(rng, network):
    channels, *rest = batch(rng)
    plain = network(channels, *rest)
    assert plain.votes.shape == (4, 2, len(ACTIONS))
    geometric = plain.votes.softmax(dim=2).prod(dim=1).sqrt()
    torch.testing.assert_close(plain.logits.softmax(dim=1), geometric / geometric.sum(dim=1, keepdim=True))
    seen_by = {"joint": {0}, "distance": {1}, "bone": set(), "joint_motion": set(), "bone_motion": {1}}
    for stream, places in channel_places(CLIPS.streams, KINECT_V2).items():
        other = channels.clone()
        other[..., list(places)] += 1
        votes = network(other, *rest).votes
        assert {place for place in (0, 1) if not torch.equal(votes[:, place], plain.votes[:, place])} == seen_by[stream]


@pytest.mark.parametrize("network", [APART], indirect=True)
def test_maps_agree_by_where_they_look_not_by_how_flat_they_are(rng, network):
    """The loss is 0 for the same map, however faint, 2 for the opposite one; the mean over samples and encoders."""
    found = network(*batch(rng))
    level, apart = 1 / found.joint_maps.shape[2], torch.tensor([[1.0, 1], [1, 1], [-1, 1], [-1, -1]])[..., None]

    def loss(maps):
        other = replace(found, joint_maps=maps, features=-found.features)
        return agreement(found, other, Train(map_agreement=1, feature_agreement=0)).item()

    assert loss(found.joint_maps) == pytest.approx(0, abs=1e-4)
    assert loss(level + 0.1 * (found.joint_maps - level)) == pytest.approx(0, abs=1e-4)
    assert loss(level - 0.1 * (found.joint_maps - level)) == pytest.approx(2, abs=1e-4)
    assert loss(level + apart * (found.joint_maps - level)) == pytest.approx(2 * 3 / 8, abs=1e-4)


def test_geometry_does_not_change_when_the_skeleton_is_turned(rng):
    places = torch.from_numpy(rng.normal(size=(2, 5, 25, 3)))
    turn = torch.tensor([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(pair_geometry(places @ turn + 3, 1), pair_geometry(places, 1))


@pytest.mark.parametrize("network", [{}, APART], indirect=True)
def test_swapping_the_views_swaps_the_outputs(rng, network):
    first, second = (network.encode(*batch(np.random.default_rng(seed))) for seed in (1, 2))
    both = tuple(torch.cat(tokens) for tokens in zip(first, second, strict=True))
    swapped = tuple(torch.cat(tokens) for tokens in zip(second, first, strict=True))
    forth, back = network.relate(both, swapped).logits, network.relate(swapped, both).logits
    torch.testing.assert_close(forth, torch.cat(back.chunk(2)[::-1]))
    assert not torch.allclose(*forth.chunk(2))


@pytest.mark.parametrize("network", [{}, APART], indirect=True)
def test_a_sample_does_not_depend_on_its_batch(rng, network):
    made = sequences(rng)
    together = network(*as_tensors(made.cut(np.arange(4), None), CPU)).logits
    alone = [network(*as_tensors(made.cut(np.array([index]), None), CPU)).logits for index in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_an_absent_second_actor_changes_nothing(rng, network):
    one = rng.normal(0, 0.5, (20, 1, 25, 3)).astype(np.float32)
    padded = np.concatenate([one, np.zeros_like(one)], axis=1)
    made = Sequences([Sequence("one", one), Sequence("padded", padded)], KINECT_V2, CLIPS)
    logits = network(*as_tensors(made.cut(np.arange(2), None), CPU)).logits
    torch.testing.assert_close(logits[0], logits[1])


def test_weights_come_back_with_what_they_belong_to(rng, network, tmp_path):
    description = about() | {"dataset": "demo"}
    save_weights(tmp_path / "w.safetensors", network.state_dict(), description)
    loaded, found = load_model(tmp_path / "w.safetensors")
    assert found == description
    clips = batch(rng)
    torch.testing.assert_close(loaded(*clips).logits, network(*clips).logits)


def test_other_files_are_no_weights(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    for name in ("w.safetensors", "none.safetensors"):
        with pytest.raises(UserError, match="wanted weights written by danet"):
            load_model(tmp_path / name)


def test_a_layout_of_fewer_joints_has_its_own_relations():
    relation, near, kinds = token_relations(KINECT_V1, parts=True)
    assert relation.shape == near.shape == (25, 25)
    assert relation.max() < kinds
    assert relation[4, 8] == relation[8, 4], "left and right shoulder mirror one another"
    assert len({int(relation[0, 1]), int(relation[0, 7]), int(relation[4, 8]), int(relation[4, 21])}) == 4
