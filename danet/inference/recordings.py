"""Finds and reads recordings as users have them: files, folders, arrays.

Whatever it comes from, a recording is prepared as the training data were: read as sightings, denoised, centred.
"""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from danet.config.settings import Prepare
from danet.datasets.readers.any_file import NUMPY, READERS, reader
from danet.datasets.registry import DATASETS
from danet.errors import UserError, one_line
from danet.io.files import what_instead
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise
from danet.preparation.parse import read_recording
from danet.skeleton.doubts import Doubts, doubts_of
from danet.skeleton.layout import LAYOUTS, Layout
from danet.skeleton.recording import Bodies, Sequence

log = logging.getLogger(__name__)

Complain = Callable[[UserError], None]  # is told what is wrong with one file, so that the others go on


def prepared(bodies: Bodies, settings: Prepare, layout: Layout) -> Sequence | None:
    """The sightings as a network is given them; None where denoising leaves nobody."""
    sequence, _ = denoise(bodies, settings, layout)
    return None if sequence is None else centre(sequence, layout.origin, settings.timing)


def read_bodies(file: str | Path, layout: Layout | None = None) -> tuple[Bodies, Layout]:
    """The sightings in a recording's file, and their layout: the given one, or the shipped one with as many joints.

    Errors: UserError when the file cannot be read, shows other joints or nobody.
    """
    file = Path(file)
    if file.suffix not in READERS:
        raise UserError(f"{file}: expected a file that ends in {', '.join(READERS)}, got '{file.suffix}'")
    bodies = read_recording(reader(layout), file.stem, str(file))
    size = bodies.joints.shape[1]
    known = [layout] if layout else [each for each in LAYOUTS.values() if each.size == size]
    if not known:
        sizes = " or ".join(str(each.size) for each in LAYOUTS.values())
        raise UserError(f"{file}: expected {sizes} joints, got {size}")
    if not layout and file.suffix == NUMPY:
        log.warning("%s: taken for %s, guessed from %d joints", one_line(str(file)), known[0].name, size)
    return bodies, known[0]


def read_sequence(
    file: str | Path, settings: Prepare, layout: Layout | None = None, doubts: Doubts | None = None
) -> Sequence:
    """The recording in a file as a network is given it; layout and errors as for `read_bodies`.

    It is added to `doubts`. Errors: UserError also when nobody is seen for long enough.
    """
    bodies, layout = read_bodies(file, layout)
    if doubts is not None:
        doubts.add(doubts_of(bodies, layout))
    sequence = prepared(bodies, settings, layout)
    if sequence is None:
        expected = f"a body with {settings.least_seen:.0%} of its joints found"
        if settings.timing == "reference":
            expected = f"a body in more than {settings.shortest_body} frames"
        raise UserError(f"{file}: expected {expected}, got none among {len(bodies.index.ids)}")
    return sequence


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
