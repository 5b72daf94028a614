"""Holds what passes between the stages of preparation: the bodies that a sensor saw, and the sequence made of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from danet.compiled import compiled
from danet.io.store import Record

MOST_FRAMES = 1_000_000  # of a recording: nine hours at 30 frames a second
MOST_BODIES = 100  # in a frame; a Kinect sees six


class Index(NamedTuple):
    """Which body each sighting of a recording is of, and where its frame comes.

    `ids` (B,) int64, in order of first sight. `track` (R,) int64, the index into `ids` of each sighting. `present` (R,)
    int64, the index of its frame among the frames that hold a body, of which there are `frames`. `twin`, the row of a
    sighting whose id its frame holds already, or -1.
    """

    ids: np.ndarray
    track: np.ndarray
    present: np.ndarray
    frames: int
    twin: int


@compiled
def index_sightings(frame: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
    """The fields of `Index` for sightings in the order of their frames, in one pass."""
    rows = len(frame)
    ids, last_seen = np.empty(rows, np.int64), np.empty(rows, np.int64)
    track, present = np.empty(rows, np.int64), np.empty(rows, np.int64)
    count, frames, twin = 0, 0, -1
    for row in range(rows):
        if row == 0 or frame[row] != frame[row - 1]:
            frames += 1
        index = track[row - 1] if row and ids[track[row - 1]] == body[row] else 0
        while index < count and ids[index] != body[row]:
            index += 1
        if index == count:
            ids[count] = body[row]
            count += 1
        elif last_seen[index] == frame[row] and twin < 0:
            twin = row
        last_seen[index] = frame[row]
        track[row], present[row] = index, frames - 1
    return ids[:count].copy(), track, present, frames, twin


@dataclass(frozen=True)
class Bodies:
    """Every body sighting of one recording, in the order of the file, which is that of the frames.

    Shapes: `frame` (R,) int32, the recorded frame of each sighting, from 0; `body` (R,) int64, the sensor's id;
    `joints` (R, V, 3) float32 in metres. `frames` is the length of the recording, frames without a body included.
    """

    name: str
    frames: int
    frame: np.ndarray
    body: np.ndarray
    joints: np.ndarray

    @cached_property
    def index(self) -> Index:
        """Which body each sighting is of, and where its frame comes."""
        return Index(*index_sightings(self.frame, self.body))

    @cached_property
    def content(self) -> int:
        """A hash, never 0, that is the same for the same joints at the same frames, whatever the ids and the name."""
        digest = hashlib.sha256(np.ascontiguousarray(self.joints).data)
        digest.update(np.ascontiguousarray(self.frame).data)
        return int.from_bytes(digest.digest()[:8], signed=True) or 1

    def to_record(self) -> Record:
        """As rows for the store."""
        rows = {"frame": self.frame, "body": self.body, "joints": self.joints}
        return Record(self.name, rows, {"frames": self.frames})

    @staticmethod
    def from_record(record: Record) -> "Bodies":
        """The inverse of `to_record`."""
        return Bodies(record.name, record.facts["frames"], **record.rows)


@compiled
def seen_in(joints: np.ndarray) -> np.ndarray:
    """(T, M, V, 3) to (T, M) bool: where anything but zeros stands."""
    frames, bodies, size, axes = joints.shape
    seen = np.zeros((frames, bodies), np.bool_)
    for frame in range(frames):
        for body in range(bodies):
            for index in range(size * axes):
                if joints[frame, body, index // axes, index % axes] != 0:
                    seen[frame, body] = True
                    break
    return seen


@dataclass(frozen=True)
class Sequence:
    """One or two actors over time: `joints` (T, M, V, 3) float32 in metres, all zero where an actor was not seen.

    `content` is that of the recording's bodies, 0 where it is not known.
    """

    name: str
    joints: np.ndarray
    content: int = 0

    @cached_property
    def seen(self) -> np.ndarray:
        """(T, M) bool: the frames in which each actor was seen."""
        return seen_in(self.joints)

    def to_record(self) -> Record:
        """As rows for the store, frame by frame."""
        frames, bodies = self.joints.shape[:2]
        rows = self.joints.reshape(frames * bodies, *self.joints.shape[2:])
        return Record(self.name, {"joints": rows}, {"bodies": bodies, "content": self.content})

    @staticmethod
    def from_record(record: Record) -> "Sequence":
        """The inverse of `to_record`."""
        rows, bodies = record.rows["joints"], record.facts["bodies"]
        joints = rows.reshape(len(rows) // bodies, bodies, *rows.shape[1:])
        return Sequence(record.name, joints, record.facts.get("content", 0))
