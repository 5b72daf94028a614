"""Weights and sequences in, one row of scores per test sample and the accuracy out.

The test part is read here and, for what the networks attend to, in `attend`.
"""

import copy
import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from danet.clips.sequences import Sequences, load_sequences
from danet.config.settings import Clips
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.device import pick_device
from danet.evaluation.robustness import stressed_accuracies
from danet.inference.fusion import Network, fused_scores
from danet.inference.scores import EVALUATION_BATCH, TorchNetwork, scores_of
from danet.io.files import read_json, write_json, written_whole
from danet.io.store import open_records
from danet.metrics import apart_from_copies, calibration, top_k
from danet.models.danet.network import DANet
from danet.models.weights import load_model, read_tensors
from danet.preparation.split import copies_of_training

log = logging.getLogger(__name__)


def fused_views(network: Network, sequences: Sequences, chances: np.ndarray, dataset: Dataset) -> dict | None:
    """Accuracy when the test recordings of one performance, from several cameras, get one label between them.

    `chances` (B, actions) are the scores of each recording alone, for comparison. None where no performance was tested
    from two cameras, or where the cameras did not run at one time.
    """
    if not dataset.synchronous:
        return None
    groups: dict[str, list[int]] = defaultdict(list)
    labels = np.array([dataset.sample(name).action for name in sequences.names])
    for index, name in enumerate(sequences.names):
        groups[dataset.sample(name).performance].append(index)
    by_views: dict[int, list[list[int]]] = defaultdict(list)
    for members in groups.values():
        by_views[len(members)].append(members)
    by_views.pop(1, None)
    if not by_views:
        return None
    right, alone = [], []
    for views, same in sorted(by_views.items()):
        size = max(1, EVALUATION_BATCH // views)
        for start in range(0, len(same), size):
            performances = np.array(same[start : start + size])
            fused = fused_scores(network, sequences, performances)
            right.append(fused.argmax(axis=1) == labels[performances[:, 0]])
            alone.append((chances[performances].argmax(axis=2) == labels[performances]).reshape(-1))
    return {
        "performances": sum(map(len, right)),
        "recordings": sum(map(len, alone)),
        "top1": float(np.concatenate(right).mean()),
        "top1_alone": float(np.concatenate(alone).mean()),
    }


def epoch_accuracies(
    model: DANet, epochs: Path, sequences: Sequences, labels: np.ndarray, chosen: int, device: torch.device
) -> dict | None:
    """Top-1 after the last epoch, the `chosen` one, and the one that is best on the test part, which is no result.

    None where the epochs' weights were not kept. The model's own weights are put back.
    """
    tensors, _ = read_tensors(epochs)
    every: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        epoch, _, name = key.partition(".")
        every[int(epoch)][name] = value
    if not every:
        return None
    own = copy.deepcopy(model.state_dict())
    found: dict[int, float] = {}
    for number in sorted(every):
        model.load_state_dict(every[number])
        found[number] = top_k(scores_of(model, sequences, np.arange(len(sequences)), device), labels, 1)
    model.load_state_dict(own)
    named = {"last": max(found), "chosen": chosen, "best_on_test": max(found, key=lambda number: found[number])}
    return {name: {"epoch": number, "top1": found[number]} for name, number in named.items()}


def evaluate(
    *,
    weights: Path,
    run: Path,
    centred: Path,
    split: Path,
    scores: Path,
    metrics: Path,
    epochs: Path | None = None,
    stress: bool = True,
    threads: int | None = None,
) -> None:
    """The evaluate stage: writes `scores` (a row per test sample) and `metrics`.

    With `epochs`, the file of the weights of every epoch, if they were kept, of these too; with `stress` under stress.
    """
    model, about = load_model(weights)
    device = pick_device(threads)
    parts = pd.read_parquet(split)
    part_of = dict(zip(parts["name"], parts["part"], strict=True))
    names = {name for name, part in part_of.items() if part == "test"}
    with open_records(centred, "centred") as records:
        copies = copies_of_training(records, part_of)
    dataset = find_dataset(about["dataset"])
    segments = dataset.protocol(about["protocol"]).segments
    clips = Clips.model_validate(about["clips"])
    sequences, _, _ = load_sequences(centred, names, clips, segments)
    labels = np.array([dataset.sample(name).action for name in sequences.names])
    chances = scores_of(model.to(device), sequences, np.arange(len(sequences)), device)
    copy = np.array([name in copies for name in sequences.names])
    table = pa.table(
        {
            "name": sequences.names,
            "segment": np.arange(len(sequences)) % segments,
            "copy": copy,
            "label": labels,
            "prediction": chances.argmax(axis=1),
            "scores": pa.array(list(chances), pa.list_(pa.float32())),
        }
    )
    with written_whole(scores) as partial:
        pq.write_table(table, partial)
    trained = read_json(run)
    right = chances.argmax(axis=1) == labels
    result = {
        **{key: about[key] for key in ("dataset", "protocol", "method", "seed", "simulated")},
        "top1": top_k(chances, labels, 1),
        "top5": top_k(chances, labels, 5),
        "samples": len(labels),
        "epochs": epoch_accuracies(model, epochs, sequences, labels, trained["epoch"], device) if epochs else None,
        "calibration": calibration(chances, labels),
        "segments": right.reshape(-1, segments).mean(axis=0).tolist(),
        **apart_from_copies(right, copy),
        "fused_views": fused_views(TorchNetwork(model, about, device), sequences, chances, dataset)
        if segments == 1
        else None,
        **(stressed_accuracies(model, centred, names, clips, device) if stress and segments == 1 else {}),
        **{key: trained[key] for key in ("parameters", "seconds", "epoch", "validation_top1")},
    }
    log.info("%s", result)
    write_json(metrics, result)
