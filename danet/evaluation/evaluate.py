"""Evaluates a trained network on the test part: scores by sample name, accuracies, calibration, robustness.

The test part is read here and, for what the networks attend to, in `attention`.
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

from danet.clips.sequences import Sequences, in_segments, read_recordings
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.evaluation.robustness import Robustness
from danet.inference.fusion import Backend, multi_view_scores
from danet.inference.scores import EVALUATION_BATCH, TorchBackend, scores_of
from danet.io.files import read_json, write_json, written_whole
from danet.io.store import open_records
from danet.metrics import apart_from_copies, calibration, top_k
from danet.models.base import SkeletonModel
from danet.models.weights import load_model, read_tensors
from danet.preparation.split import copies_of_training
from danet.results import EpochAccuracy, Epochs, Metrics, MultiView, RunRecord

log = logging.getLogger(__name__)


def evaluate(
    *,
    weights: Path,
    run: Path,
    centred: Path,
    split: Path,
    dataset: Dataset,
    scores: Path,
    metrics: Path,
    epochs: Path | None = None,
    corruptions: bool = True,
    threads: int | None = None,
) -> None:
    """The evaluate stage: writes `scores` (a row for each test sample) and `metrics`.

    With `epochs`, the file of the weights of every epoch, if they were kept, also how each of these would have scored;
    with `corruptions` also how the accuracy holds on turned and on corrupted recordings.
    """
    model, description = load_model(weights)
    device = pick_device(threads)
    model = model.to(device)
    clips = ClipSettings.model_validate(description["clips"])
    segments = dataset.protocol(description["protocol"]).segments
    parts = pd.read_parquet(split)
    part_of = dict(zip(parts["name"], parts["part"], strict=True))
    with open_records(centred, "centred") as records:
        copies = copies_of_training(records, part_of)
        recordings = read_recordings(records, {name for name, part in part_of.items() if part == "test"})
    sequences = Sequences(in_segments(recordings, segments), dataset.layout, clips)
    labels = np.array([dataset.sample(name).action for name in sequences.names])
    predicted = scores_of(model, sequences, np.arange(len(sequences)), device)
    is_copy = np.array([name in copies for name in sequences.names])
    write_scores(scores, sequences.names, segments, is_copy, labels, predicted)
    trained = check(RunRecord, read_json(run), str(run))
    right = predicted.argmax(axis=1) == labels
    whole = segments == 1
    robustness = Robustness(model, recordings, dataset, clips, device) if corruptions and whole else None
    backend = TorchBackend(model, description, device)
    result = Metrics(
        **{key: description[key] for key in ("dataset", "protocol", "method", "seed", "simulated")},
        top1=top_k(predicted, labels, 1),
        top5=top_k(predicted, labels, 5),
        samples=len(labels),
        parameters=trained.parameters,
        seconds=trained.seconds,
        epoch=trained.epoch,
        validation_top1=trained.validation_top1,
        **apart_from_copies(right, is_copy),
        segments=tuple(right.reshape(-1, segments).mean(axis=0).tolist()),
        epochs=epoch_accuracies(model, epochs, sequences, labels, trained.epoch, device) if epochs else None,
        calibration=calibration(predicted, labels),
        multi_view=multi_view(backend, sequences, predicted, dataset) if whole else None,
        turned=robustness.turned() if robustness else None,
        corruptions=robustness.corrupted() if robustness else (),
    ).model_dump(mode="json")
    log.info("%s", result)
    write_json(metrics, result)


def write_scores(
    path: Path, names: list[str], segments: int, is_copy: np.ndarray, labels: np.ndarray, scores: np.ndarray
) -> None:
    """Writes a row for each test sample and segment: its name, its label, and its scores (B, A)."""
    columns = {
        "name": names,
        "segment": np.arange(len(names)) % segments,
        "copy": is_copy,
        "label": labels,
        "prediction": scores.argmax(axis=1),
        "scores": pa.array(list(scores), pa.list_(pa.float32())),
    }
    with written_whole(path) as partial:
        pq.write_table(pa.table(columns), partial)


def multi_view(backend: Backend, sequences: Sequences, alone: np.ndarray, dataset: Dataset) -> MultiView | None:
    """Accuracy when the test recordings of one performance, from several cameras, get one label between them.

    `alone` (B, A) are the scores of each recording by itself, for comparison. None where no performance was tested from
    two cameras, or where the cameras did not run at one time.
    """
    if not dataset.synchronous:
        return None
    performances: dict[str, list[int]] = defaultdict(list)
    labels = np.array([dataset.sample(name).action for name in sequences.names])
    for index, name in enumerate(sequences.names):
        performances[dataset.sample(name).performance].append(index)
    by_views: dict[int, list[list[int]]] = defaultdict(list)
    for members in performances.values():
        by_views[len(members)].append(members)
    by_views.pop(1, None)
    if not by_views:
        return None
    right, right_alone = [], []
    for views, same in sorted(by_views.items()):
        size = max(1, EVALUATION_BATCH // views)
        for start in range(0, len(same), size):
            samples = np.array(same[start : start + size])
            together = multi_view_scores(backend, sequences, samples)
            right.append(together.argmax(axis=1) == labels[samples[:, 0]])
            right_alone.append((alone[samples].argmax(axis=2) == labels[samples]).reshape(-1))
    return MultiView(
        performances=sum(map(len, right)),
        recordings=sum(map(len, right_alone)),
        top1=float(np.concatenate(right).mean()),
        top1_alone=float(np.concatenate(right_alone).mean()),
    )


def epoch_accuracies(
    model: SkeletonModel,
    epochs: Path,
    sequences: Sequences,
    labels: np.ndarray,
    chosen: int,
    device: torch.device,
) -> Epochs | None:
    """Top-1 after the last epoch, the `chosen` one, and the one that is best on the test part, which is no result.

    None where the epochs' weights were not kept. The model's own weights are put back.
    """
    tensors, _ = read_tensors(epochs)
    weights: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        epoch, _, name = key.partition(".")
        weights[int(epoch)][name] = value
    if not weights:
        return None
    kept = copy.deepcopy(model.state_dict())
    top1: dict[int, float] = {}
    for number in sorted(weights):
        model.load_state_dict(weights[number])
        top1[number] = top_k(scores_of(model, sequences, np.arange(len(sequences)), device), labels, 1)
    model.load_state_dict(kept)
    last, best = max(top1), max(top1, key=lambda number: top1[number])
    return Epochs(
        last=EpochAccuracy(epoch=last, top1=top1[last]),
        chosen=EpochAccuracy(epoch=chosen, top1=top1[chosen]),
        best_on_test=EpochAccuracy(epoch=best, top1=top1[best]),
    )
