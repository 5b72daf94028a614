"""Computes what a network attends to: a map for each test recording, their agreement between views, clips to draw."""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from danet.clips.sequences import Sequences, read_recordings
from danet.config.clips import ClipSettings
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.evaluation.clips_to_draw import choose_samples, drawn_performance
from danet.inference.scores import EVALUATION_BATCH, as_tensors
from danet.io.files import write_text, written_whole
from danet.io.store import open_records
from danet.metrics import Pairs, map_agreement
from danet.models.base import SkeletonModel, take
from danet.models.weights import load_model
from danet.preparation.split import read_split
from danet.skeleton.recording import Sequence

Maps = tuple[np.ndarray, np.ndarray, np.ndarray]  # attention to joints (N, L) and to patches (N, P); scores (N, A)


@dataclass(frozen=True)
class Views:
    """The test samples, and the recordings of the same performances from other views, whatever part they are in.

    `recordings` are all of these; `tests` are the names of the test samples, sorted; `part_of` says of each name which
    part it is in.
    """

    dataset: Dataset
    recordings: list[Sequence]
    part_of: dict[str, str]
    tests: list[str]
    pairs: Pairs

    @property
    def index_of(self) -> dict[str, int]:
        """Where each recording is among all."""
        return {recording.name: index for index, recording in enumerate(self.recordings)}

    def with_last_view(self, name: str) -> list[str]:
        """A recording, and the last by name of those from other views, if there are any."""
        others = sorted({other for pair in self.pairs if name in pair for other in pair} - {name})
        return [name, *others[-1:]]


def attention_maps(
    *,
    weights: Path,
    centred: Path,
    split: Path,
    dataset: Dataset,
    maps: Path,
    shown: Path,
    asked: tuple[str, ...] = (),
    threads: int | None = None,
) -> None:
    """The attention_maps stage. Each recording is seen whole, alone, and by way of the network's attention to itself.

    `maps` gets a row for each test sample and for each recording of the same performance from another view: `name`,
    `part`, `joint_attention` (L,) and `patch_attention` (P,), each adding to 1. `shown` gets the agreement of the maps
    over all pairs of views in which a test sample is one, and clips to draw of what was `asked` for, as
    `choose_samples` says. Of a network without maps both are empty. Errors: UserError for a name that is not known.
    """
    model, description = load_model(weights)
    device = pick_device(threads)
    model = model.to(device)
    views = read_views(centred, split, dataset)
    chosen = choose_samples(dataset, views.tests, asked)
    clips = ClipSettings.model_validate(description["clips"])
    sequences = Sequences(views.recordings, dataset.layout, clips)
    computed = maps_of(model, sequences, device)
    write_maps(maps, sequences.names, views.part_of, computed)
    drawn: list[dict] = []
    if computed:
        unturned = Sequences(views.recordings, dataset.layout, clips.model_copy(update={"face_camera": False}))
        for names in map(views.with_last_view, chosen):
            indices = [views.index_of[name] for name in names]
            performance = drawn_performance(unturned, indices, dataset, views.part_of, computed)
            drawn.append(performance | {"pair_attention": pair_attention(model, sequences, indices, device)})
    contents = {
        "layout": dataset.layout.described,
        "tokens": model.tokens,
        "agreement": agreement(views, computed),
        "shown": drawn,
    }
    write_text(shown, json.dumps(contents, allow_nan=False, ensure_ascii=False) + "\n")


def read_views(centred: Path, split: Path, dataset: Dataset) -> Views:
    """The test samples of a split that could be prepared, with what was seen of them from other views."""
    part_of = read_split(split).set_index("name")["part"].to_dict()
    with open_records(centred, "centred", verify=True) as records:
        contents = dict(zip(records.names, map(int, records.facts["content"]), strict=True))
        part_of = {name: part for name, part in part_of.items() if name in contents}
        tests = sorted(name for name, part in part_of.items() if part == "test")
        pairs = pairs_of_views(dataset, part_of, contents)
        recordings = read_recordings(records, {*tests, *(name for pair in pairs for name in pair)})
    return Views(dataset, recordings, part_of, tests, pairs)


def agreement(views: Views, maps: Maps | None) -> dict[str, dict | None]:
    """How far the maps of two views agree, over joints, and over patches where all cameras ran at one time."""
    if maps is None:
        return {"joints": None, "patches": None}
    joints, patches = (map_agreement(each, views.index_of, views.pairs, views.dataset) for each in maps[:2])
    return {"joints": joints, "patches": patches if views.dataset.synchronous else None}


def pairs_of_views(dataset: Dataset, parts: dict[str, str], contents: dict[str, int]) -> Pairs:
    """Every two recordings of one performance from different views, at least one of them a test sample.

    `parts` says which part each name is in; recordings of the same `contents`, copies, are no pair.
    """
    performances: dict[str, list[str]] = defaultdict(list)
    for name in sorted(parts):
        performances[dataset.sample(name).performance].append(name)
    pairs = []
    for members in performances.values():
        for first, second in combinations(members, 2):
            different = dataset.sample(first).view != dataset.sample(second).view
            if "test" in (parts[first], parts[second]) and different and contents[first] != contents[second]:
                pairs.append((first, second))
    return pairs


@torch.inference_mode()
def maps_of(model: SkeletonModel, sequences: Sequences, device: torch.device) -> Maps | None:
    """The maps and scores of all sequences, each seen whole and alone; None of a network without maps."""
    computed = []
    for samples in np.split(np.arange(len(sequences)), range(EVALUATION_BATCH, len(sequences), EVALUATION_BATCH)):
        output = model(as_tensors(sequences.cut(samples, None), device))
        if output.attention is None:
            return None
        tensors = (output.attention.joints, output.attention.frames, output.logits.softmax(dim=1))
        computed.append([tensor.float().cpu().numpy() for tensor in tensors])
    joints, patches, scores = (np.concatenate(column) for column in zip(*computed, strict=True))
    return joints, patches, scores


@torch.inference_mode()
def pair_attention(
    model: SkeletonModel, sequences: Sequences, views: list[int], device: torch.device
) -> list[list[float]] | None:
    """How much each token of the first view (rows) attends to each of the last one; None without such a map."""
    encoded = model.encode(as_tensors(sequences.cut(np.array(views), None), device))
    attention = model.classify(take(encoded, slice(0, 1)), take(encoded, slice(-1, None))).attention
    if attention is None or attention.pairs is None:
        return None
    return attention.pairs[0].double().cpu().numpy().round(5).tolist()


def write_maps(path: Path, names: list[str], part_of: dict[str, str], maps: Maps | None) -> None:
    """Writes a row for each recording: its part, and the attention to each joint and patch; none without maps."""
    names = names if maps else []
    joints, patches = (list(maps[0]), list(maps[1])) if maps else ([], [])
    columns = {
        "name": pa.array(names, pa.string()),
        "part": pa.array([part_of[name] for name in names], pa.string()),
        "joint_attention": pa.array(joints, pa.list_(pa.float32())),
        "patch_attention": pa.array(patches, pa.list_(pa.float32())),
    }
    with written_whole(path) as partial:
        pq.write_table(pa.table(columns), partial)
