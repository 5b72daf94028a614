"""Chooses one or two actors among the bodies of a recording, and says for each body why it was kept or dropped.

Sightings of bodies (R, V, 3) become a sequence (T, M, V, 3) in metres. The rules and thresholds are those of the
reference preparation that SGN and CTR-GCN publish. `timing` decides at which frame a joint lies. With `observed` it is
the frame where it was seen; bodies that never move are dropped, and a slot goes on with the body that is nearest. With
`reference`, as in the peers' scripts, frames without a body vanish, and a body that leaves and returns is shifted to
close the gap.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from danet.compiled import compiled
from danet.config.settings import OF_PARSING, Prepare
from danet.errors import UserError
from danet.io.files import written_whole
from danet.io.store import open_records, write_records
from danet.preparation.unseen import bridged, may_lack_joints, seen_joints
from danet.skeleton.doubts import FLAT, Doubts, doubts_of
from danet.skeleton.layout import Layout, find_layout
from danet.skeleton.recording import Bodies, Sequence

KEPT, UNSEEN, SHORT, NOISY, STILL, NO_ROOM = "kept", "hardly seen", "short", "noisy", "never moves", "no room"
NOBODY_KEPT = "no body left after denoising"
AUDIT_COLUMNS = [
    "name",
    "frames",  # recorded, those without a body included
    "lost_frames",  # without a body
    "ids",
    "kept",
    "actors",
    "bridged",  # joints that the sensor did not find, over all bodies and frames
    "never_seen",  # joints that it found in no frame of a body, over all bodies
    "dropped_unseen",
    "dropped_short",
    "dropped_noisy",
    "dropped_still",
    "dropped_overlap",
    "jump",  # the largest at which a slot goes on with another body, in metres, mean over joints
    "jumps",  # how many of them are longer than `longest_jump`
    "gaps",  # frames in which a body was away between two sightings, over all bodies
    "shifted",  # sightings that observed and reference timing put at different frames
    "doubts",  # kinds of doubt about the numbers, of danet/skeleton/doubts.py
    "bodies",
]

NOBODY = -1  # in a frame of a slot, instead of the place of a track
MOST_JITTER = 0.02  # metres: what strays further from frame to frame is motion

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Track:
    """One body id over time: `frames` (n,) rising, `joints` (n, V, 3) in metres, `motion` in square metres.

    It was seen from recorded frame `first` to `last`. `shifted` counts the sightings that lie at another frame under
    the other timing. `found` is the share of its joints that the sensor found, over its frames. `bridged` counts
    the others, frame by frame; `never_seen`, the joints that were found in no frame.
    """

    body: int
    frames: np.ndarray
    joints: np.ndarray
    first: int
    last: int
    shifted: int
    found: float = 1.0
    bridged: int = 0
    never_seen: int = 0
    motion: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of one body: `rule` is KEPT, UNSEEN, SHORT, NOISY, STILL or NO_ROOM.

    `value` is what the rule looked at: for KEPT the motion in square metres, for UNSEEN the share of joints that were
    found, for SHORT the frames, for NOISY the share of noisy frames, for STILL how far it strays in metres, for NO_ROOM
    the frames in which both slots were taken. `slot` is 1 or 2, 0 for a dropped body. `jump` is the distance in metres,
    mean over joints, at which it continues another body's slot, the largest if it does so more than once; 0 where it
    opens the slot.
    """

    body: int
    rule: str
    value: float
    slot: int = 0
    jump: float = 0.0


@compiled
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


@compiled
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


@compiled
def stray_of(joints: np.ndarray) -> float:
    """How far the joints (n, V, 3) stray from their mean places, in metres, beyond their jitter from frame to frame."""
    frames, size, _ = joints.shape
    rows = joints.reshape(frames, size * 3)
    mean = np.zeros(size * 3)
    for row in rows:
        mean += row
    mean /= frames
    spread, steps = 0.0, 0.0
    for frame in range(frames):
        for place in range(size * 3):
            spread += (rows[frame, place] - mean[place]) ** 2
            if frame:
                steps += (rows[frame, place] - rows[frame - 1, place]) ** 2
    jitter = min(steps / (2 * size * max(1, frames - 1)), MOST_JITTER**2)
    return max(0.0, spread / (size * frames) - jitter) ** 0.5


@compiled
def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The distance between two bodies (V, 3), mean over joints."""
    total = 0.0
    for joint in range(len(one)):
        total += np.sqrt(((one[joint] - other[joint]) ** 2).sum())
    return total / len(one)


@compiled
def jumps_of(slots: np.ndarray, owner: np.ndarray, tracks: int) -> np.ndarray:
    """The largest distance in metres at which each track continues another one's slot, 0 for none: (tracks,).

    `owner` (T, 2) is the track in each frame of the two `slots` (T, 2, V, 3), or NOBODY.
    """
    jumps = np.zeros(tracks)
    for slot in range(2):
        before = -1
        for frame in range(len(owner)):
            track = owner[frame, slot]
            if track != NOBODY:
                if before >= 0 and owner[before, slot] != track:
                    jump = mean_distance(slots[before, slot], slots[frame, slot])
                    jumps[track] = max(jumps[track], jump)
                before = frame
    return jumps


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


def denoise(bodies: Bodies, settings: Prepare, layout: Layout) -> tuple[Sequence | None, dict]:
    """Chooses the actors of one recording. With observed timing, joints that were not seen are bridged first.

    Returns the sequence (T, M, V, 3) of M = 1 or 2 actors, or None when no body is left; and the audit, whose keys are
    AUDIT_COLUMNS.
    """
    tracks, length = tracks_of(bodies, settings.timing)
    if settings.timing == "observed" and may_lack_joints(bodies.joints):
        tracks = [bridge(track, layout) for track in tracks]
    seen = tracks
    tracks, verdicts = drop_unseen(tracks, settings)
    slots, several = None, len(tracks) > 1
    if several:
        tracks, short = drop_short(tracks, settings)
        tracks, noisy = drop_noisy(tracks, settings)
        tracks, still = drop_still(tracks, settings)
        tracks = sorted(tracks, key=lambda track: -track.motion)
        verdicts += short + noisy + still
    if tracks:
        slots, placed = fill_slots(tracks, length, settings)
        verdicts += placed
        if several and settings.timing == "reference":
            slots = slots[slots.reshape(length, -1).sum(axis=1) != 0]
    audit = audit_of(bodies, seen, verdicts, settings)
    return None if slots is None else Sequence(bodies.name, slots, bodies.content), audit


def bridge(track: Track, layout: Layout) -> Track:
    """The track with the joints in place that were not found, without the frames in which none was."""
    seen = seen_joints(track.joints, layout)
    shown = seen.any(axis=1)
    frames, joints, seen = track.frames[shown], track.joints[shown], seen[shown]
    if not len(seen):
        return replace(track, frames=frames, joints=joints, found=0.0)
    return replace(
        track,
        frames=frames,
        joints=bridged(joints, seen, frames, layout),
        found=float(seen.mean()),
        bridged=int((~seen).sum()),
        never_seen=int((~seen.any(axis=0)).sum()),
    )


def drop_unseen(tracks: list[Track], settings: Prepare) -> tuple[list[Track], list[Verdict]]:
    """Drops bodies of which the sensor found too little, all of them if need be."""
    least = settings.least_seen or np.finfo(float).tiny  # with 0, one joint is enough
    unseen = [Verdict(track.body, UNSEEN, track.found) for track in tracks if track.found < least]
    return [track for track in tracks if track.found >= least], unseen


def drop_short(tracks: list[Track], settings: Prepare) -> tuple[list[Track], list[Verdict]]:
    """Drops bodies that are seen in too few frames: with reference timing all if need be, else never the longest."""
    least = settings.shortest_body + 1
    if settings.timing == "observed":
        least = min(least, max(len(track.frames) for track in tracks))
    kept = [track for track in tracks if len(track.frames) >= least]
    short = [track for track in tracks if len(track.frames) < least]
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


def drop_still(tracks: list[Track], settings: Prepare) -> tuple[list[Track], list[Verdict]]:
    """With observed timing, drops bodies that never move while another one does, as furniture taken for a body."""
    if len(tracks) < 2 or settings.timing == "reference":
        return tracks, []
    strays = [stray_of(track.joints) for track in tracks]
    movers = [track for track, stray in zip(tracks, strays, strict=True) if stray >= settings.stillest_body]
    kept, dropped = [], []
    for track, stray in zip(tracks, strays, strict=True):
        beside = any(track.first <= mover.last and mover.first <= track.last for mover in movers)
        if stray < settings.stillest_body and beside:
            dropped.append(Verdict(track.body, STILL, stray))
        else:
            kept.append(track)
    return kept, dropped


def fill_slots(tracks: list[Track], length: int, settings: Prepare) -> tuple[np.ndarray, list[Verdict]]:
    """Lays tracks, liveliest first, into one slot (one track) or two: (length, M, V, 3).

    A track goes to a slot in which it meets at most one frame of those laid there before. With reference timing it is
    the first such slot, the extents [first, last] are compared, and the later track overwrites. With observed timing it
    is the nearest, the frames themselves are compared, and the earlier track stays.
    """
    first, reference = tracks[0], settings.timing == "reference"
    slots = np.zeros((length, 1 if len(tracks) == 1 else 2, *first.joints.shape[1:]), first.joints.dtype)
    if len(tracks) == 1:
        slots[first.frames, 0] = first.joints
        return slots, [Verdict(first.body, KEPT, float(first.motion), 1)]
    owner = np.full((length, 2), NOBODY)
    extents: list[tuple[int, int] | None] = [None, (0, 0)]
    verdicts = []
    for place, track in enumerate(tracks):
        slot = slot_by_extent(track, extents) if reference else nearest_slot(track, slots, owner, settings.longest_jump)
        taken = owner[track.frames] != NOBODY
        if slot is None:
            verdicts.append(Verdict(track.body, NO_ROOM, int(taken.all(axis=1).sum())))
            continue
        frames, joints = track.frames, track.joints
        if not reference and taken[:, slot].any():
            frames, joints = frames[~taken[:, slot]], joints[~taken[:, slot]]
        slots[frames, slot], owner[frames, slot] = joints, place
        verdicts.append(Verdict(track.body, KEPT, float(track.motion), slot + 1))
    jumps = jumps_of(slots, owner, len(tracks))
    return slots, [replace(verdict, jump=float(jump)) for verdict, jump in zip(verdicts, jumps, strict=True)]


def slot_by_extent(track: Track, extents: list[tuple[int, int] | None]) -> int | None:
    """The first slot whose extent the track's does not run into, None if there is none; widens the slot's extent."""
    first, last = int(track.frames[0]), int(track.frames[-1])
    for slot, extent in enumerate(extents):
        if extent is None or min(extent[1], last) <= max(extent[0], first):
            extents[slot] = (first, last) if extent is None else (min(extent[0], first), max(extent[1], last))
            return slot
    return None


def nearest_slot(track: Track, slots: np.ndarray, owner: np.ndarray, limit: float) -> int | None:
    """Of the slots that have room for all frames of the track but one, the nearest, None if there is none.

    An empty slot is as far away as the `limit`, so that it is taken before one that is further.
    """
    distances = {}
    for slot in range(2):
        taken = owner[:, slot] != NOBODY
        if np.count_nonzero(taken[track.frames]) <= 1:
            distances[slot] = distance(track, slots[:, slot], np.flatnonzero(taken)) if taken.any() else limit
    return min(distances, key=lambda slot: distances[slot], default=None)


def distance(track: Track, slot: np.ndarray, taken: np.ndarray) -> float:
    """The largest distance in metres, mean over joints, where the track follows what lies in the slot, or precedes it.

    `slot` (T, V, 3) is filled in the frames `taken` (n,), which rise.
    """
    place = np.searchsorted(taken, track.frames)
    begins = np.flatnonzero(np.diff(place, prepend=0))
    ends = np.flatnonzero(np.diff(place, append=len(taken)))
    own, beside = np.concatenate([begins, ends]), taken[np.concatenate([place[begins] - 1, place[ends]])]
    return max(mean_distance(track.joints[one], slot[other]) for one, other in zip(own, beside, strict=True))


def audit_of(bodies: Bodies, tracks: list[Track], verdicts: list[Verdict], settings: Prepare) -> dict:
    """The audit row of a recording: the counts of `AUDIT_COLUMNS`, and under `bodies` what became of each body."""
    track_of = {track.body: track for track in tracks}
    rows = []
    for verdict in verdicts:
        track = track_of[verdict.body]
        seen = {"first": track.first, "last": track.last, "frames": len(track.frames)}
        rows.append({**vars(verdict), **seen, "gaps": track.last - track.first + 1 - len(track.frames)})
    rules, jumps = [verdict.rule for verdict in verdicts], [verdict.jump for verdict in verdicts]
    return {
        "name": bodies.name,
        "frames": bodies.frames,
        "lost_frames": bodies.frames - bodies.index.frames,
        "ids": len(tracks),
        "kept": rules.count(KEPT),
        "actors": len({verdict.slot for verdict in verdicts if verdict.slot}),
        "bridged": sum(track.bridged for track in tracks),
        "never_seen": sum(track.never_seen for track in tracks),
        "dropped_unseen": rules.count(UNSEEN),
        "dropped_short": rules.count(SHORT),
        "dropped_noisy": rules.count(NOISY),
        "dropped_still": rules.count(STILL),
        "dropped_overlap": rules.count(NO_ROOM),
        "jump": max(jumps, default=0.0),
        "jumps": sum(jump > settings.longest_jump for jump in jumps),
        "gaps": sum(row["gaps"] for row in rows),
        "shifted": sum(track.shifted for track in tracks),
        "bodies": rows,
    }


def write_audit(path: Path, rows: list[dict]) -> None:
    """Writes the audit table, a row for each recording that was read, and tells the log what is doubtful in them."""
    with written_whole(path) as partial:
        pd.DataFrame(rows, columns=AUDIT_COLUMNS).to_parquet(partial)
    if jumping := sum(row["jumps"] > 0 for row in rows):
        log.warning("%d of %d recordings have an actor that jumps: it may show two people", jumping, len(rows))
    if lacking := sum(row["bridged"] > 0 for row in rows):
        joints = sum(row["bridged"] for row in rows)
        log.warning("%d of %d recordings lack joints: %d were bridged", lacking, len(rows), joints)


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
            sequence, row = denoise(bodies_seen, settings, layout)
            rows.append(row | {"doubts": " ".join(doubts_of(bodies_seen, layout))})
            if sequence is not None:
                yield sequence
        tell_doubts(source.about["dataset"], rows, strict=source.about["prepare"]["strict"])

    with open_records(bodies, "bodies") as source:
        layout = find_layout(source.about["layout"])
        metadata = source.about | {
            "prepare": source.described("prepare", dict) | settings.model_dump(exclude=OF_PARSING)
        }
        samples = write_records(actors, "actors", (sequence.to_record() for sequence in sequences()), metadata)
    write_audit(audit, rows)
    log.info("%d recordings denoised, %d without an actor", samples, len(rows) - samples)
