"""DANet: what must hold whatever its weights are, the attention that docs/method.md writes down, and what it learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from danet.clips.sequences import Sequences
from danet.clips.streams import channel_places
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.settings import Run
from danet.cost.measure import make_benchmark_run
from danet.datasets.nw_ucla import NW_UCLA
from danet.inference.scores import as_tensors
from danet.models.danet.attention import pair_geometry, token_relations
from danet.models.danet.losses import EncoderOutputs, feature_disagreement
from danet.models.danet.network import PartTokens
from danet.models.weights import build_model
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS
from danet.skeleton.recording import Sequence

CPU = torch.device("cpu")
ACTIONS = ["a", "b", "c"]
APART = {"encoders": [["joint"], ["bone_motion", "distance"]]}
CLIPS = ClipSettings(frames=8, streams=("joint", "distance", "bone", "joint_motion", "bone_motion"))
SMALL = {"width": 16, "blocks": 1, "heads": 2}


def describe(layout=KINECT_V2, **model):
    settings = DANetSettings(width=16, blocks=2, heads=4, **model)
    return {
        "model": settings.model_dump(mode="json"),
        "clips": CLIPS.model_dump(mode="json"),
        "layout": layout.name,
        "actions": ACTIONS,
    }


@pytest.fixture
def network(request):
    torch.manual_seed(3)
    model = build_model(describe(**getattr(request, "param", {}))).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # no term may be idle because it starts at 0
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def make_sequences(rng, layout=KINECT_V2, actors=(1, 2, 1, 2)):
    recordings = [
        Sequence(f"s{index}", rng.normal(0, 0.5, (20 + index, count, layout.size, 3)).astype(np.float32))
        for index, count in enumerate(actors)
    ]
    return Sequences(recordings, layout, CLIPS)


def make_clips(rng, layout=KINECT_V2):
    sequences = make_sequences(rng, layout)
    return as_tensors(sequences.cut(np.arange(len(sequences)), None), CPU)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_danet_gives_logits_and_attention_of_every_layout(rng, layout):
    torch.manual_seed(0)
    model = build_model(describe(layout)).eval()
    output = model(make_clips(rng, layout))
    assert output.logits.shape == (4, len(ACTIONS))
    assert output.attention.joints.shape == (4, layout.size + len(layout.parts)) == (4, len(model.tokens))
    assert output.attention.frames.shape == (4, 4)
    assert output.attention.pairs.shape == (4, len(model.tokens), len(model.tokens))
    for rows in (output.attention.joints, output.attention.frames, output.attention.pairs):
        torch.testing.assert_close(rows.sum(dim=-1), torch.ones(rows.shape[:-1]))


@pytest.mark.parametrize("network", [{}, {"relations": False}, {"parts": False}], indirect=True)
def test_attention_rows_sum_to_one_and_local_heads_see_their_part(rng, network):
    clips = len(make_clips(rng).joints)
    block = network.encoders[0].blocks[0]
    tokens = torch.randn(clips, 4, len(network.encoders[0].token_embedding), 16)
    positions = torch.randn(clips, 4, tokens.shape[2], 3)
    _, space = block.space(tokens, pair_geometry(positions, 2))
    _, time = block.time(tokens)
    for rows in (space, time):
        torch.testing.assert_close(rows.sum(dim=-1), torch.ones(rows.shape[:-1]))
    _, near, _ = token_relations(KINECT_V2, network.settings.parts)
    assert (space[:, :, :2][..., ~near] == 0).all()
    assert (space[:, :, 2:] > 0).all()
    apart = (torch.arange(4)[:, None] - torch.arange(4)[None]).abs() > network.settings.local_radius
    assert (time[:, :2][..., apart] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("network", [{}, {"relations": False}], indirect=True)
def test_attention_is_the_softmax_of_its_terms(network):
    """As docs/method.md writes it, index by index; two segments of two patches each, 4 channels a head."""
    space, time = network.encoders[0].blocks[0].space, network.encoders[0].blocks[0].time
    tokens = torch.randn(3, 4, len(network.encoders[0].token_embedding), 16)
    geometry = pair_geometry(torch.randn(3, 4, tokens.shape[2], 3), 2)

    def logits(attention, seen, axes):
        query, key = attention.query_key(seen).unflatten(-1, (2, 4, 4)).unbind(-3)
        return torch.einsum(axes, query, key) / 2 + attention.hidden

    expected = logits(space, tokens.unflatten(1, (2, 2)).mean(dim=2), "ksihd,ksjhd->kshij")
    if network.settings.relations:
        expected += space.relation_term[:, space.relation] + torch.einsum(
            "hg,ksgij->kshij", space.geometry_term, geometry
        )
    torch.testing.assert_close(space(tokens, geometry)[1], expected.softmax(dim=-1))
    expected = logits(time, tokens.mean(dim=2), "kthd,kuhd->khtu")
    if network.settings.relations:
        apart = torch.arange(4)[:, None] - torch.arange(4)[None]
        expected += time.time_term[:, apart + 3]
    torch.testing.assert_close(time(tokens)[1], expected.softmax(dim=-1))


@torch.no_grad()
@pytest.mark.parametrize("network", [{}, {"relations": False}], indirect=True)
def test_attention_mixes_by_the_learned_weights_of_pairs_too(network):
    """As docs/method.md writes it, index by index; two segments of two patches each."""
    space, time = network.encoders[0].blocks[0].space, network.encoders[0].blocks[0].time
    tokens = torch.randn(3, 4, len(network.encoders[0].token_embedding), 16)
    mixed, attention = space(tokens, pair_geometry(torch.randn(3, 4, tokens.shape[2], 3), 2))
    weights = attention.repeat_interleave(2, dim=1)  # (K, P, H, L, L)
    if network.settings.relations:
        weights = weights + space.topology
    value = space.value(tokens).unflatten(-1, (4, -1))
    expected = space.merge(torch.einsum("kthij,ktjhd->ktihd", weights, value).flatten(-2))
    torch.testing.assert_close(mixed, expected)
    mixed, weights = time(tokens)
    if network.settings.relations:
        apart = torch.arange(4)[:, None] - torch.arange(4)[None]
        weights = weights + time.time_kernel[:, apart + 3]
    value = time.value(tokens).unflatten(-1, (4, -1))
    expected = time.merge(torch.einsum("khtu,kuihd->ktihd", weights, value).flatten(-2))
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize(
    "network", [{}, APART, {"relations": False}, {"parts": False}, {"cross_attention": False}], indirect=True
)
def test_classify_gives_every_parameter_a_gradient(rng, network):
    network.train()
    own = network.encode(make_clips(rng))
    other = tuple(torch.roll(tokens, 1, dims=0) for tokens in own)
    network.classify(own, other).logits.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@torch.no_grad()
@pytest.mark.parametrize("network", [{"cross_attention": False, "parts": False}], indirect=True)
def test_danet_without_cross_attention_looks_by_the_length_of_tokens(rng, network):
    clips = make_clips(rng)
    output = network(clips)
    assert output.attention.pairs is None
    assert not network.uses_pairs
    space, _ = (tokens[:, 0].norm(dim=-1) for tokens in network.encode(clips))
    torch.testing.assert_close(output.attention.joints, space / space.sum(dim=1, keepdim=True))
    assert output.attention.joints.shape == (4, KINECT_V2.size)


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_part_tokens_tell_their_joints_apart_and_see_no_others(layout):
    beside = PartTokens(layout, 8)
    tokens = torch.randn(layout.size, 8)
    plain = beside(tokens)
    assert torch.equal(plain[: layout.size], tokens)
    for index, members in enumerate(layout.parts.values()):
        first, last = members[0], members[-1]
        swapped = tokens.clone()
        swapped[[first, last]] = tokens[[last, first]]
        changed = (beside(swapped) != plain).any(dim=1)[layout.size :]
        assert changed.nonzero().flatten().tolist() == ([index] if first != last else [])


@torch.no_grad()
@pytest.mark.parametrize("network", [APART], indirect=True)
def test_encoders_see_their_streams_alone_and_label_together(rng, network):
    clips = make_clips(rng)
    plain = network(clips)
    assert plain.extra.logits.shape == (4, 2, len(ACTIONS))
    geometric = plain.extra.logits.softmax(dim=2).prod(dim=1).sqrt()
    torch.testing.assert_close(plain.logits.softmax(dim=1), geometric / geometric.sum(dim=1, keepdim=True))
    seen_by = {"joint": {0}, "distance": {1}, "bone": set(), "joint_motion": set(), "bone_motion": {1}}
    for stream, places in channel_places(CLIPS.streams, KINECT_V2).items():
        channels = clips.channels.clone()
        channels[..., list(places)] += 1
        by_encoder = network(replace(clips, channels=channels)).extra.logits
        changed = {index for index in (0, 1) if not torch.equal(by_encoder[:, index], plain.extra.logits[:, index])}
        assert changed == seen_by[stream]


def test_feature_disagreement_is_how_far_the_cosine_is_from_one():
    """0 for the same features, however faint, 2 for the opposite ones; the mean over samples and encoders."""
    features = torch.randn(4, 2, 12)
    signs = torch.tensor([[1.0, 1], [1, 1], [-1, 1], [-1, -1]])[..., None]

    def loss(other):
        logits = torch.randn(4, 2, 3)
        return feature_disagreement(EncoderOutputs(logits, features), EncoderOutputs(-logits, other)).item()

    assert loss(features) == pytest.approx(0, abs=1e-6)
    assert loss(0.1 * features) == pytest.approx(0, abs=1e-6)
    assert loss(-0.1 * features) == pytest.approx(2, abs=1e-6)
    assert loss(signs * features) == pytest.approx(2 * 3 / 8, abs=1e-6)


def test_pair_geometry_does_not_change_when_the_skeleton_is_turned(rng):
    positions = torch.from_numpy(rng.normal(size=(2, 5, 25, 3)))
    turn = torch.tensor([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(pair_geometry(positions @ turn + 3, 1), pair_geometry(positions, 1))


@pytest.mark.parametrize("network", [{}, APART], indirect=True)
def test_classify_of_swapped_views_swaps_the_outputs(network):
    first, second = (network.encode(make_clips(np.random.default_rng(seed))) for seed in (1, 2))
    both = tuple(torch.cat(tokens) for tokens in zip(first, second, strict=True))
    swapped = tuple(torch.cat(tokens) for tokens in zip(second, first, strict=True))
    forth, back = network.classify(both, swapped).logits, network.classify(swapped, both).logits
    torch.testing.assert_close(forth, torch.cat(back.chunk(2)[::-1]))
    assert not torch.allclose(*forth.chunk(2))


@pytest.mark.parametrize("network", [{}, APART], indirect=True)
def test_danet_labels_a_sample_whatever_its_batch(rng, network):
    sequences = make_sequences(rng)
    together = network(as_tensors(sequences.cut(np.arange(4), None), CPU)).logits
    alone = [network(as_tensors(sequences.cut(np.array([index]), None), CPU)).logits for index in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_danet_ignores_an_absent_second_actor(rng, network):
    one = rng.normal(0, 0.5, (20, 1, 25, 3)).astype(np.float32)
    padded = np.concatenate([one, np.zeros_like(one)], axis=1)
    sequences = Sequences([Sequence("one", one), Sequence("padded", padded)], KINECT_V2, CLIPS)
    logits = network(as_tensors(sequences.cut(np.arange(2), None), CPU)).logits
    torch.testing.assert_close(logits[0], logits[1])


def test_token_relations_of_a_layout_of_fewer_joints_are_its_own():
    relation, near, kinds = token_relations(KINECT_V1, parts=True)
    assert relation.shape == near.shape == (25, 25)
    assert relation.max() < kinds
    assert relation[4, 8] == relation[8, 4], "left and right shoulder mirror one another"
    assert len({int(relation[0, 1]), int(relation[0, 7]), int(relation[4, 8]), int(relation[4, 21])}) == 4


def make_benchmark(model, clips=None):
    run = check(Run, {"clips": {"frames": 8} | (clips or {}), "model": SMALL | model}, "test")
    return make_benchmark_run(run, NW_UCLA, threads=1)


def test_loss_has_partners_teach_and_does_not_teach_them():
    """And what they teach are the two terms that the settings weigh: without those, they change nothing."""
    weighed = {"cross_view_weight": 0.0, "feature_agreement": 0.0}
    benchmark = make_benchmark(weighed)
    batch, model = benchmark.batch(4), benchmark.state.model
    settings = model.settings

    def loss(batch, **changed):
        model.settings = settings.model_copy(update=changed)
        return benchmark.loss(batch)

    for term in weighed:
        assert not torch.equal(loss(batch, **{term: 1.0}), loss(batch)), term
    assert torch.equal(loss(batch), loss(replace(batch, partners=None)))
    loss(batch, **dict.fromkeys(weighed, 1.0)).backward()
    assert all(parameter.grad is None for parameter in benchmark.state.ema_model.parameters())
    assert all(parameter.grad.any() for parameter in model.encoders.parameters())


def test_loss_teaches_an_encoder_as_if_it_were_alone():
    """The loss of several is the mean of what each would have by itself, and so is what it teaches them."""

    def learn(encoders, weights=None):
        clips = {"streams": ["joint", "bone"], "mirror": 0}
        benchmark = make_benchmark({"drop_path": 0.0, "encoders": encoders}, clips)
        if weights:
            for network in (benchmark.state.model, benchmark.state.ema_model):
                network.encoders[0].load_state_dict(weights)
        loss = benchmark.loss(benchmark.batch(4))
        loss.backward()
        return loss.detach(), benchmark.state.model.encoders

    loss, encoders = learn([["joint"], ["bone"]])
    alone = [learn([names], each.state_dict()) for names, each in zip([["joint"], ["bone"]], encoders, strict=True)]
    torch.testing.assert_close(loss, sum(each for each, _ in alone) / 2)
    for together, (_, [by_itself]) in zip(encoders, alone, strict=True):
        for one, other in zip(together.parameters(), by_itself.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad / 2)


@pytest.mark.parametrize("network", [{"cross_view_weight": 0.7}], indirect=True)
def test_guessing_loss_counts_each_label_that_is_learnt(network):
    assert network.guessing_loss(10, paired=False) == pytest.approx(math.log(10))
    assert network.guessing_loss(10, paired=True) == pytest.approx(1.7 * math.log(10))


@pytest.mark.parametrize("network", [{"drop_path": 0.4}, {"drop_path": 0.0}], indirect=True)
def test_sample_noise_leaves_out_branches_the_more_the_deeper(network, rng):
    sequences = make_sequences(rng, actors=(1,) * 20)
    noise = network.sample_noise(sequences.cut(np.repeat(np.arange(20), 100), None), rng)
    assert noise.shape == (1, 2, 3, 2000)
    assert noise.dtype == np.float32
    assert (noise[:, 0] == 1).all(), "the first block is always there"
    share = network.settings.drop_path
    assert (noise[:, 1] == 0).mean() == pytest.approx(share, abs=0.03)
    assert noise[:, 1].mean() == pytest.approx(1, abs=0.05), "what is left out is made up for"


def test_danet_of_several_encoders_says_how_it_is_averaged():
    one, two = (build_model(describe(**model)) for model in ({}, APART))
    assert (one.fused_members, two.fused_members) == (1, 2)
    assert (one.temperature, two.temperature) == (1, pytest.approx(1 / 1.3))
    assert one.uses_pairs
    assert one.learns_from_pairs
