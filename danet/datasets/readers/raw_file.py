"""Opens the raw file of a recording and hands its bytes to a reader, within bounds that no sensor's file meets."""

from functools import partial

from danet.datasets.dataset import Reader
from danet.errors import BadRecording
from danet.io.files import read_file
from danet.skeleton.recording import MOST_BODIES, MOST_FRAMES, Bodies

LARGEST_BYTES = 1 << 28  # of a file: half an hour of one body in Kinect's text, which is the longest form


def read_raw_file(read: Reader, name: str, path: str) -> Bodies:
    """Reads one raw file by a reader.

    Errors: BadRecording, also for what is no file or too large, and for a recording that does not fit into memory or
    is too long or too crowded.
    """
    try:
        bodies = read(name, path, read_file(path, LARGEST_BYTES, refuse=partial(BadRecording, path)))
    except MemoryError:
        raise BadRecording(path, "a recording that fits into memory", "one that does not") from None
    if bodies.frames > MOST_FRAMES:
        raise BadRecording(path, f"at most {MOST_FRAMES:,} frames", f"{bodies.frames:,}")
    crowded = bodies.frame[MOST_BODIES:] == bodies.frame[:-MOST_BODIES]
    if crowded.any():
        frame = int(bodies.frame[crowded.argmax()]) + 1
        raise BadRecording(path, f"at most {MOST_BODIES} bodies in a frame", "more", frame=frame)
    return bodies
