"""Lays the bodies of a recording into one or two slots, an actor each, and measures how far an actor jumps."""

from dataclasses import replace

import numpy as np

from danet.compiled import compiled
from danet.config.settings import Prepare
from danet.preparation.tracks import KEPT, NO_ROOM, Track, Verdict

NOBODY = -1  # in a frame of a slot, instead of the place of a track


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
