"""Computes what a network attends to: a map for each test recording, their agreement between views, clips to draw."""

import json
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from danet.clips.sequences import Sequences, read_recordings
from danet.config.clips import ClipSettings
from danet.datasets.dataset import Dataset
from danet.device import pick_device
from danet.evaluation.clips_to_draw import choose_samples, drawn_view
from danet.inference.scores import EVALUATION_BATCH, as_tensors
from danet.io.files import write_text, written_whole
from danet.io.store import open_records
from danet.metrics import Pairs, map_agreement
from danet.models.base import SkeletonModel, take
from danet.models.weights import load_model

Maps = tuple[np.ndarray, np.ndarray, np.ndarray]  # attention to joints (N, L) and to patches (N, P); scores (N, A)


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
    clips = ClipSettings.model_validate(description["clips"])
    part_of = pd.read_parquet(split).set_index("name")["part"].to_dict()
    with open_records(centred, "centred") as records:
        contents = dict(zip(records.names, map(int, records.facts["content"]), strict=True))
        pairs = pairs_of_views(dataset, {name: part for name, part in part_of.items() if name in contents}, contents)
        tests = sorted(name for name, part in part_of.items() if part == "test" and name in contents)
        recordings = read_recordings(records, {*tests, *(name for pair in pairs for name in pair)})
    chosen = choose_samples(dataset, tests, asked)
    sequences = Sequences(recordings, dataset.layout, clips)
    computed = maps_of(model, sequences, device)
    write_maps(maps, sequences.names if computed else [], part_of, computed)
    drawn: list[dict] = []
    agreement: dict[str, dict | None] = {"joints": None, "patches": None}
    if computed:
        index_of = {name: index for index, name in enumerate(sequences.names)}
        agreement["joints"] = map_agreement(computed[0], index_of, pairs, dataset)
        if dataset.synchronous:
            agreement["patches"] = map_agreement(computed[1], index_of, pairs, dataset)
        unturned = Sequences(recordings, dataset.layout, clips.model_copy(update={"face_camera": False}))
        for name in chosen:
            others = sorted({other for pair in pairs if name in pair for other in pair} - {name})
            views = [name, *others[-1:]]
            sample = dataset.sample(name)
            drawn.append(
                {
                    "action": description["actions"][sample.action],
                    "performance": sample.performance,
                    "views": [
                        drawn_view(
                            unturned,
                            index_of[each],
                            view=dataset.sample(each).view,
                            part=part_of[each],
                            actions=description["actions"],
                            maps=computed,
                        )
                        for each in views
                    ],
                    "pair_attention": pair_attention(model, sequences, [index_of[each] for each in views], device),
                }
            )
    written = {"layout": dataset.layout.described, "tokens": model.tokens, "agreement": agreement, "shown": drawn}
    write_text(shown, json.dumps(written, allow_nan=False, ensure_ascii=False) + "\n")


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
    """Writes a row for each of the names: its part, and the attention to each joint and to each patch."""
    joints, patches = ([], []) if maps is None else (list(maps[0]), list(maps[1]))
    columns = {
        "name": pa.array(names, pa.string()),
        "part": pa.array([part_of[name] for name in names], pa.string()),
        "joint_attention": pa.array(joints, pa.list_(pa.float32())),
        "patch_attention": pa.array(patches, pa.list_(pa.float32())),
    }
    with written_whole(path) as partial:
        pq.write_table(pa.table(columns), partial)
