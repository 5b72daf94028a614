"""Chooses one or two actors among the bodies of a recording, and says for each body why it was kept or dropped.

Sightings of bodies (R, V, 3) become a sequence (T, M, V, 3) in metres. The rules and thresholds are those of the
reference preparation that SGN and CTR-GCN publish. `timing` decides at which frame a joint lies. With `observed` it is
the frame where it was seen. With `reference`, as in the peers' scripts, frames without a body vanish, and a body that
leaves and returns is shifted to close the gap.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numba import njit
from tqdm import tqdm

from danet.config.settings import OF_PARSING, Prepare
from danet.errors import UserError
from danet.io.files import written_whole
from danet.io.store import open_records, write_records
from danet.skeleton.doubts import FLAT, Doubts, doubts_of
from danet.skeleton.layout import find_layout
from danet.skeleton.recording import Bodies, Sequence

KEPT, SHORT, NOISY, NO_ROOM = "kept", "short", "noisy", "no room"
NOBODY_KEPT = "no body left after denoising"
AUDIT_COLUMNS = [
    "name",
    "frames",  # recorded, those without a body included
    "lost_frames",  # without a body
    "ids",
    "kept",
    "actors",
    "dropped_short",
    "dropped_noisy",
    "dropped_overlap",
    "gaps",  # frames in which a body was away between two sightings, over all bodies
    "shifted",  # sightings that observed and reference timing put at different frames
    "doubts",  # kinds of doubt about the numbers, of danet/skeleton/doubts.py
    "bodies",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Track:
    """One body id over time: `frames` (n,) rising, `joints` (n, V, 3) in metres, `motion` in square metres.

    It was seen from recorded frame `first` to `last`. `shifted` counts the sightings that lie at another frame under
    the other timing.
    """

    body: int
    frames: np.ndarray
    joints: np.ndarray
    first: int
    last: int
    shifted: int
    motion: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of one body: `rule` is KEPT, SHORT, NOISY or NO_ROOM.

    `value` is what the rule looked at: for KEPT the motion in square metres, for SHORT the frames, for NOISY the share
    of noisy frames, for NO_ROOM the frames in which both slots were taken. `slot` is 1 or 2, 0 for a dropped body.
    """

    body: int
    rule: str
    value: float
    slot: int = 0


@njit(cache=True, nogil=True)
def motion_of(joints: np.ndarray) -> float:
    """The variance of x, y and z over all joints and frames pooled, summed; in square metres.

    Row by row in float32, as `numpy.var(joints.reshape(-1, 3), axis=0).sum()` does, to the last bit and faster.
    """
    frames, size, _ = joints.shape
    count = np.float32(frames * size)
    mean, spread = np.zeros(3, np.float32), np.zeros(3, np.float32)
    for frame in range(frames):
        for joint in range(size):
            for axis in range(3):
                mean[axis] += joints[frame, joint, axis]
    mean /= count
    for frame in range(frames):
        for joint in range(size):
            for axis in range(3):
                away = joints[frame, joint, axis] - mean[axis]
                spread[axis] += away * away
    spread /= count
    return spread[0] + spread[1] + spread[2]


@njit(cache=True, nogil=True)
def sound_frames(joints: np.ndarray, widest: float) -> np.ndarray:
    """(n, V, 3) to (n,) bool: where a body is at most `widest` times as wide as it is high."""
    frames, size, _ = joints.shape
    sound = np.empty(frames, np.bool_)
    for frame in range(frames):
        low, high = joints[frame, 0].copy(), joints[frame, 0].copy()
        for joint in range(1, size):
            for axis in range(2):
                low[axis] = min(low[axis], joints[frame, joint, axis])
                high[axis] = max(high[axis], joints[frame, joint, axis])
        sound[frame] = high[0] - low[0] <= np.float32(widest) * (high[1] - low[1])
    return sound


def tracks_of(bodies: Bodies, timing: str) -> tuple[list[Track], int]:
    """The tracks in order of first sight, and the number of frames that they are laid out on."""
    index, tracks = bodies.index, []
    for number, body in enumerate(index.ids):
        rows = np.flatnonzero(index.track == number) if len(index.ids) > 1 else slice(None)
        observed = bodies.frame[rows]
        # In reference timing frames without a body do not count, and every later sighting lies at the previous one + 1.
        closed_up = index.present[rows][0] + np.arange(len(observed))
        frames = closed_up if timing == "reference" else observed
        shifted = int(np.count_nonzero(observed != closed_up))
        tracks.append(Track(int(body), frames, bodies.joints[rows], int(observed[0]), int(observed[-1]), shifted))
    return tracks, index.frames if timing == "reference" else bodies.frames


def denoise(bodies: Bodies, settings: Prepare) -> tuple[Sequence | None, dict]:
    """Chooses the actors of one recording.

    Returns the sequence (T, M, V, 3) of M = 1 or 2 actors, or None when no body is left; and the audit, whose keys are
    AUDIT_COLUMNS.
    """
    tracks, length = tracks_of(bodies, settings.timing)
    seen, verdicts, slots = tracks, [], None
    several = len(tracks) > 1
    if several:
        tracks, short = drop_short(tracks, settings)
        tracks, noisy = drop_noisy(tracks, settings)
        tracks = sorted(tracks, key=lambda track: -track.motion)
        verdicts += short + noisy
    if tracks:
        slots, placed = fill_slots(tracks, length, settings.timing)
        verdicts += placed
        if several and settings.timing == "reference":
            slots = slots[slots.reshape(length, -1).sum(axis=1) != 0]
    return None if slots is None else Sequence(bodies.name, slots, bodies.content), audit_of(bodies, seen, verdicts)


def drop_short(tracks: list[Track], settings: Prepare) -> tuple[list[Track], list[Verdict]]:
    """Drops bodies that are seen in too few frames, all of them if need be."""
    kept = [track for track in tracks if len(track.frames) > settings.shortest_body]
    short = [track for track in tracks if len(track.frames) <= settings.shortest_body]
    return kept, [Verdict(track.body, SHORT, len(track.frames)) for track in short]


def drop_noisy(tracks: list[Track], settings: Prepare) -> tuple[list[Track], list[Verdict]]:
    """Drops bodies that are too wide for their height in too many frames; measures the motion of the others.

    The last body left is never dropped, nor are its noisy frames looked at.
    """
    kept = {track.body: replace(track, motion=motion_of(track.joints)) for track in tracks}
    dropped = []
    for track in tracks:
        if len(kept) <= 1:
            break
        sound = sound_frames(track.joints, settings.widest_spread)
        noisy = 1 - sound.mean()
        if noisy >= settings.noisy_share:
            del kept[track.body]
            dropped.append(Verdict(track.body, NOISY, float(noisy)))
        else:
            motion = min(kept[track.body].motion, motion_of(track.joints[sound]))
            kept[track.body] = replace(track, motion=motion)
    return list(kept.values()), dropped


def fill_slots(tracks: list[Track], length: int, timing: str) -> tuple[np.ndarray, list[Verdict]]:
    """Lays tracks, liveliest first, into one slot (one track) or two: (length, M, V, 3).

    A track goes to the first slot in which it meets at most one frame of those laid there before. With reference
    timing the extents [first, last] are compared, and the later track overwrites. With observed timing the frames
    themselves are compared, and the earlier track stays.
    """
    joints = tracks[0].joints
    slots = np.zeros((length, 1 if len(tracks) == 1 else 2, *joints.shape[1:]), joints.dtype)
    extents: list[tuple[int, int] | None] = [None, (0, 0)]
    taken = np.zeros((length, 2), bool)
    verdicts = []
    for track in tracks:
        first, last = int(track.frames[0]), int(track.frames[-1])
        for slot, extent in enumerate(extents):
            if timing == "reference":
                meets = 0 if extent is None else min(extent[1], last) - max(extent[0], first)
                fits, free = meets <= 0, np.ones(len(track.frames), bool)
            else:
                free = ~taken[track.frames, slot]
                fits = int(np.count_nonzero(free)) >= len(free) - 1
            if fits:
                if free.all():
                    slots[track.frames, slot] = track.joints
                else:
                    slots[track.frames[free], slot] = track.joints[free]
                taken[track.frames, slot] = True
                extents[slot] = (first, last) if extent is None else (min(extent[0], first), max(extent[1], last))
                verdicts.append(Verdict(track.body, KEPT, float(track.motion), slot + 1))
                break
        else:
            verdicts.append(Verdict(track.body, NO_ROOM, int(taken[track.frames].all(axis=1).sum())))
    return slots, verdicts


def audit_of(bodies: Bodies, tracks: list[Track], verdicts: list[Verdict]) -> dict:
    """The audit row of a recording: the counts of `AUDIT_COLUMNS`, and under `bodies` what became of each body."""
    track_of = {track.body: track for track in tracks}
    rows = []
    for verdict in verdicts:
        track = track_of[verdict.body]
        seen = {"first": track.first, "last": track.last, "frames": len(track.frames)}
        rows.append({**vars(verdict), **seen, "gaps": track.last - track.first + 1 - len(track.frames)})
    rules = [verdict.rule for verdict in verdicts]
    return {
        "name": bodies.name,
        "frames": bodies.frames,
        "lost_frames": bodies.frames - bodies.index.frames,
        "ids": len(tracks),
        "kept": rules.count(KEPT),
        "actors": len({verdict.slot for verdict in verdicts if verdict.slot}),
        "dropped_short": rules.count(SHORT),
        "dropped_noisy": rules.count(NOISY),
        "dropped_overlap": rules.count(NO_ROOM),
        "gaps": sum(row["gaps"] for row in rows),
        "shifted": sum(track.shifted for track in tracks),
        "bodies": rows,
    }


def write_audit(path: Path, rows: list[dict]) -> None:
    """Writes the audit table, a row for each recording that was read."""
    with written_whole(path) as partial:
        pd.DataFrame(rows, columns=AUDIT_COLUMNS).to_parquet(partial)


def tell_doubts(dataset: str, audits: list[dict], *, strict: bool) -> None:
    """Logs each kind of doubt that is common in a data set. Errors: with `strict`, UserError, but for flat key points.

    They are judged over all recordings, since a single one may show somebody upside down.
    """
    doubts = Doubts(row["doubts"].split() for row in audits)
    for line in doubts.lines():
        log.warning("%s: %s", dataset, line)
    if strict and (lines := doubts.lines(passed_over=FLAT)):
        raise UserError(f"{dataset}: expected people in metres, y up, in the layout's order, got a doubt: {lines[0]}")


def denoise_all(bodies: Path, actors: Path, audit: Path, settings: Prepare) -> None:
    """The denoise stage: writes `actors` (records of kind actors) and `audit` (a row per parsed recording)."""
    rows: list[dict] = []

    def sequences() -> Iterator[Sequence]:
        for record in tqdm(source, total=len(source), desc="denoise", disable=None):
            bodies_seen = Bodies.from_record(record)
            sequence, row = denoise(bodies_seen, settings)
            rows.append(row | {"doubts": " ".join(doubts_of(bodies_seen, layout))})
            if sequence is not None:
                yield sequence
        tell_doubts(source.about["dataset"], rows, strict=source.about["prepare"]["strict"])

    with open_records(bodies, "bodies") as source:
        layout = find_layout(source.about["layout"])
        metadata = source.about | {"prepare": source.about["prepare"] | settings.model_dump(exclude=OF_PARSING)}
        samples = write_records(actors, "actors", (sequence.to_record() for sequence in sequences()), metadata)
    write_audit(audit, rows)
    log.info("%d recordings denoised, %d without an actor", samples, len(rows) - samples)
