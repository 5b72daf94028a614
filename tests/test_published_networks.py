"""Networks of others, with the weights of their authors' code: what they give, learn and start from must be the same.

Each NAME.json below $DANET_RECORDINGS/networks/ says what a network gives for weights and clips of a seed.
"""

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import RECORDINGS
from torch import Tensor, nn
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import NETWORKS, name_of, read_network
from danet.models.base import parameters_of
from danet.models.clip_network import ClipNetwork
from danet.models.published import load_published, published_layout, published_shapes
from danet.models.registry import network_class
from danet.skeleton.layout import KINECT_V2

LABELS = torch.tensor([3, 41])
STREAMS = {3: ("joint",), 6: ("joint", "bone")}
RANDOM = ("dropout", "drop_path")  # settings that are off while logits are compared
SIGMAS = 8  # by which what two draws start from may differ


@dataclass(frozen=True)
class Published:
    """What a published network gives."""

    path: Path

    @cached_property
    def facts(self) -> dict:
        """What the network is, each of its tensors, and how large their gradients are."""
        return json.loads(self.path.read_text())

    @cached_property
    def stored(self) -> dict[str, np.ndarray]:
        """Its logits, and the statistics of its norms."""
        return dict(np.load(self.path.with_suffix(".npz")))

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """Its tensors by name: drawn, one generator a tensor, where they are not stored."""
        return {
            tensor["name"]: torch.from_numpy(self._stored_or_drawn(index, **tensor))
            for index, tensor in enumerate(self.facts["tensors"])
        }

    def _stored_or_drawn(self, index: int, name: str, shape: list[int], kind: str, **_: object) -> np.ndarray:
        if (key := f"state/{name}") in self.stored:
            return self.stored[key]
        rng = np.random.default_rng([self.facts["seed"], index])
        if kind in ("norm_weight", "running_var"):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if kind == "matrix":
            return (rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        return rng.normal(0, 0.1, shape).astype(np.float32)

    @cached_property
    def clips(self) -> Tensor:
        """(2, C, T, V, M); the second sample shows one person."""
        clips = np.random.default_rng(self.facts["seed"] + 1000).normal(0, 0.5, (2, *self.facts["input"]))
        if clips.ndim == 3:  # (2, T, V C)
            return torch.from_numpy(clips.astype(np.float32)).unflatten(2, (-1, 3)).permute(0, 3, 1, 2)[..., None]
        clips[1, ..., 1] = 0
        return torch.from_numpy(clips.astype(np.float32))

    def fresh(self, seed: int = 0) -> ClipNetwork:
        """Our network of that name, as it starts, without what is random in training."""
        name = self.facts["network"].removesuffix("_bones")
        settings = next((each.model_fields for each in NETWORKS if name_of(each) == name), None)
        if settings is None:
            pytest.skip(f"there is no network {name}")
        channels, frames, joints, people = self.clips.shape[1:]
        chosen = {"people": people} | dict.fromkeys(RANDOM, 0.0)
        layout = published_layout(KINECT_V2, name) if joints == KINECT_V2.size else KINECT_V2
        torch.manual_seed(seed)
        return network_class(name)(
            settings=read_network({"name": name} | {key: chosen[key] for key in settings if key in chosen}),
            layout=layout,
            clips=ClipSettings(frames=frames, streams=STREAMS[channels]),
            actions=self.facts["classes"],
        )

    def loaded(self) -> ClipNetwork:
        """The same with the published weights."""
        network = self.fresh()
        load_published(network, self.state)
        for each in network.modules():
            if isinstance(each, nn.modules.dropout._DropoutNd):
                each.p = 0.0
        return network


def pieces(network: ClipNetwork, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names, cut into those by the published names."""
    return {
        name: piece.view(shapes[name])
        for key, shapes in published_shapes(network).items()
        if key in tensors
        for name, piece in zip(shapes, tensors[key].flatten().split(list(map(math.prod, shapes.values()))), strict=True)
    }


def published_networks() -> list[Published]:
    """All that there are."""
    folder = os.environ.get(RECORDINGS)
    return [Published(path) for path in sorted(Path(folder, "networks").glob("*.json"))] if folder else []


def without_ones(shape: tuple[int, ...]) -> list[int]:
    """A shape without its axes of one number."""
    return [size for size in shape if size > 1]


every_published_network = pytest.mark.parametrize("published", published_networks(), ids=lambda each: each.path.stem)


def near(got: Tensor, expected: np.ndarray) -> bool:
    """Whether logits are the same, by the largest of them."""
    return bool((got.detach() - torch.from_numpy(expected)).abs().max() <= 1e-4 * np.abs(expected).max())


@every_published_network
def test_tensors_are_those_of_the_published_network(published):
    network = published.fresh()
    named = [named for shapes in published_shapes(network).values() for named in shapes.items()]
    assert sorted((name, without_ones(shape)) for name, shape in named) == sorted(
        (name, without_ones(tensor.shape)) for name, tensor in published.state.items()
    )
    assert parameters_of(network) == published.facts["parameters"]


@torch.no_grad()
@every_published_network
def test_logits_are_the_published_ones(published):
    network = published.loaded()
    assert near(network.eval().logits_of(published.clips), published.stored["eval_logits"])
    assert near(network.train().logits_of(published.clips), published.stored["train_logits"])


@every_published_network
def test_gradients_are_the_published_ones(published):
    """A unit that is near 0 passes a gradient or not, by rounding: some tensors differ by more than most.

    So does the published network itself. Run anew in float32, CTR-GCN's gradients differ from what it gave before by up
    to 1.8 %, 36 tensors of 499 by more than 0.1 %. In float64 its gradients and ours are equal to 2e-13.
    """
    network = published.loaded().train()
    loss = F.cross_entropy(network.logits_of(published.clips), LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(published.facts["train_loss"], rel=1e-5)
    gradients = {key: each.grad for key, each in network.named_parameters() if each.grad is not None}
    got = {name: piece.norm().item() for name, piece in pieces(network, gradients).items()}
    expected = {name: norm for name, norm in published.facts["gradient_norms"].items() if norm}
    assert got.keys() >= expected.keys()
    largest = max(expected.values())
    assert got == pytest.approx(got | expected, rel=5e-2, abs=3e-3 * largest)
    told = {name: norm for name, norm in expected.items() if norm > 1e-6 * largest}
    assert np.median([abs(got[name] / norm - 1) for name, norm in told.items()]) < 1e-3


@every_published_network
def test_tensors_start_as_the_published_ones(published):
    one, other = (pieces(network, network.state_dict()) for network in map(published.fresh, (0, 1)))
    wrong = []
    for tensor in published.facts["tensors"]:
        values, (mean, deviation) = one[tensor["name"]].double(), tensor["start"]
        drawn = not torch.equal(values, other[tensor["name"]].double())
        allowed = 1e-9 + (SIGMAS * deviation / values.numel() ** 0.5 if drawn else 1e-4 * (abs(mean) + deviation))
        got = values.mean().item(), values.std(correction=0).item()
        if max(abs(got[0] - mean), abs(got[1] - deviation)) > allowed:
            wrong.append((tensor["name"], got, tensor["start"]))
    assert wrong == []
