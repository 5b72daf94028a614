"""Weights and sequences in, one row of scores per test sample and the accuracy out.

The test part is read here and, for what the networks attend to, in `attend`.
"""

import copy
import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from danet.clips import Sequences, load_sequences, rotation
from danet.config import Clips
from danet.datasets.catalogue import find_dataset
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.files import read_json, write_json, written_whole
from danet.model.danet import DANet
from danet.model.weights import load_model, read_tensors
from danet.network import Network, fused_scores
from danet.prepare.split import copies_of_training
from danet.recording import Sequence
from danet.scores import EVALUATION_BATCH, TorchNetwork, apart_from_copies, scores_of, top_k
from danet.skeleton import find_layout
from danet.store import open_records
from danet.stress import STRESSES, swap_people

TURNS = range(-180, 181, 15)  # degrees about the vertical
STRESSED_SAMPLES = 512
CALIBRATION_BINS = 15
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


def calibration(scores: np.ndarray, labels: np.ndarray) -> dict:
    """How well the highest score of each sample says how often it is right; scores (B, actions), labels (B,).

    `error` is the expected calibration error over CALIBRATION_BINS bins of equal width (Guo et al., ICML 2017); `bins`
    are those that hold samples: how many, their mean score, and the share that is right.
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        {
            "samples": int((place == index).sum()),
            "confidence": float(confidence[place == index].mean()),
            "accuracy": float(right[place == index].mean()),
        }
        for index in np.unique(place)
    ]
    error = sum(each["samples"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(labels)
    return {"error": error, "bins": bins}


def stressed_accuracies(model: DANet, centred: Path, names: set[str], clips: Clips, device: torch.device) -> dict:
    """Top-1 accuracy on recordings that are changed before anything else is done to them.

    Of at most STRESSED_SAMPLES samples, evenly spread over their names. `turned`: turned about the vertical, with
    `samples`, `degrees` and `top1`; `worse`: one entry for each of STRESSES, with `samples`, `top1` and `plain`, the
    accuracy of the same samples unchanged. People are swapped only where there are two.
    """
    ordered = sorted(names)
    chosen = {ordered[place] for place in np.linspace(0, len(ordered) - 1, STRESSED_SAMPLES).round().astype(int)}
    with open_records(centred, "centred") as records:
        recordings = [Sequence.from_record(record) for record in records if record.name in chosen]
        dataset, layout = find_dataset(records.about["dataset"]), find_layout(records.about["layout"])
    labels = np.array([dataset.sample(recording.name).action for recording in recordings])

    def right(changed: list[Sequence]) -> np.ndarray:
        scores = scores_of(model, Sequences(changed, layout, clips), np.arange(len(changed)), device)
        return scores.argmax(axis=1) == labels

    plain = right(recordings)
    turned = []
    for degrees in TURNS:
        turn = rotation(np.radians([degrees]), 1)[0].astype(np.float32)
        turned.append(right([replace(recording, joints=recording.joints @ turn.T) for recording in recordings]))
    two = np.array([recording.seen.any(axis=0).sum() > 1 for recording in recordings])
    worse = []
    for stress in STRESSES:
        concerned = two if stress.worsen is swap_people else np.ones(len(recordings), bool)
        if not concerned.any():
            continue
        rng = np.random.default_rng(0)
        changed = right([replace(each, joints=stress(each.joints, layout, rng)) for each in recordings])
        about = {"what": stress.what, "level": stress.level, "unit": stress.unit, "samples": int(concerned.sum())}
        worse.append(about | {"plain": float(plain[concerned].mean()), "top1": float(changed[concerned].mean())})
    shares = [float(each.mean()) for each in turned]
    return {"turned": {"samples": len(recordings), "degrees": list(TURNS), "top1": shares}, "worse": worse}


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
