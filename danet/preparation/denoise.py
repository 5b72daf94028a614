"""Chooses one or two actors among the bodies of a recording, and says for each body why it was kept or dropped.

Sightings of bodies (R, V, 3) become a sequence (T, M, V, 3) in metres. The rules and thresholds are those of the
reference preparation that SGN and CTR-GCN publish. With `timing: observed` joints that were not seen are bridged,
bodies that never move are dropped, and a slot goes on with the body that is nearest.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from danet.config.settings import OF_PARSING, Prepare
from danet.errors import UserError
from danet.io.files import written_whole
from danet.io.store import open_records, write_records
from danet.preparation.slots import fill_slots
from danet.preparation.tracks import (
    KEPT,
    NO_ROOM,
    NOISY,
    SHORT,
    STILL,
    UNSEEN,
    Track,
    Verdict,
    bridge,
    motion_of,
    sound_frames,
    stray_of,
    tracks_of,
)
from danet.preparation.unseen import may_lack_joints
from danet.skeleton.doubts import NOT_WRONG, Doubts, doubts_of
from danet.skeleton.layout import Layout, find_layout
from danet.skeleton.recording import Bodies, Sequence

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

log = logging.getLogger(__name__)


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
    """Logs each kind of doubt that is common in a data set. Errors: with `strict`, UserError, but for NOT_WRONG.

    They are judged over all recordings, since a single one may show somebody upside down.
    """
    doubts = Doubts(row["doubts"].split() for row in audits)
    for line in doubts.lines():
        log.warning("%s: %s", dataset, line)
    if strict and (lines := doubts.lines(passed_over=NOT_WRONG)):
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
