"""Evaluates a trained network on the test part: scores by sample name, accuracies, calibration, robustness.

The test part is read here and, for what the networks attend to, in `attention`. The validation part only gets scores.
"""

import copy
import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from danet.clips.sequences import Sequences, in_segments, read_recordings
from danet.config.base import check
from danet.config.clips import ClipSettings
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.errors import UserError, brief, tell
from danet.evaluation.robustness import Robustness
from danet.inference.fusion import Backend, multi_view_scores
from danet.inference.scores import EVALUATION_BATCH, TorchBackend, scores_of
from danet.io.files import read_json, write_json, written_whole
from danet.io.store import Records, open_records
from danet.metrics import apart_from_copies, calibration, near_chance, top_k
from danet.models.base import SkeletonModel
from danet.models.weights import load_model, read_tensors
from danet.preparation.split import copies_of_training, read_split
from danet.results import EpochAccuracy, Epochs, Metrics, MultiView, RunRecord
from danet.skeleton.recording import Sequence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated on: the N recordings of a part, each in S segments, so that B = N S sequences are scored.

    `labels` (B,) and `is_copy` (B,), whether a sequence shows what a training sample shows, are those of `sequences`.
    """

    dataset: Dataset
    recordings: list[Sequence]
    sequences: Sequences
    labels: np.ndarray
    is_copy: np.ndarray
    segments: int


def evaluate(
    *,
    weights: Path,
    run: Path,
    centred: Path,
    split: Path,
    dataset: Dataset,
    scores: Path,
    metrics: Path,
    validation: Path | None = None,
    epochs: Path | None = None,
    corrupted_samples: int = 512,
    threads: int | None = None,
) -> None:
    """The evaluate stage: writes `scores` (a row for each test sample) and `metrics`.

    `validation` is written with the same columns, a row for each validation sample. It has none where nothing was held
    out, or where the network was trained anew on the validation part too (`train.refit`), so that it tells nothing.
    With `epochs`, the file of the weights of every epoch, if they were kept, also how each of these would have scored;
    of at most `corrupted_samples` also how the accuracy holds when they are turned or corrupted; 0: not that.
    """
    model, description = load_model(weights)
    backend = TorchBackend(model, description, pick_device(threads))
    trained = check(RunRecord, read_json(run), str(run))
    clips = ClipSettings.model_validate(description["clips"])
    parts = read_split(split)
    part_of = dict(zip(parts["name"], parts["part"], strict=True))
    refitted = trained.settings.get("train", {}).get("refit")
    held_out = None
    with open_records(centred, "centred", verify=True) as records:
        evaluation = read_part("test", records, part_of, dataset, description["protocol"], clips)
        if validation and "validation" in part_of.values() and not refitted:
            held_out = read_part("validation", records, part_of, dataset, description["protocol"], clips)

    def scores_on(part: Evaluation) -> np.ndarray:
        return scores_of(model, part.sequences, np.arange(len(part.sequences)), backend.device)

    computed = scores_on(evaluation)
    result = measure(backend, evaluation, computed, trained, epochs, corrupted_samples)
    log.info("%s", result)
    if result.near_chance and not trained.near_chance:  # the training has told of its own
        tell(log, f"{dataset.name}/{result.protocol} {result.method} seed {result.seed}: {result.near_chance}")
    table = scores_table(evaluation, computed)
    write_scores(scores, table)
    if validation:
        write_scores(validation, scores_table(held_out, scores_on(held_out)) if held_out else table.slice(0, 0))
    write_json(metrics, result.model_dump(mode="json"))


def read_part(
    part: str, records: Records, part_of: dict[str, str], dataset: Dataset, protocol: str, clips: ClipSettings
) -> Evaluation:
    """A part of a protocol, `part_of` each name. Errors: UserError when none of it is among the records."""
    segments = dataset.protocol(protocol).segments
    copies = copies_of_training(records, part_of, part)
    recordings = read_recordings(records, {name for name, own in part_of.items() if own == part})
    sequences = Sequences(in_segments(recordings, segments), dataset.layout, clips)
    labels = np.array([dataset.sample(name).action for name in sequences.names])
    is_copy = np.array([name in copies for name in sequences.names])
    return Evaluation(dataset, recordings, sequences, labels, is_copy, segments)


def measure(
    backend: TorchBackend,
    evaluation: Evaluation,
    scores: np.ndarray,
    trained: RunRecord,
    epochs: Path | None,
    corrupted_samples: int,
) -> Metrics:
    """The metrics of a network whose scores (B, A) these are. Of recordings in segments robustness is not measured."""
    model, labels = backend.model, evaluation.labels
    right, top1 = scores.argmax(axis=1) == labels, top_k(scores, labels, 1)
    whole = evaluation.segments == 1
    robustness = None
    if corrupted_samples and whole:
        robustness = Robustness(backend, evaluation.recordings, evaluation.dataset, corrupted_samples)
    return Metrics(
        dataset=trained.dataset,
        protocol=trained.protocol,
        method=trained.method,
        seed=trained.seed,
        simulated=trained.simulated,
        top1=top1,
        top5=top_k(scores, labels, 5),
        samples=len(labels),
        parameters=trained.parameters,
        seconds=trained.seconds,
        epoch=trained.epoch,
        validation_top1=trained.validation_top1,
        near_chance=trained.near_chance or near_chance("test", top1, labels),
        **apart_from_copies(right, evaluation.is_copy),
        segments=tuple(right.reshape(-1, evaluation.segments).mean(axis=0).tolist()),
        epochs=epoch_accuracies(model, epochs, evaluation, trained.epoch, backend.device) if epochs else None,
        calibration=calibration(scores, labels),
        multi_view=multi_view(backend, evaluation, scores) if whole else None,
        turned=robustness.turned() if robustness else None,
        corruptions=robustness.corrupted() if robustness else (),
    )


def scores_table(evaluation: Evaluation, scores: np.ndarray) -> pa.Table:
    """A row for each sample and segment: its name, its label, and its scores (B, A)."""
    names = evaluation.sequences.names
    columns = {
        "name": names,
        "segment": np.arange(len(names)) % evaluation.segments,
        "copy": evaluation.is_copy,
        "label": evaluation.labels,
        "prediction": scores.argmax(axis=1),
        "scores": pa.array(list(scores), pa.list_(pa.float32())),
    }
    return pa.table(columns)


def write_scores(path: Path, table: pa.Table) -> None:
    """Writes a table of scores."""
    with written_whole(path) as partial:
        pq.write_table(table, partial)


def multi_view(backend: Backend, evaluation: Evaluation, alone: np.ndarray) -> MultiView | None:
    """Accuracy when the test recordings of one performance, from several cameras, get one label between them.

    `alone` (B, A) are the scores of each recording by itself, for comparison. None where no performance was tested from
    two cameras, or where the cameras did not run at one time.
    """
    dataset, sequences, labels = evaluation.dataset, evaluation.sequences, evaluation.labels
    if not dataset.synchronous:
        return None
    performances: dict[str, list[int]] = defaultdict(list)
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


def weights_of_epochs(model: SkeletonModel, epochs: Path) -> dict[int, dict[str, Tensor]]:
    """The weights after each epoch that was kept. Errors: UserError for those of another network."""
    tensors, _ = read_tensors(epochs)
    asked = {name: value.shape for name, value in model.state_dict().items()}
    weights: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        epoch, _, name = key.partition(".")
        if not epoch.isdecimal() or asked.get(name) != value.shape:
            expected = f"of an epoch, its number first, and of the shape {list(asked.get(name, ()))}"
            raise UserError(f"{epochs}: '{brief(key, 100)}': expected weights {expected}, got {list(value.shape)}")
        weights[int(epoch)][name] = value
    for epoch_number, held in weights.items():
        if missing := asked.keys() - held.keys():
            raise UserError(f"{epochs}: epoch {epoch_number}: expected weights '{min(missing)}', got none")
    return weights


def epoch_accuracies(
    model: SkeletonModel, epochs: Path, evaluation: Evaluation, chosen: int, device: torch.device
) -> Epochs | None:
    """Top-1 after the last epoch, the `chosen` one, and the one that is best on the test part, which is no result.

    None where the epochs' weights were not kept. The model's own weights are put back.
    """
    weights = weights_of_epochs(model, epochs)
    if not weights:
        return None
    if chosen not in weights:
        raise UserError(f"{epochs}: expected the weights of epoch {chosen}, got those of {len(weights)} others")
    sequences = evaluation.sequences
    kept = copy.deepcopy(model.state_dict())
    top1: dict[int, float] = {}
    for number in sorted(weights):
        model.load_state_dict(weights[number])
        top1[number] = top_k(scores_of(model, sequences, np.arange(len(sequences)), device), evaluation.labels, 1)
    model.load_state_dict(kept)
    last, best = max(top1), max(top1, key=lambda number: top1[number])
    return Epochs(
        last=EpochAccuracy(epoch=last, top1=top1[last]),
        chosen=EpochAccuracy(epoch=chosen, top1=top1[chosen]),
        best_on_test=EpochAccuracy(epoch=best, top1=top1[best]),
    )
