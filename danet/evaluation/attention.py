"""Weights and sequences in, what the network attends to out: a map per recording, and the clips that a report draws."""

import json
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from danet.clips.sequences import Sequences
from danet.config.settings import Clips
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.device import pick_device
from danet.errors import UserError
from danet.inference.scores import EVALUATION_BATCH, as_tensors
from danet.io.files import write_text, written_whole
from danet.io.store import open_records
from danet.metrics import Pairs, map_agreement
from danet.models.danet.network import DANet
from danet.models.weights import load_model
from danet.skeleton.layout import find_layout
from danet.skeleton.recording import Sequence

SHOWN = 3  # performances that are drawn when none is asked for


def attend(
    *,
    weights: Path,
    centred: Path,
    split: Path,
    maps: Path,
    shown: Path,
    wanted: tuple[str, ...] = (),
    threads: int | None = None,
) -> None:
    """The attend stage. Each recording is seen whole, alone, and by way of the network's attention to itself.

    `maps` gets a row per test sample and per recording of the same performance from another view: `name`, `part`,
    `joint_map` (L,) and `moment_map` (T,), each adding to 1. `shown` gets the agreement of the maps over all pairs of
    views in which a test sample is one, and clips to draw: of the `wanted` actions or samples, by default of SHOWN
    actions evenly spread, the first test sample by name. An action that is not tested is passed over. Errors: UserError
    for a wanted name that is neither.
    """
    model, about = load_model(weights)
    device = pick_device(threads)
    model = model.to(device)
    dataset, layout = find_dataset(about["dataset"]), find_layout(about["layout"])
    clips = Clips.model_validate(about["clips"])
    parts = pd.read_parquet(split).set_index("name")["part"].to_dict()
    with open_records(centred, "centred") as records:
        contents = dict(zip(records.names, map(int, records.facts["content"]), strict=True))
        pairs = pairs_of_views(dataset, {name: part for name, part in parts.items() if name in contents}, contents)
        names = {name for name, part in parts.items() if part == "test"} | {name for pair in pairs for name in pair}
        recordings = [Sequence.from_record(record) for record in records if record.name in names]
    sequences = Sequences(recordings, layout, clips)
    place = {name: index for index, name in enumerate(sequences.names)}
    batches = [
        np.arange(start, min(start + EVALUATION_BATCH, len(sequences)))
        for start in range(0, len(sequences), EVALUATION_BATCH)
    ]
    found = [_maps_of(model, sequences, batch, device) for batch in batches]
    joint_map, moment_map, chances = (np.concatenate(column) for column in zip(*found, strict=True))
    table = {
        "name": sequences.names,
        "part": [parts[name] for name in sequences.names],
        "joint_map": pa.array(list(joint_map), pa.list_(pa.float32())),
        "moment_map": pa.array(list(moment_map), pa.list_(pa.float32())),
    }
    with written_whole(maps) as partial:
        pq.write_table(pa.table(table), partial)
    unturned = Sequences(recordings, layout, clips.model_copy(update={"face_camera": False}))

    def view(name: str) -> dict:
        index = place[name]
        best = int(chances[index].argmax())
        joints = unturned.cut(np.array([index]), None).joints
        return {
            "name": name,
            "view": dataset.sample(name).view,
            "part": parts[name],
            "prediction": about["actions"][best],
            "score": float(chances[index, best]),
            "joints": joints.astype(np.float64).round(3).tolist(),
            "joint_map": joint_map[index].astype(np.float64).round(5).tolist(),
            "moment_map": moment_map[index].astype(np.float64).round(5).tolist(),
        }

    drawn = []
    for name in _chosen(dataset, sorted(name for name in place if parts[name] == "test"), wanted):
        others = sorted({other for pair in pairs if name in pair for other in pair} - {name})
        shown_views = [name, *others[-1:]]
        sample = dataset.sample(name)
        entry = {"action": about["actions"][sample.action], "performance": sample.performance}
        entry |= {"views": [view(each) for each in shown_views]}
        entry |= {"pair_map": _pair_map(model, sequences, [place[each] for each in shown_views], device)}
        drawn.append(entry)
    tokens = [*layout.joints, *(layout.parts if model.settings.parts else ())]
    agreement = {
        "joints": map_agreement(joint_map, place, pairs, dataset),
        "moments": map_agreement(moment_map, place, pairs, dataset) if dataset.synchronous else None,
    }
    found_out = {"layout": layout.described, "tokens": tokens, "agreement": agreement, "shown": drawn}
    write_text(shown, json.dumps(found_out, allow_nan=False, ensure_ascii=False) + "\n")


def pairs_of_views(dataset: Dataset, parts: dict[str, str], contents: dict[str, int]) -> Pairs:
    """Every two recordings of one performance from different views, at least one of them a test sample.

    `parts` says which part each name is in; recordings of the same `contents`, copies, are no pair.
    """
    performances: dict[str, list[str]] = defaultdict(list)
    for name in sorted(parts):
        performances[dataset.sample(name).performance].append(name)
    pairs = []
    for members in performances.values():
        for one, other in combinations(members, 2):
            different = dataset.sample(one).view != dataset.sample(other).view
            if "test" in (parts[one], parts[other]) and different and contents[one] != contents[other]:
                pairs.append((one, other))
    return pairs


@torch.inference_mode()
def _maps_of(model: DANet, sequences: Sequences, samples: np.ndarray, device: torch.device) -> tuple:
    output = model(*as_tensors(sequences.cut(samples, None), device))
    parts = (output.joint_map, output.moment_map, output.logits.softmax(dim=1))
    return tuple(part.float().cpu().numpy() for part in parts)


@torch.inference_mode()
def _pair_map(model: DANet, sequences: Sequences, views: list[int], device: torch.device) -> list | None:
    """How much each token of the first view (rows) attends to each of the last one; None without cross-attention."""
    space, time = model.encode(*as_tensors(sequences.cut(np.array(views), None), device))
    found = model.relate((space[:1], time[:1]), (space[-1:], time[-1:])).pair_map
    return None if found is None else found[0].double().cpu().numpy().round(5).tolist()


def _chosen(dataset: Dataset, tests: list[str], wanted: tuple[str, ...]) -> list[str]:
    by_action: dict[str, str] = {}
    for name in tests:
        by_action.setdefault(dataset.actions[dataset.sample(name).action], name)
    if not wanted:
        first = sorted(by_action.values(), key=lambda name: dataset.sample(name).action)
        places = np.linspace(0, len(first) - 1, min(SHOWN, len(first))).round().astype(int)
        return [first[index] for index in places]
    for what in wanted:
        if what not in dataset.actions and what not in tests:
            raise UserError(f"{dataset.name}: wanted in 'attention' a test sample or an action, found '{what}'")
    return [by_action.get(what, what) for what in wanted if what in by_action or what in tests]
