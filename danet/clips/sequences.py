"""Cuts centred sequences into clips, (K, T, V, C) float32, a batch at a time.

K counts the actors of a batch, not its samples: an absent second actor takes no room. What is linear in the joints
(bones, motion) is computed here; what has to be learnt is not.
"""

import copy
from collections.abc import Container, Iterable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np

from danet.clips.streams import distances, motion
from danet.config.clips import ClipSettings
from danet.errors import UserError
from danet.io.store import Records
from danet.skeleton.layout import Layout
from danet.skeleton.recording import Sequence

Crop = tuple[float, float, float]  # where it starts and what it covers, in shares of a sequence; where inside each part
WHOLE = (0.0, 1.0, 0.5)
UPRIGHT = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # y to z, z to -y, of rows
POSITIONS = 3  # of a test crop that covers a part of a sequence


@dataclass(frozen=True)
class ClipBatch:
    """Clips of samples: `channels` (K, T, V, C), `joints` (K, T, V, 3) in metres, `owner` (K,) the sample of each."""

    channels: np.ndarray
    joints: np.ndarray
    owner: np.ndarray
    samples: int

    def rows(self, samples: np.ndarray) -> np.ndarray:
        """The clips (rows) of these samples, which must be given in rising order."""
        return np.flatnonzero(np.isin(self.owner, samples))

    def of(self, samples: np.ndarray) -> "ClipBatch":
        """The clips of these samples only, given in rising order and counted anew."""
        rows = self.rows(samples)
        owner = np.searchsorted(samples, self.owner[rows])
        return ClipBatch(self.channels[rows], self.joints[rows], owner, len(samples))

    def padded(self, rows: int) -> "ClipBatch":
        """The same, with empty clips of no sample after them, whose owner is `samples`: so many rows in all."""
        more = rows - len(self.owner)
        channels, joints = (_with_zeros(of, more) for of in (self.channels, self.joints))
        return ClipBatch(channels, joints, np.pad(self.owner, (0, more), constant_values=self.samples), self.samples)


class Sequences:
    """Sequences in memory, ready to be cut: gaps filled, ends trimmed, turned to the camera if the settings say so.

    `rows` (R, V, 3) holds every actor's frames end to end; sample i has `frames[i]` of them, for each of its
    `actors[i]` actors, the first actor's starting at row `start[i]`.
    """

    def __init__(self, sequences: Ordered[Sequence], layout: Layout, settings: ClipSettings):
        self.layout = layout
        self.settings = settings
        self.names = [sequence.name for sequence in sequences]
        filled = [fill_gaps(sequence.joints) for sequence in sequences]
        if settings.face_camera:
            filled = [joints @ facing_turn(joints[0], layout).T for joints in filled]
        self.actors = np.array([len(joints) for joints in filled])
        self.frames = np.array([joints.shape[1] for joints in filled])
        self.start = np.concatenate([[0], np.cumsum(self.actors * self.frames)[:-1]]).astype(np.int64)
        self.rows = np.concatenate([joints.reshape(-1, layout.size, 3) for joints in filled])

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, samples: np.ndarray) -> "Sequences":
        """The same rows, seen as these samples only."""
        part = copy.copy(self)
        part.names = [self.names[index] for index in samples]
        part.actors, part.frames, part.start = self.actors[samples], self.frames[samples], self.start[samples]
        return part

    def cut(self, samples: np.ndarray, rng: np.random.Generator | None, crop: Crop = WHOLE) -> ClipBatch:
        """Clips of the samples (B,). With a generator they are augmented, without one a crop is cut, to be tested."""
        positions = self._positions(samples, rng, crop)  # (B, T) in frames
        actors = self.actors[samples]
        owner = np.repeat(np.arange(len(samples)), actors)  # (K,)
        second = np.arange(len(owner)) - np.repeat(np.cumsum(actors) - actors, actors)
        first_row = (self.start[samples][owner] + second * self.frames[samples][owner])[:, None]
        before = positions.astype(np.int64)
        weight = (positions - before).astype(np.float32)[owner, :, None, None]
        after = np.minimum(before + 1, (self.frames[samples] - 1)[:, None])
        joints = self.rows[first_row + before[owner]] * (1 - weight) + self.rows[first_row + after[owner]] * weight
        if rng is not None:
            mirrored = (rng.uniform(size=len(samples)) < self.settings.mirror)[owner]
            joints[mirrored] = joints[mirrored][:, :, self.layout.mirrored] * np.array([-1, 1, 1], np.float32)
            joints = joints @ self._turns(len(samples), rng)[owner][:, None]
            if self.settings.jitter_metres:
                deviation = rng.uniform(0, self.settings.jitter_metres, (len(samples), 1, 1, 1)).astype(np.float32)
                deviation *= rng.random(deviation.shape) < self.settings.jitter_chance
                joints = joints + deviation[owner] * rng.standard_normal(joints.shape, dtype=np.float32)
        if self.settings.up == "z":
            joints = joints @ UPRIGHT
        if self.settings.unit_box:
            joints = in_unit_box(joints, np.flatnonzero(second == 0), owner)
        channels = self._channels(joints)
        if rng is not None and self.settings.masked_joints:
            channels *= rng.random((len(owner), 1, self.layout.size, 1)) >= self.settings.masked_joints
        return ClipBatch(channels, joints, owner, len(samples))

    def _positions(self, samples: np.ndarray, rng: np.random.Generator | None, crop: Crop) -> np.ndarray:
        """(B, T): the middles of T equal parts of the crop; in training as `frame_choice` says."""
        length = (self.frames[samples] - 1).astype(np.float64)[:, None]
        count, choice = self.settings.frames, self.settings.frame_choice
        offset, share, inside = (np.full((1, 1), value) for value in crop)
        if rng is not None:
            share = rng.uniform(self.settings.shortest_crop, 1, (len(samples), 1))
            offset = rng.uniform(0, 1, (len(samples), 1)) * (1 - share)
            if choice == "drawn":
                return length * (offset + share * np.sort(rng.uniform(0, 1, (len(samples), count)))).round()
            if choice == "spread":
                inside = rng.uniform(0, 1, (len(samples), count))
        return length * (offset + share * (np.arange(count) + inside) / count)

    def _turns(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(B, 3, 3): random turns about the vertical, tilts about the level axes, changes of size; for rows @ turn."""
        settings = self.settings
        most = np.radians([settings.tilt_degrees, settings.turn_degrees, settings.tilt_degrees])
        angles = rng.uniform(-most, most, (count, 3))
        turn = rotation(angles[:, 0], 0) @ rotation(angles[:, 1], 1) @ rotation(angles[:, 2], 2)
        size = rng.uniform(1 - settings.scale, 1 + settings.scale, (count, 1, 1))
        return (turn * size).astype(np.float32)

    def _channels(self, joints: np.ndarray) -> np.ndarray:
        """(K, T, V, 3) to (K, T, V, C). A joint's place is taken from its actor's origin joint in the same frame, which
        alone tells where the actor is."""
        origin = self.layout.origin
        pose = joints - joints[:, :, origin : origin + 1]
        pose[:, :, origin] = joints[:, :, origin]
        bone = joints - joints[:, :, list(self.layout.parents)]
        streams = {"joint": pose, "bone": bone, "joint_motion": motion(joints), "bone_motion": motion(bone)}
        if "distance" in self.settings.streams:
            streams["distance"] = distances(joints, self.layout.landmarks)
        return np.concatenate([streams[name] for name in self.settings.streams], axis=-1)


def read_recordings(records: Records, names: Container[str]) -> list[Sequence]:
    """The named recordings of an open file of sequences, in its order. Errors: UserError when none of them is in it."""
    recordings = [Sequence.from_record(record) for record in records if record.name in names]
    if not recordings:
        raise UserError(f"{records.path}: expected at least one of the samples asked for, got none")
    return recordings


def in_segments(recordings: Iterable[Sequence], count: int) -> list[Sequence]:
    """Each recording cut into so many equal consecutive ones, which follow one another under its name.

    Of a recording of too few frames the last one is repeated.
    """

    def parts(joints: np.ndarray) -> list[np.ndarray]:
        held = np.pad(joints, [(0, max(0, count - len(joints))), (0, 0), (0, 0), (0, 0)], mode="edge")
        return np.array_split(held, count)

    return [Sequence(whole.name, part) for whole in recordings for part in parts(whole.joints)]


def crops_of(settings: ClipSettings) -> list[Crop]:
    """The crops that a sequence is tested in: those of one share spread evenly, from end to end, each drawn evenly."""
    return [
        ((1 - share) * position, share, (draw + 0.5) / settings.test_draws)
        for share in settings.test_crops
        for position in (np.linspace(0, 1, POSITIONS).tolist() if share < 1 else [0.0])
        for draw in range(settings.test_draws)
    ]


def fill_gaps(joints: np.ndarray) -> np.ndarray:
    """(T, M, V, 3) to (A, T', V, 3): the A actors that were seen at all, ends without anybody trimmed, gaps bridged.

    Between two sightings an actor moves on a straight line, before the first and after the last one it stands still.
    """
    seen = np.logical_or.reduce(joints != 0, axis=(2, 3))  # (T, M)
    anybody = np.flatnonzero(seen.any(axis=1))
    first, last = (anybody[0], anybody[-1] + 1) if len(anybody) else (0, 1)
    joints, seen = joints[first:last], seen[first:last]
    frames = np.arange(len(joints))
    actors = []
    for actor in np.flatnonzero(seen.any(axis=0)):
        known = np.flatnonzero(seen[:, actor])
        place = np.interp(frames, known, np.arange(len(known)))
        before = place.astype(np.int64)
        weight = (place - before).astype(np.float32)[:, None, None]
        after = np.minimum(before + 1, len(known) - 1)
        track = joints[known, actor]
        actors.append(track[before] * (1 - weight) + track[after] * weight if weight.any() else track[before])
    return np.stack(actors) if actors else joints.transpose(1, 0, 2, 3)[:1]


def in_unit_box(joints: np.ndarray, first: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """(K, T, V, 3) with each axis scaled to -1 to 1 for each sample, whose first clip is `first` (B,) and `owner` (K,).

    An axis along which nothing differs is 0. As CTR-GCN has it for NW-UCLA (Chen et al., ICCV 2021).
    """
    low = np.minimum.reduceat(joints.min(axis=(1, 2)), first)
    high = np.maximum.reduceat(joints.max(axis=(1, 2)), first)
    middle, half = (low + high) / 2, (high - low) / 2
    half[half == 0] = 1
    return (joints - middle[owner, None, None]) / half[owner, None, None]


def facing_turn(joints: np.ndarray, layout: Layout) -> np.ndarray:
    """The turn about the vertical, (3, 3) for column vectors, after which hips and shoulders lie along x.

    `joints` (T, V, 3) are one actor's. The line from left to right is the mean over all frames and `layout.across`.
    """
    left, right = np.array(layout.across).T
    x, _, z = (joints[:, right] - joints[:, left]).mean(axis=(0, 1))
    return rotation(np.arctan2(z, x)[None], 1)[0].astype(np.float32)


def rotation(radians: np.ndarray, axis: int) -> np.ndarray:
    """(B,) angles to (B, 3, 3) rotations of column vectors about one axis, by the right-hand rule."""
    turn = np.zeros((len(radians), 3, 3))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, two, two] = np.cos(radians)
    turn[:, two, one] = np.sin(radians)
    turn[:, one, two] = -turn[:, two, one]
    return turn


def _with_zeros(values: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate([values, np.zeros((more, *values.shape[1:]), values.dtype)])
