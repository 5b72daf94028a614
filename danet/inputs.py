"""Files, folders and frames as users have them in, body sightings and prepared sequences out.

Whatever it came from, a recording takes the way of the training data: sightings, denoised, centred.
"""

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from danet.config import Prepare
from danet.datasets.catalogue import DATASETS
from danet.datasets.dataset import Dataset
from danet.errors import BadRecording, UserError
from danet.prepare.centre import centre
from danet.prepare.denoise import denoise
from danet.prepare.parse import read_recording
from danet.recording import Bodies, Sequence
from danet.skeleton import LAYOUTS, Layout

ARRAY = ".npy"
Complain = Callable[[UserError], None]  # takes what is wrong with one file, so that the others go on


def bodies_of(name: str, joints: np.ndarray) -> Bodies:
    """The sightings among `joints` (T, M, V, 3) float32 in metres, where a body of zeros was not seen."""
    frame, body = np.nonzero(joints.any(axis=(2, 3)))
    return Bodies(name, len(joints), frame.astype(np.int32), body.astype(np.int64), joints[frame, body])


def read_array(layouts: Iterable[Layout], name: str, path: str, content: bytes) -> Bodies:
    """Reads an array (T, V, 3) or (M, T, V, 3) of any kind of number, V that of one of the layouts.

    Errors: BadRecording for another file, shape or type, and for a number that is not finite.
    """
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
        raise BadRecording(path, "an array written by numpy.save", f"{type(error).__name__}: {error}") from None
    sizes = [layout.size for layout in layouts]
    wanted = " or ".join(f"(T, {size}, 3) or (M, T, {size}, 3)" for size in sizes)
    if not isinstance(values, np.ndarray):
        raise BadRecording(path, f"one array of shape {wanted}", "an archive of several")
    if values.dtype.kind not in "fiu":
        raise BadRecording(path, "an array of real numbers", f"the type {values.dtype}")
    if values.ndim not in (3, 4) or values.shape[-1] != 3 or values.shape[-2] not in sizes or not values.size:
        raise BadRecording(path, f"an array of shape {wanted}", f"shape {values.shape}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
        joints = values.astype(np.float32)
    by_frame = joints[:, None] if joints.ndim == 3 else joints.swapaxes(0, 1)
    lost = np.argwhere(~np.isfinite(by_frame).all(axis=(2, 3)))
    if len(lost):
        frame, body = (lost[0] + 1).tolist()
        raise BadRecording(path, "finite coordinates", "a number that is not", frame=frame, body=body)
    return bodies_of(name, by_frame)


def reader_of(file: Path, layout: Layout | None, first: Iterable[Dataset] = ()) -> Dataset:
    """The data set that reads such a file: the earliest of `first` and all others whose joints are the layout's.

    Errors: UserError for a suffix that none has, or one whose joints are others.
    """
    able = [*first, *DATASETS.values()]
    if file.suffix == ARRAY:
        layouts = [layout] if layout else [*LAYOUTS.values()]
        return replace(able[0], read=partial(read_array, layouts))
    by_suffix = [dataset for dataset in able if file.suffix in dataset.suffixes]
    if not by_suffix:
        wanted = ", ".join(sorted({ARRAY, *(suffix for dataset in able for suffix in dataset.suffixes)}))
        raise UserError(f"{file}: wanted a file that ends in {wanted}, found '{file.suffix}'")
    if layout is None:
        return by_suffix[0]
    for dataset in by_suffix:
        if dataset.layout.name == layout.name:
            return dataset
    found = f"{by_suffix[0].layout.name} ({by_suffix[0].layout.size} joints)"
    raise UserError(f"{file}: wanted the joints of {layout.name} ({layout.size}), found {found}")


def prepared(bodies: Bodies, settings: Prepare) -> Sequence | None:
    """The sightings as the network is given them; None where denoising leaves nobody."""
    sequence, _ = denoise(bodies, settings)
    size = bodies.joints.shape[1]
    origin = next(layout.origin for layout in LAYOUTS.values() if layout.size == size)
    return None if sequence is None else centre(sequence, origin, settings.timing)


def read_sequence(
    file: str | Path, settings: Prepare, layout: Layout | None = None, first: Iterable[Dataset] = ()
) -> Sequence:
    """A recording's file as the network is given it; see `reader_of`.

    Errors: UserError when it cannot be read, shows nobody, or nobody for long enough.
    """
    file = Path(file)
    bodies = read_recording(reader_of(file, layout, first), file.stem, str(file))
    sequence = prepared(bodies, settings)
    if sequence is None:
        wanted = f"a body in more than {settings.shortest_body} frames"
        raise UserError(f"{file}: wanted {wanted}, found none of {len(bodies.index.ids)} to be one")
    return sequence


def recordings_in(places: Iterable[Path], layout: Layout, complain: Complain) -> list[Path]:
    """The files among the places, and in their stead for folders all recordings of the layout below, sorted by path.

    Links to folders are not followed. `complain` is told of a folder that cannot be opened or holds no recording.
    """
    readable = {ARRAY, *(suffix for data in DATASETS.values() if data.layout == layout for suffix in data.suffixes)}
    suffixes = sorted(readable)

    def closed(error: OSError) -> None:
        complain(UserError(f"{error.filename}: wanted a folder that can be read, found: {error.strerror}"))

    files: list[Path] = []
    for place in places:
        if not place.is_dir():
            files.append(place)
            continue
        walk = os.walk(place, onerror=closed)
        found = sorted(
            Path(folder, name) for folder, _, names in walk for name in names if Path(name).suffix in readable
        )
        if not found:
            complain(UserError(f"{place}: wanted files that end in {', '.join(suffixes)}, found none"))
        files += found
    return files
