"""Takes the pickles of pyskl and MMAction2: key points with labels, and the parts of one of their splits."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from danet.datasets.registry import find_dataset
from danet.errors import BadRecording, UserError, say, shown
from danet.importing.found import AS_IT_IS, FLAT, Found, Options, Taken, failed, files_below, flat, scored
from danet.importing.pickled import read_pickle
from danet.skeleton.recording import MOST_BODIES, MOST_FRAMES

FORM = "'annotations', a list of recordings with 'frame_dir', 'label' and 'keypoint' (pyskl's form)"


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording an annotation that the split has."""
    for path in files_below(source, (".pkl", ".pickle")):
        try:
            value, size = read_pickle(path)
        except BadRecording as error:
            yield failed(path, error)
            continue
        annotations = value.get("annotations") if isinstance(value, dict) else value
        if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
            raise UserError(f"{path}: expected {FORM}, got {shown(annotations)}")
        part_of = _parts(path, value.get("split") if isinstance(value, dict) else None, options.split)
        left = size  # bytes of key points: an array may be there under many names
        for item in annotations:
            name = item.get("frame_dir", item.get("filename"))
            if not isinstance(name, str) or not isinstance(item.get("label"), (str, int)):
                raise UserError(f"{path}: expected {FORM}, got {shown(name)} with label {shown(item.get('label'))}")
            if part_of is None or name in part_of:
                left -= getattr(item.get("keypoint"), "nbytes", 0)
                if left < 0:
                    raise UserError(f"{path}: expected each array once, got more key points than it has bytes")
                yield _found(path, name, item, part_of[name] if part_of else "", options)


def _found(path: Path, name: str, item: dict, part: str, options: Options) -> Found:
    """A recording; one with a name of NTU says by it who acts what, and before which camera."""
    label = item.get("label")
    read = partial(_read, f"{path}: {name}", item, options)
    sample = (ntu := find_dataset("ntu120")).parse_name(name)
    if sample is not None and sample.action == label:
        return Found(name, read, ntu.actions[sample.action], str(sample.subject), str(sample.view), part)
    return Found(name, read, label if isinstance(label, str) else f"action {label}", split=part)


def _parts(path: Path, splits: Any, chosen: str) -> dict[str, str] | None:
    """The part of each name in a split: `xsub_train`, `xsub_val` and `xsub_test`, or those without a name before them.

    Without a test part, `val` tests. None where the file has no splits.
    """
    if not splits and not chosen:
        return None
    if not isinstance(splits, dict) or not all(isinstance(names, list) for names in splits.values()):
        raise UserError(f"{path}: expected 'split', lists of names, got {shown(splits)}")
    named = {key: str(key).rpartition("_")[::2] for key in splits}
    known = list(dict.fromkeys(split for split, _ in named.values()))
    split = chosen or known[0]
    if split not in known:
        raise UserError(f"--split: expected one of {', '.join(known)}, got '{split}'")
    parts = {part: splits[key] for key, (of, part) in named.items() if of == split}
    if len(known) > 1:
        say(f"{path}: split {split or '(no name)'} of {', '.join(known)}")
    meaning = {"train": "train", "test": "test", "val": "validation" if "test" in parts else "test"}
    return {name: meaning[part] for part in parts if part in meaning for name in parts[part] if isinstance(name, str)}


def _read(where: str, item: dict, options: Options) -> Taken:
    points, score = item.get("keypoint"), item.get("keypoint_score")
    if not isinstance(points, np.ndarray) or points.ndim != 4 or points.shape[-1] not in (2, 3):
        raise BadRecording(where, "'keypoint' of shape (M, T, V, 2 or 3)", shown(getattr(points, "shape", points)))
    points = points.astype(np.float64)
    people, frames, _, width = points.shape
    if not points.size or people > MOST_BODIES or frames > MOST_FRAMES:
        raise BadRecording(where, f"at most {MOST_BODIES} people in {MOST_FRAMES:,} frames", f"{points.shape}")
    if score is not None:
        if not isinstance(score, np.ndarray) or score.size != points.size // width:
            raise BadRecording(where, "a score of each key point", shown(getattr(score, "shape", score)))
        score = score.reshape(points.shape[:-1])
    if width == 2:
        array, changes = flat(points, score, options.least_score), FLAT
    else:
        array, changes = scored(points, score, options.least_score), AS_IT_IS
    array = array[array.any(axis=(1, 2, 3))]
    if not len(array):
        raise BadRecording(where, "somebody to be seen", "nobody")
    return Taken(array, changes)
