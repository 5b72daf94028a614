"""Every network of the registry: what must hold for each of them, whatever it computes."""

import numpy as np
import pytest
import torch
from conftest import prepare_demo

from danet.clips.sequences import Sequences
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.config.networks import NETWORKS, name_of, read_network
from danet.config.settings import Prepare, Run
from danet.config.training import TrainSettings
from danet.errors import UserError
from danet.inference.export_onnx import export_onnx
from danet.inference.predictor import Predictor
from danet.inference.scores import as_tensors
from danet.models.base import SkeletonModel, take
from danet.models.registry import CLASSES, network_class
from danet.models.weights import build_model, describe, load_model, read_tensors, save_weights
from danet.skeleton.layout import LAYOUTS
from danet.skeleton.recording import Sequence
from danet.training import train as training
from danet.training.optimizer import make_optimizers

CPU = torch.device("cpu")
ACTIONS = ["a", "b", "c"]
CLIPS = ClipSettings(frames=8)
LAYOUT = "kinect_v2_25"

WIDE = ("2s_agcn", "ctr_gcn", "st_gcn_pp", "dg_st_gcn", "s_tr", "t_tr")
WIDTHS = dict.fromkeys(WIDE, 16) | {"skateformer": 32}  # their own takes minutes

every_network = pytest.mark.parametrize("name", list(CLASSES))
# With and without a spine, the most and the fewest joints: all take the tree alike; test_danet has every layout.
several_layouts = pytest.mark.parametrize("layout", [LAYOUT, "coco_17", "azure_kinect_32", "nite_15"])


def small(name: str) -> dict:
    """The settings of a network."""
    return {"name": name} | ({"width": WIDTHS[name]} if name in WIDTHS else {})


def make_model(name: str, layout: str = LAYOUT) -> tuple[SkeletonModel, dict]:
    """A network of random weights, none of them where it starts, and what its weights say of themselves."""
    torch.manual_seed(3)
    description = {
        "model": read_network(small(name)).model_dump(mode="json"),
        "clips": CLIPS.model_dump(mode="json"),
        "layout": layout,
        "actions": ACTIONS,
    }
    model = build_model(description)
    with torch.no_grad():
        for parameter in model.parameters():  # a term that starts at 0 must not stay idle
            parameter.add_(torch.randn_like(parameter) * 0.1)
    settle_norms(model, layout)
    return model, description | describe(model)


def settle_norms(model: SkeletonModel, layout: str) -> None:
    """BatchNorm has the statistics of what it sees, as after training: else numbers grow from layer to layer."""
    norms = [each for each in model.modules() if isinstance(each, torch.nn.modules.batchnorm._BatchNorm)]
    if norms:
        for each in norms:
            each.momentum = 1.0
        with torch.no_grad():
            model.train()(as_tensors(cut(make_sequences(layout=layout)), CPU))
        for each in norms:
            each.momentum = 0.1


def make_recordings(seed: int = 7, layout: str = LAYOUT) -> list[Sequence]:
    """Four recordings, of one person and of two."""
    rng, size = np.random.default_rng(seed), LAYOUTS[layout].size
    return [
        Sequence(f"s{index}", rng.normal(0, 0.5, (20 + index, actors, size, 3)).astype(np.float32))
        for index, actors in enumerate((1, 2, 1, 2))
    ]


def make_sequences(seed: int = 7, layout: str = LAYOUT) -> Sequences:
    """The same, ready to be cut."""
    return Sequences(make_recordings(seed, layout), LAYOUTS[layout], CLIPS)


def cut(sequences: Sequences, *samples: int):
    """The clips of these samples, or of all."""
    return sequences.cut(np.array(samples or range(len(sequences))), None)


def test_registry_and_settings_name_the_same_networks():
    assert [name_of(network) for network in NETWORKS] == list(CLASSES)


@every_network
def test_network_is_a_skeleton_model(name):
    assert issubclass(network_class(name), SkeletonModel)


@several_layouts
@every_network
def test_output_has_its_shapes_and_is_finite(name, layout):
    model, _ = make_model(name, layout)
    output = model.eval()(as_tensors(cut(make_sequences(layout=layout)), CPU))
    assert output.logits.shape == (4, len(ACTIONS))
    assert output.logits.isfinite().all()
    assert (output.attention is None) == (model.tokens == [])
    if output.attention is not None:
        assert output.attention.joints.shape == (4, len(model.tokens))
        assert model.tokens[: LAYOUTS[layout].size] == list(LAYOUTS[layout].joints)
        for rows in (output.attention.joints, output.attention.frames):
            torch.testing.assert_close(rows.sum(dim=1), torch.ones(4))
        assert (output.attention.pairs is not None) == model.uses_pairs


@every_network
def test_loss_gives_every_parameter_a_gradient(name):
    model, _ = make_model(name)
    teacher, _ = make_model(name)
    views = [cut(make_sequences(seed)) for seed in (1, 2)]
    clips, partners = (as_tensors(view, CPU) for view in views)
    noise = model.train().sample_noise(views[0], np.random.default_rng(0))
    loss, logits = model.loss(
        clips,
        torch.tensor([0, 1, 2, 0]),
        partners=partners if model.learns_from_pairs else None,
        teacher=teacher,
        noise=None if noise is None else torch.from_numpy(noise),
        label_smoothing=0.1,
    )
    assert loss.isfinite()
    assert logits.shape == (4, len(ACTIONS))
    loss.backward()
    idle = [key for key, each in model.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert idle == []
    assert all(parameter.grad is None for parameter in teacher.parameters())


@every_network
def test_noise_belongs_to_the_clips_and_follows_from_the_generator(name):
    model, _ = make_model(name)
    clips = cut(make_sequences())
    first, second, other = (model.sample_noise(clips, np.random.default_rng(seed)) for seed in (1, 1, 2))
    if first is None:
        assert second is None
        assert other is None
        return
    assert first.dtype == np.float32
    assert first.shape[-1] == len(clips.owner)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@every_network
def test_parameter_groups_hold_every_parameter_once(name):
    model, _ = make_model(name)
    grouped = [id(parameter) for group in model.parameter_groups() for parameter in group.parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert any(group.decays for group in model.parameter_groups())
    for group in model.parameter_groups():
        assert not group.orthogonal or all(parameter.ndim == 2 for parameter in group.parameters)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in make_optimizers(model, TrainSettings()):
        optimizer.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@torch.no_grad()
@every_network
def test_sample_does_not_depend_on_its_batch(name):
    model, _ = make_model(name)
    sequences = make_sequences()
    together = model.eval()(as_tensors(cut(sequences), CPU)).logits
    alone = [model(as_tensors(cut(sequences, index), CPU)).logits for index in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@every_network
def test_second_view_changes_the_answer_only_where_views_are_compared(name):
    model, _ = make_model(name)
    own, other = (model.eval().encode(as_tensors(cut(make_sequences(seed)), CPU)) for seed in (1, 2))
    alone, crossed = model.classify(own, own).logits, model.classify(own, other).logits
    assert torch.equal(alone, crossed) != model.uses_pairs
    torch.testing.assert_close(model.classify(take(own, slice(1, 3)), take(own, slice(1, 3))).logits, alone[1:3])


@torch.no_grad()
@every_network
def test_weights_come_back_with_their_description(name, tmp_path):
    model, description = make_model(name)
    save_weights(tmp_path / "w.safetensors", model.state_dict(), description)
    loaded, read = load_model(tmp_path / "w.safetensors")
    assert read == description
    assert type(loaded) is type(model)
    clips = as_tensors(cut(make_sequences()), CPU)
    assert torch.equal(loaded(clips).logits, model.eval()(clips).logits)


class Interrupted(Exception):
    """What stands for a kill."""


@every_network
def test_training_goes_on_to_the_same_bytes(name, tmp_path, monkeypatch):
    data = prepare_demo(tmp_path)
    settings = {
        "clips": {"frames": 8},
        "model": small(name),
        "train": {"epochs": 2, "batch_size": 8},
    }
    run = check(Run, settings, "test")
    fixed = {
        "run": run,
        "dataset": "demo",
        "protocol": "cross_view",
        "seed": 0,
        "method": name,
        "code": {},
        "threads": 1,
    }
    training.train(**data, **fixed, folder=tmp_path / "whole")
    keep = training.keep

    def keep_and_stop(*arguments):
        keep(*arguments)
        raise Interrupted

    monkeypatch.setattr(training, "keep", keep_and_stop)
    with pytest.raises(Interrupted):
        training.train(**data, **fixed, folder=tmp_path / "resumed")
    monkeypatch.undo()
    assert not (tmp_path / "resumed/weights.safetensors").exists()
    training.train(**data, **fixed, folder=tmp_path / "resumed")
    whole, resumed = (read_tensors(tmp_path / run / "weights.safetensors") for run in ("whole", "resumed"))
    assert whole[1] == resumed[1]
    assert whole[0].keys() == resumed[0].keys()
    assert all(torch.equal(whole[0][key], resumed[0][key]) for key in whole[0])


@every_network
def test_exported_network_gives_the_same_scores(name, tmp_path):
    model, description = make_model(name)
    weights, exported = tmp_path / "w.safetensors", tmp_path / "w.onnx"
    save_weights(weights, model.state_dict(), description | {"prepare": Prepare().model_dump()})
    if not model.exports_to_onnx:
        with pytest.raises(UserError, match="expected a network that ONNX can hold"):
            export_onnx(weights, exported)
        return
    assert export_onnx(weights, exported)["largest_difference"] < 1e-4
    by_torch, by_onnx = (Predictor(file).scores_of_each(make_recordings()) for file in (weights, exported))
    np.testing.assert_allclose(by_torch, by_onnx, atol=1e-4)
