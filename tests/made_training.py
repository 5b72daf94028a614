"""A small data set in which two actions differ in the height of a hand, and trainings on it that take seconds."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from danet.clips.streams import channel_count
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.settings import Run, Split
from danet.datasets.nw_ucla import NW_UCLA
from danet.io.store import write_records
from danet.models.base import ClipTensors, Output, SkeletonModel
from danet.models.weights import read_tensors
from danet.preparation.split import split
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Sequence
from danet.training.train import train

SETTINGS = {
    "clips": {"frames": 8},
    "model": {"width": 16, "blocks": 1, "heads": 2},
    "train": {"epochs": 3, "warmup_epochs": 1, "batch_size": 8, "learning_rate": 0.01},
}


class Convolutional(SkeletonModel):
    """A network of one convolution over time and a BatchNorm, with settings that DANet has too."""

    def __init__(self, *, settings: DANetSettings, layout: Layout, clips: ClipSettings, actions: int):
        super().__init__()
        channels = channel_count(clips.streams, layout)
        self.convolution = nn.Conv2d(channels, settings.width, (3, 1))
        self.norm = nn.BatchNorm2d(settings.width)
        self.label = nn.Linear(settings.width * layout.size, actions)

    def encode(self, clips: ClipTensors, noise: Tensor | None = None) -> Tensor:
        features = self.norm(self.convolution(clips.channels.permute(0, 3, 1, 2))).relu()  # (K, width, T, V)
        return clips.mean_over_actors(features.mean(dim=2).flatten(1))

    def classify(self, own: Tensor, other: Tensor) -> Output:
        return Output(self.label(own))


def make_prepared(folder: Path, *, subjects: int = 4, telling: bool = True, validation_share: float = 0.1) -> Path:
    """Writes sequences under NW-UCLA's names, and their split, into the folder.

    Unless they are `telling`, nothing in them says which action they show.
    """
    rng = np.random.default_rng(0)
    sequences = []
    for action in (1, 2):
        for subject in range(1, subjects + 1):
            for view in (1, 2, 3):
                joints = rng.normal(0, 0.05, (12, 1, 20, 3)) + np.linspace(0, 1, 20)[:, None]
                joints[:, :, 7, 1] += action if telling else 1
                name = f"a{action:02}_s{subject:02}_e00_v{view:02}"
                sequences.append(Sequence(name, joints.astype(np.float32)))
    about = NW_UCLA.describe() | {"prepare": {}}
    write_records(folder / "centred.h5", "centred", (s.to_record() for s in sequences), about)
    table = split(NW_UCLA, "cross_view", [s.name for s in sequences], Split(validation_share=validation_share))
    table.to_parquet(folder / "split.parquet")
    return folder


def train_once(prepared: Path, folder: Path, seed: int = 0, **changes) -> dict[str, torch.Tensor]:
    """Trains on what `make_prepared` made, with these changes in the settings; the weights."""
    settings = {key: value | changes.get(key, {}) for key, value in SETTINGS.items()}
    train(
        centred=changes.get("centred", prepared / "centred.h5"),
        split=prepared / "split.parquet",
        run=check(Run, settings, "test"),
        dataset="nw_ucla",
        protocol="cross_view",
        seed=seed,
        method=changes.get("method", "danet"),
        code={},
        threads=1,
        folder=folder,
    )
    return read_tensors(folder / "weights.safetensors")[0]


def history_of(folder: Path) -> list[dict]:
    """The rows of a run's history."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
