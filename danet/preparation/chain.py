"""Prepares a raw folder in one pass: the workflow's stages from manifest to centre, nothing written in between."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from danet.config.settings import Prepare
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset
from danet.errors import BadRecording
from danet.io.store import Record, write_records
from danet.preparation.centre import centre
from danet.preparation.denoise import NOBODY_KEPT, denoise, tell_doubts, write_audit
from danet.preparation.manifest import make_manifest, no_recordings
from danet.preparation.parallel import ordered_map
from danet.preparation.parse import Sieve, read_or_excuse, used_items
from danet.skeleton.doubts import doubts_of
from danet.skeleton.recording import Sequence


class Prepared(NamedTuple):
    """What became of one recording: the sequence, None if no body was left; the audit; the hash of its content."""

    sequence: Sequence | None
    audit: dict
    content: int


def prepare_one(dataset: str, folder: Path | None, settings: Prepare, item: tuple[str, str]) -> Prepared | BadRecording:
    """From the (name, path) of a recording to its centred sequence, in any process.

    `dataset` and `folder` are the data set's name and folder.
    """
    bodies = read_or_excuse(dataset, folder, item)
    if isinstance(bodies, BadRecording):
        return bodies
    layout = find_dataset(dataset, folder).layout
    sequence, audit = denoise(bodies, settings, layout)
    if sequence is not None:
        sequence = centre(sequence, layout.origin, settings.timing)
    return Prepared(sequence, audit | {"doubts": " ".join(doubts_of(bodies, layout))}, bodies.content)


def prepare(dataset: Dataset, raw: Path, out: Path, *, settings: Prepare, jobs: int) -> dict[str, int | float]:
    """Prepares every recording of a data set below `raw` and writes `out`, of kind centred.

    Two tables lie beside it. `<out>_set_aside.parquet` has a row for each file that is not in it, with the reason;
    `<out>_audit.parquet` has a row for each recording that was read. Returns the numbers of files, of samples written
    and of files set aside, and the seconds taken. Errors: UserError for a folder that is missing or holds no
    recording; with `strict`, BadRecording for the first file that cannot be read, and UserError for numbers in doubt.
    """
    started = time.monotonic()
    manifest = make_manifest(dataset, [raw])
    sieve, items = Sieve(manifest, dataset, settings), used_items(manifest)
    if not items:
        raise no_recordings(dataset, [raw])
    audits: list[dict] = []
    results = ordered_map(partial(prepare_one, dataset.name, dataset.folder, settings), items, jobs)

    def records() -> Iterator[Record]:
        for item, result in zip(tqdm(items, desc=f"{dataset.name}: prepare", disable=None), results, strict=True):
            if isinstance(result, BadRecording):
                sieve.excuse(item, result)
            elif sieve.passes(item, result.content):
                audits.append(result.audit)
                if result.sequence is None:
                    sieve.drop(item, NOBODY_KEPT)
                else:
                    yield result.sequence.to_record()
        tell_doubts(dataset.name, audits, strict=settings.strict)
        # Before the sequences take their name: where they are, the tables are too.
        sieve.write(out.with_name(f"{out.stem}_set_aside.parquet"))
        write_audit(out.with_name(f"{out.stem}_audit.parquet"), audits)

    metadata = dataset.describe() | {"prepare": settings.model_dump()}
    samples = write_records(out, "centred", records(), metadata)
    seconds = round(time.monotonic() - started, 3)
    return {"files": len(manifest), "samples": samples, "set_aside": len(sieve.rows), "seconds": seconds}
