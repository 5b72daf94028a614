"""Labels the latest frames of a stream, prepared as a file of the same frames would be."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from danet.errors import UserError, say
from danet.inference.frames import SOURCE, Frame, Key, frames_of
from danet.inference.predictor import Predictor
from danet.inference.recordings import Complain, prepared
from danet.skeleton.doubts import FRAMES, Doubts, doubts_of
from danet.skeleton.recording import Bodies

TOLD_ALONE, TOLD_EVERY = 10, 1000

log = logging.getLogger(__name__)


class BadLines:
    """Tells of bad lines on stderr: of the first TOLD_ALONE one by one, then how many, every TOLD_EVERY."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: UserError) -> None:
        """Counts a bad line, and tells of it."""
        self.count += 1
        if self.count <= TOLD_ALONE:
            say(str(problem))
        elif self.count == TOLD_ALONE + 1:
            say(f"{SOURCE}: more than {TOLD_ALONE} bad lines; from now on only their number is told")
        elif self.count % TOLD_EVERY == 0:
            say(f"{SOURCE}: {self.count:,} bad lines so far")

    def sum_up(self) -> None:
        """Tells how many there were, if some were only counted."""
        if self.count > TOLD_ALONE:
            say(f"{SOURCE}: {self.count:,} bad lines in all")


def labels_of(
    predictor: Predictor, lines: Iterable[bytes], window: int, every: int, complain: Complain
) -> Iterator[dict]:
    """What the latest `window` frames show, after each `every` frames and after the last: `frame`, `action`, `score`.

    Frames count from 1. Action and score are None where nobody was seen, or nobody for long enough. `complain` is told
    of each line that is no frame; nobody is seen in it. What is doubtful in the first frames with somebody is logged.
    """
    latest: deque[Frame] = deque(maxlen=window)
    number, looked_at, enough = 0, 0, min(FRAMES, window)
    for number, frame in enumerate(frames_of(lines, predictor.recorded.size, complain), 1):
        latest.append(frame)
        looked_at += bool(frame.joints.any())
        if looked_at == enough and frame.joints.any():
            tell_doubts(predictor, latest)
        if number % every == 0:
            yield {"frame": number} | label_of(predictor, latest)
    if 0 < looked_at < enough:
        tell_doubts(predictor, latest)
    if number % every:
        yield {"frame": number} | label_of(predictor, latest)


def tell_doubts(predictor: Predictor, frames: Iterable[Frame]) -> None:
    """Logs what in frames does not look like a person as the network knows them."""
    doubts = Doubts([doubts_of(sightings_in(list(frames)), predictor.recorded)])
    for line in predictor.doubtful(doubts):
        log.warning("%s: %s", SOURCE, line)


def label_of(predictor: Predictor, frames: Iterable[Frame]) -> dict[str, str | float | None]:
    """The likeliest action of frames and its score, both None where nobody was seen for long enough."""
    sightings = predictor.as_known(sightings_in(list(frames)))
    sequence = prepared(sightings, predictor.prepare, predictor.layout) if len(sightings.frame) else None
    if sequence is None:
        return {"action": None, "score": None}
    return {**predictor.named(predictor.scores(sequence), 1)[0]}


def sightings_in(frames: list[Frame]) -> Bodies:
    """The bodies seen in frames, each known by its key; a body of zeros was not seen."""
    numbers: dict[Key, int] = {}
    body = [numbers.setdefault(key, len(numbers)) for frame in frames for key in frame.keys]
    joints = np.concatenate([frame.joints for frame in frames])
    index = np.repeat(np.arange(len(frames), dtype=np.int32), [len(frame.keys) for frame in frames])
    seen = joints.any(axis=(1, 2))
    return Bodies(SOURCE, len(frames), index[seen], np.array(body, np.int64)[seen], joints[seen])
