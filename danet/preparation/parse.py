"""Reads raw files into sightings of bodies; a file that cannot be read, or shows nobody, is set aside.

The stage writes records of kind bodies, a table with a row for each file that was set aside, and the hash of each file.
"""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from danet.config.settings import OF_PARSING, Prepare
from danet.datasets.dataset import Dataset, Reader
from danet.datasets.readers.raw_file import read_raw_file
from danet.datasets.registry import find_dataset
from danet.errors import BadRecording
from danet.io.files import written_whole
from danet.io.store import Record, write_records
from danet.preparation.parallel import ordered_map
from danet.preparation.revisions import content_hash, write_contents
from danet.preparation.unseen import zero_what_is_not_finite
from danet.skeleton.recording import Bodies

SET_ASIDE_COLUMNS = ["name", "file", "reason", "line", "frame", "body", "expected", "got"]
UNREADABLE = "unreadable"
NOBODY = "no body in any frame"
COPY = "a copy, joint for joint, of a recording that comes first"
A_BODY = "a body in at least one frame"
FARTHEST = 1e6  # metres: far beyond any sensor, and small enough that no sum of squares leaves float32

log = logging.getLogger(__name__)


def read_recording(read: Reader, name: str, path: str) -> Bodies:
    """Reads one raw file with a data set's reader; a joint that is not finite comes out at (0, 0, 0): not seen.

    Errors: BadRecording, as for `read_raw_file`, and when it shows nobody or somebody too far out.
    """
    bodies = zero_what_is_not_finite(read_raw_file(read, name, path))
    if not len(bodies.frame):
        raise BadRecording(path, A_BODY, f"{bodies.frames} frames, all without one")
    far = ~(np.abs(bodies.joints) <= FARTHEST).all(axis=(1, 2))
    if far.any():
        frame = int(bodies.frame[far.argmax()]) + 1
        raise BadRecording(path, f"coordinates within {FARTHEST:,.0f} m", "one beyond", frame=frame)
    return bodies


def read_or_excuse(dataset: str, folder: Path | None, item: tuple[str, str]) -> Bodies | BadRecording:
    """Reads the (name, path) of a recording, or says what is wrong with it; runs in any process.

    `dataset` and `folder` are the data set's name and folder.
    """
    try:
        return read_recording(find_dataset(dataset, folder).read, *item)
    except BadRecording as problem:
        return problem


def hash_and_read(dataset: str, folder: Path | None, item: tuple[str, str]) -> tuple[str, Bodies | BadRecording]:
    """The hash of a file's bytes, and what `read_or_excuse` says. A file that changes between has the older hash."""
    return content_hash(item[1]), read_or_excuse(dataset, folder, item)


def used_items(manifest: pd.DataFrame) -> list[tuple[str, str]]:
    """(name, path) of the manifest's used files, in its order."""
    used = manifest[manifest["aside"] == ""]
    return list(zip(used["name"], used["file"], strict=True))


class Sieve:
    """Lets the recordings through that can be used, and keeps a row of the set-aside table for each of the others.

    Errors: with `strict`, the first BadRecording is raised.
    """

    def __init__(self, manifest: pd.DataFrame, dataset: Dataset, settings: Prepare):
        self.strict = settings.strict
        self.drops_copies = settings.drop_copies and not dataset.keeps_copies
        self.first_with: dict[int, str] = {}
        unused = manifest[manifest["aside"] != ""]
        self.rows: list[tuple] = [
            (name, file, aside, 0, 0, 0, "", "")
            for name, file, aside in zip(unused["name"], unused["file"], unused["aside"], strict=True)
        ]

    def excuse(self, item: tuple[str, str], problem: BadRecording) -> None:
        """Sets the recording `item` (name, path) aside because it cannot be read."""
        if self.strict:
            raise problem
        log.warning("set aside: %s", problem)
        reason = NOBODY if problem.expected == A_BODY else UNREADABLE
        self.rows.append((*item, reason, problem.line, problem.frame, problem.body, problem.expected, problem.got))

    def passes(self, item: tuple[str, str], content: int) -> bool:
        """Whether a recording that could be read is used: whether none with its content came before."""
        first = self.first_with.setdefault(content, item[0])
        if first == item[0] or not self.drops_copies:
            return True
        self.rows.append((*item, COPY, 0, 0, 0, "joints of its own", f"those of {first}"))
        return False

    def drop(self, item: tuple[str, str], reason: str) -> None:
        """Sets a recording aside for a reason that a later stage gives."""
        self.rows.append((*item, reason, 0, 0, 0, "", ""))

    def write(self, path: Path) -> None:
        """Writes the set-aside table."""
        with written_whole(path) as partial:
            pd.DataFrame(self.rows, columns=SET_ASIDE_COLUMNS).to_parquet(partial)


def parse(
    manifest: pd.DataFrame,
    dataset: Dataset,
    bodies: Path,
    set_aside: Path,
    contents: Path,
    *,
    settings: Prepare,
    jobs: int,
) -> None:
    """The parse stage: writes `bodies` (records of kind bodies) and two tables.

    `set_aside` has a row for each file that is not used. `contents` has the hash of each file's bytes.
    """
    sieve, items = Sieve(manifest, dataset, settings), used_items(manifest)
    metadata = dataset.describe() | {"prepare": settings.model_dump(include=OF_PARSING)}
    results = ordered_map(partial(hash_and_read, dataset.name, dataset.folder), items, jobs)
    hashes = {file: content_hash(file) for file in manifest.loc[manifest["aside"] != "", "file"]}

    def records() -> Iterator[Record]:
        bar = tqdm(items, desc=f"{dataset.name}: parse", disable=None)
        for item, (content, result) in zip(bar, results, strict=True):
            hashes[item[1]] = content
            if isinstance(result, BadRecording):
                sieve.excuse(item, result)
            elif sieve.passes(item, result.content):
                yield result.to_record()

    samples = write_records(bodies, "bodies", records(), metadata)
    sieve.write(set_aside)
    write_contents(contents, manifest, hashes)
    log.info("%s: %d recordings parsed, %d set aside", dataset.name, samples, len(sieve.rows))
    log.info("%s: joints taken for those of %s", dataset.name, dataset.layout_told)
