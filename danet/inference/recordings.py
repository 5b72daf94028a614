"""Finds and reads recordings as users have them: files, folders, arrays.

Whatever it comes from, a recording is prepared as the training data were: read as sightings, denoised, centred.
"""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from danet.config.settings import Prepare
from danet.datasets.readers.any_file import NUMPY, READERS, layout_of_format, reader
from danet.datasets.registry import DATASETS
from danet.errors import UserError, one_line
from danet.io.files import what_instead
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise
from danet.preparation.parse import read_recording
from danet.skeleton.layout import Layout, layout_by_size
from danet.skeleton.names import filled, matching
from danet.skeleton.recording import Bodies, Sequence

log = logging.getLogger(__name__)

Complain = Callable[[UserError], None]  # is told what is wrong with one file, so that the others go on


def prepared(bodies: Bodies, settings: Prepare, layout: Layout) -> Sequence | None:
    """The sightings as a network is given them; None where denoising leaves nobody."""
    sequence, _ = denoise(bodies, settings, layout)
    return None if sequence is None else centre(sequence, layout.origin, settings.timing)


def read_bodies(file: str | Path, layout: Layout | None = None) -> tuple[Bodies, Layout]:
    """The sightings in a recording's file, and their layout: the given one, or that of the file's format.

    For an array it is the one that ships for as many joints, which is told.
    Errors: UserError when the file cannot be read, shows other joints or nobody, or leaves its layout open.
    """
    file = Path(file)
    if file.suffix not in READERS:
        raise UserError(f"{file}: expected a file that ends in {', '.join(READERS)}, got '{file.suffix}'")
    bodies = read_recording(reader(layout), file.stem, str(file))
    size = bodies.joints.shape[1]
    layout = layout or layout_of_format(str(file), size)
    if not layout:
        layout = layout_by_size(size, str(file), "--layout")
        log.warning("%s: taken for %s, guessed from %d joints", one_line(str(file)), layout.name, size)
    return bodies, layout


def joints_taken(recorded: Layout, known: Layout, weights: str) -> np.ndarray:
    """(V,) int64: the joint of recordings that stands for each joint that a network knows, matched by name.

    A joint that they lack lies at the one before it, as one that was never found. Which ones these are is logged.
    Errors: UserError for recordings that lack more than half of the joints.
    """
    order = matching(recorded, known)
    lacking = [known.joints[joint] for joint in np.flatnonzero(order < 0)]
    if 2 * len(lacking) > known.size:
        expected = f"recordings with half of the {known.size} joints of {known.name}"
        raise UserError(f"{weights}: expected {expected}, got {known.size - len(lacking)} of them in {recorded.name}")
    if lacking:
        counted = f"{len(lacking)} of {known.size} joints"
        log.warning("%s: %s: not in the recordings: %s", one_line(weights), counted, ", ".join(lacking))
    return filled(order, known)


def rearranged(bodies: Bodies, order: np.ndarray) -> Bodies:
    """The sightings with the joints in another order (V,), without those of which no joint is left."""
    joints = bodies.joints[:, order]
    seen = joints.any(axis=(1, 2))
    return replace(bodies, frame=bodies.frame[seen], body=bodies.body[seen], joints=joints[seen])


def sequence_of(bodies: Bodies, file: str | Path, settings: Prepare, layout: Layout) -> Sequence:
    """The sightings of a file as a network is given them. Errors: UserError when nobody is seen for long enough."""
    sequence = prepared(bodies, settings, layout) if len(bodies.frame) else None
    if sequence is None:
        expected = f"a body with {settings.least_seen:.0%} of its joints found"
        if settings.timing == "reference":
            expected = f"a body in more than {settings.shortest_body} frames"
        raise UserError(f"{file}: expected {expected}, got none among {len(bodies.index.ids)}")
    return sequence


def read_sequence(file: str | Path, settings: Prepare, layout: Layout | None = None) -> Sequence:
    """The recording in a file as a network is given it; layout as for `read_bodies`, errors as there and above."""
    bodies, layout = read_bodies(file, layout)
    return sequence_of(bodies, file, settings, layout)


def recordings_in(paths: Iterable[Path], layout: Layout, complain: Complain) -> list[Path]:
    """The files among the paths, and for each folder in its stead all recordings of the layout in it, sorted by path.

    Folders are searched at any depth. Links to folders are not followed. `complain` is told of a folder that cannot be
    opened or holds no recording.
    """
    alike = (data for data in DATASETS.values() if data.layout.joints == layout.joints)  # whatever the bones
    readable = {NUMPY, *(suffix for data in alike for suffix in data.suffixes)}
    suffixes = sorted(readable)

    def closed(error: OSError) -> None:
        complain(UserError(f"{error.filename}: expected a folder that can be read, got {what_instead(error)}"))

    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        walk = os.walk(path, onerror=closed)
        recordings = sorted(
            Path(folder, name) for folder, _, names in walk for name in names if Path(name).suffix in readable
        )
        if not recordings:
            complain(UserError(f"{path}: expected files that end in {', '.join(suffixes)}, got none"))
        files += recordings
    return files
