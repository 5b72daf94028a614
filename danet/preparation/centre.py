"""Moves the origin of each sequence to the first actor's mid spine in the first frame in which it is seen.

Sequences are (T, M, V, 3) in metres. The stage reads records of kind actors and writes records of kind centred.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from danet.config.base import check
from danet.config.settings import Prepare
from danet.io.store import open_records, write_records
from danet.skeleton.layout import find_layout
from danet.skeleton.recording import Sequence

log = logging.getLogger(__name__)


def centre(sequence: Sequence, origin: int, timing: str) -> Sequence:
    """Subtracts joint `origin` of the first actor's first frame from every joint of every frame and actor.

    Nothing is turned or scaled. An actor that was not seen in a frame stays all zero. With reference timing that holds
    for recordings of two actors only, as in the reference preparation.
    """
    joints = sequence.joints
    start = joints[int(sequence.seen[:, 0].argmax()), 0, origin]
    centred = joints - start
    if timing == "observed":
        centred[~sequence.seen] = 0
    elif joints.shape[1] == 2:
        centred[joints.reshape(*joints.shape[:2], -1).sum(axis=2) == 0] = 0
    return replace(sequence, joints=centred.astype(np.float32, copy=False))


def centre_all(actors: Path, centred: Path) -> None:
    """The centre stage: writes `centred` (records of kind centred)."""
    with open_records(actors, "actors") as source:
        origin = find_layout(source.described("layout", (str, dict)), str(actors)).origin
        timing = check(Prepare, source.described("prepare", dict), str(actors)).timing
        records = tqdm(source, total=len(source), desc="centre", disable=None)
        sequences = (centre(Sequence.from_record(record), origin, timing) for record in records)
        samples = write_records(centred, "centred", (sequence.to_record() for sequence in sequences), source.about)
    log.info("%d sequences centred", samples)
