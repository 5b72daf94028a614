"""Sequences and the clips that are cut of them: what is filled, turned, mirrored, hidden and disturbed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.clips.sequences import Sequences, crops_of, facing_turn, fill_gaps, in_segments, read_recordings, rotation
from danet.clips.streams import channel_places
from danet.config.clips import ClipSettings
from danet.errors import UserError
from danet.io.store import open_records, write_records
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import Sequence


def walk(rng, frames=30, actors=1):
    """People whose left and right differ, moving."""
    joints = rng.normal(0, 0.3, (1, actors, 25, 3)) + rng.normal(0, 0.02, (frames, actors, 25, 3)).cumsum(axis=0)
    return joints.astype(np.float32)


def test_cut_at_test_takes_the_whole_sequence_in_order(rng):
    joints = walk(rng, 60)
    made = Sequences([Sequence("a", joints)], KINECT_V2, ClipSettings(frames=60, face_camera=False, streams=("joint",)))
    cut = made.cut(np.array([0]), None)
    middles = np.arange(60) * 59 / 60 + 59 / 120
    for axis in range(3):
        expected = np.interp(middles, np.arange(60), joints[:, 0, 4, axis])
        np.testing.assert_allclose(cut.joints[0, :, 4, axis], expected, atol=1e-6)


def test_cut_gives_places_bones_and_motions(rng):
    settings = ClipSettings(frames=16, face_camera=False)
    cut = Sequences([Sequence("a", walk(rng))], KINECT_V2, settings).cut(np.array([0]), None)
    joint, bone, motion, bone_motion = np.split(cut.channels, 4, axis=-1)
    others = np.arange(25) != KINECT_V2.origin
    np.testing.assert_array_equal(joint[:, :, ~others], cut.joints[:, :, ~others])
    np.testing.assert_allclose(joint[:, :, others], (cut.joints - cut.joints[:, :, ~others])[:, :, others], atol=1e-6)
    np.testing.assert_allclose(bone[:, :, 5], joint[:, :, 5] - joint[:, :, 4], atol=1e-6)
    assert not bone[:, :, 0].any(), "the root has no bone"
    np.testing.assert_allclose(motion[:, :-1], np.diff(cut.joints, axis=1), atol=1e-6)
    np.testing.assert_allclose(bone_motion[:, :-1], np.diff(bone, axis=1), atol=1e-6)
    assert not motion[:, -1].any()


def test_cut_gives_distances_that_no_turn_changes(rng):
    ends = ("spine base", "head", "left hand tip", "right hand tip", "left foot", "right foot")
    marks = [KINECT_V2.joints.index(name) for name in ends]
    kinds = ClipSettings(frames=16, face_camera=False, streams=("bone", "distance"))
    joints = walk(rng)
    turn = rotation(np.array([1.0]), 1)[0] @ rotation(np.array([0.5]), 0)[0]
    seen, turned = (
        Sequences([Sequence("a", each)], KINECT_V2, kinds).cut(np.array([0]), None)
        for each in (joints, (joints @ turn.T).astype(np.float32))
    )
    places = channel_places(kinds.streams, KINECT_V2)
    assert places == {"bone": range(3), "distance": range(3, 9)}
    assert seen.channels.shape[-1] == 9
    found = seen.channels[..., list(places["distance"])]
    for place, mark in enumerate(marks):
        expected = [[np.linalg.norm(joint - frame[mark]) for joint in frame] for frame in seen.joints[0]]
        np.testing.assert_allclose(found[0, :, :, place], expected, atol=1e-6)
    np.testing.assert_allclose(turned.channels[..., list(places["distance"])], found, atol=1e-5)
    assert np.abs(turned.channels - seen.channels).max() > 0.1, "bones do turn"


@settings(max_examples=100, deadline=None)
@given(st.floats(-np.pi, np.pi), st.integers(0, 1000))
def test_sequences_face_the_camera_alike_from_every_view(angle, seed):
    joints = walk(np.random.default_rng(seed))
    turn = rotation(np.array([angle]), 1)[0].astype(np.float32)
    clips = [
        Sequences([Sequence("a", seen)], KINECT_V2, ClipSettings()).cut(np.array([0]), None).joints
        for seen in (joints, joints @ turn.T)
    ]
    np.testing.assert_allclose(*clips, atol=1e-4)
    across = (clips[0][0, :, 8] - clips[0][0, :, 4] + clips[0][0, :, 16] - clips[0][0, :, 12]).mean(axis=0)
    assert abs(across[2]) < 0.1 * across[0] + 0.1


def test_facing_turn_keeps_the_vertical(rng):
    turn = facing_turn(walk(rng)[:, 0], KINECT_V2)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(turn[1], [0, 1, 0], atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)


def test_fill_gaps_bridges_gaps_and_trims_ends(rng):
    joints = walk(rng, 12, actors=2) + 5
    joints[[0, 1, 11]] = 0
    joints[4:6, 0] = 0
    joints[:8, 1] = 0
    filled = fill_gaps(joints)
    assert filled.shape == (2, 9, 25, 3)
    np.testing.assert_allclose(filled[0, 2], joints[3, 0] * 2 / 3 + joints[6, 0] / 3, atol=1e-5)
    np.testing.assert_array_equal(filled[1, :6], np.broadcast_to(joints[8, 1], (6, 25, 3)))


@pytest.mark.parametrize("frames", [1, 2])
def test_cut_makes_whole_clips_of_hardly_any_frames(rng, frames):
    cut = Sequences([Sequence("a", walk(rng, frames))], KINECT_V2, ClipSettings()).cut(
        np.zeros(3, int), np.random.default_rng(0)
    )
    assert cut.channels.shape == (3, 32, 25, 12)
    assert np.isfinite(cut.channels).all()


def test_cut_follows_the_generator_and_nothing_else(rng):
    made = Sequences([Sequence(str(i), walk(rng, actors=1 + i % 2)) for i in range(4)], KINECT_V2, ClipSettings())
    samples = np.arange(4)
    cut = {key: made.cut(samples, np.random.default_rng(key)).joints for key in ((0, 1), (0, 2), (1, 1))}
    np.testing.assert_array_equal(cut[0, 1], made.cut(samples, np.random.default_rng((0, 1))).joints)
    assert not np.allclose(cut[0, 1], cut[0, 2]), "another epoch"
    assert not np.allclose(cut[0, 1], cut[1, 1]), "another seed"


def test_cut_mirrored_swaps_left_and_right(rng):
    settings = {"turn_degrees": 0, "tilt_degrees": 0, "scale": 0, "shortest_crop": 1.0, "face_camera": False}
    cuts = [
        Sequences([Sequence("a", walk(np.random.default_rng(0)))], KINECT_V2, ClipSettings(**settings, mirror=mirror))
        .cut(np.array([0]), np.random.default_rng(1))
        .joints
        for mirror in (0.0, 1.0)
    ]
    np.testing.assert_allclose(cuts[1][:, :, 4], cuts[0][:, :, 8] * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(cuts[1][:, :, 3], cuts[0][:, :, 3] * [-1, 1, 1], atol=1e-6)


def test_cut_masks_joints_throughout_a_clip(rng):
    made = Sequences([Sequence("a", walk(rng))], KINECT_V2, ClipSettings(masked_joints=0.4))
    channels = made.cut(np.zeros(40, int), np.random.default_rng(1)).channels
    still = (channels == 0).all(axis=(1, 3))
    assert 0.3 < still.mean() < 0.5
    moving = channels[:, :-1][np.broadcast_to(~still[:, None], channels[:, :-1].shape[:3])]
    assert (moving != 0).any(axis=-1).all(), "a joint is hidden throughout or not at all"
    assert (made.cut(np.zeros(2, int), None).channels[..., :3] != 0).any(axis=(1, 3)).all(), "never at test"


def test_cut_jitters_each_sample_by_its_own_deviation(rng):
    still = np.repeat(walk(rng, 1), 30, axis=0)
    settings = ClipSettings(turn_degrees=0, tilt_degrees=0, scale=0, face_camera=False, jitter_metres=0.05)
    cut = Sequences([Sequence("a", still)], KINECT_V2, settings).cut(np.zeros(200, int), np.random.default_rng(1))
    deviation = (cut.joints - still[0, 0]).std(axis=(1, 2, 3))
    assert deviation.min() < 0.005
    assert 0.045 < deviation.max() < 0.053
    assert deviation.mean() == pytest.approx(0.025, abs=0.004)


def test_cut_spares_some_clips_the_jitter(rng):
    still = np.repeat(walk(rng, 1), 30, axis=0)
    plain = {"turn_degrees": 0, "tilt_degrees": 0, "scale": 0, "face_camera": False}
    settings = ClipSettings(**plain, jitter_metres=0.05, jitter_chance=0.25)
    cut = Sequences([Sequence("a", still)], KINECT_V2, settings).cut(np.zeros(400, int), np.random.default_rng(1))
    moved = np.abs(cut.joints - still[0, 0]).max(axis=(1, 2, 3))
    assert (moved > 1e-5).mean() == pytest.approx(0.25, abs=0.07)
    assert moved.max() > 0.1


def test_cut_turns_both_actors_of_a_sample_alike(rng):
    person = walk(rng)
    joints = np.concatenate([person, person + 1], axis=1)
    settings = ClipSettings(turn_degrees=180, scale=0.0, shortest_crop=1.0)
    cut = Sequences([Sequence("a", joints)], KINECT_V2, settings).cut(np.array([0]), np.random.default_rng(1))
    offset = cut.joints[1] - cut.joints[0]
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0, 0], offset.shape), atol=1e-5)


def test_clip_batch_of_some_samples_counts_them_anew(rng):
    actors = (1, 2, 1, 2)
    made = Sequences([Sequence(str(n), walk(rng, actors=n)) for n in actors], KINECT_V2, ClipSettings(frames=8))
    whole = made.cut(np.arange(4), rng)
    part = whole.of(np.array([1, 3]))
    np.testing.assert_array_equal(part.channels, whole.channels[[1, 2, 4, 5]])
    np.testing.assert_array_equal(part.joints, whole.joints[[1, 2, 4, 5]])
    assert part.owner.tolist() == [0, 0, 1, 1]
    assert part.samples == 2


def test_cut_draws_each_clip_by_itself(rng):
    """The one thread that cuts clips draws on one generator, so that nothing is drawn twice."""
    made = Sequences([Sequence("a", walk(rng))] * 2, KINECT_V2, ClipSettings(frames=8))
    samples = np.array([0, 1, 0])
    drawn = {key: made.cut(samples, np.random.default_rng(key)).channels for key in [(0, 0), (0, 1), (1, 0)]}
    clips = np.concatenate(list(drawn.values())).reshape(9, -1)
    assert len(np.unique(clips, axis=0)) == 9, "the same recording, cut nine times"
    np.testing.assert_array_equal(drawn[0, 0], made.cut(samples, np.random.default_rng((0, 0))).channels)


def test_crops_of_slide_over_the_sequence_from_end_to_end(rng):
    settings = ClipSettings(frames=10, face_camera=False, streams=("bone",), test_crops=(1, 0.5))
    joints = np.zeros((101, 1, 25, 3), np.float32)
    joints[:, 0, :, 1] = np.arange(25)
    joints[:, 0, 3, 0] = np.arange(101)
    made = Sequences([Sequence("a", joints)], KINECT_V2, settings)
    times = [made.cut(np.array([0]), None, crop).joints[0, :, 3, 0] for crop in crops_of(settings)]
    for (start, length), found in zip([(0, 100), (0, 50), (25, 50), (50, 50)], times, strict=True):
        np.testing.assert_allclose(found, start + length * (np.arange(10) + 0.5) / 10, atol=1e-4)


def test_in_segments_holds_the_last_frame_where_frames_are_few(rng):
    people = {name: walk(rng, frames) for name, frames in (("a", 7), ("b", 23), ("c", 7))}
    parts = in_segments([Sequence(name, joints) for name, joints in people.items()], 10)
    made = Sequences(parts, KINECT_V2, ClipSettings(frames=4, face_camera=False))
    assert made.names == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert made.frames.min() == 1
    assert [len(part.joints) for part in parts[10:20]] == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    np.testing.assert_array_equal(np.concatenate([part.joints for part in parts[10:20]]), people["b"])
    for first, name in ((0, "a"), (20, "c")):
        for segment, frame in enumerate([0, 1, 2, 3, 4, 5, 6, 6, 6, 6]):
            shown = made.cut(np.array([first + segment]), None).joints[0]
            np.testing.assert_allclose(shown, np.broadcast_to(people[name][frame, 0], shown.shape), atol=1e-6)


def test_read_recordings_takes_those_named_in_the_order_of_the_file(rng, tmp_path):
    people = {name: walk(rng, 7) for name in "abc"}
    records = (Sequence(name, joints).to_record() for name, joints in people.items())
    write_records(tmp_path / "x.h5", "centred", records, {"layout": KINECT_V2.described})
    with open_records(tmp_path / "x.h5", "centred") as opened:
        read = read_recordings(opened, {"c", "a", "absent"})
        assert [each.name for each in read] == ["a", "c"]
        np.testing.assert_allclose(read[1].joints, people["c"], atol=1e-6)
        with pytest.raises(UserError, match=r"x\.h5: expected at least one of the samples asked for, got none"):
            read_recordings(opened, {"absent"})


def places_in(settings, rng, frames=101):
    """The frames of a sequence that a clip in training shows."""
    joints = np.zeros((frames, 1, 25, 3), np.float32)
    joints[:, 0, :, 1] = np.arange(25)
    joints[:, 0, 3, 0] = np.arange(frames)
    still = {"face_camera": False, "turn_degrees": 0, "tilt_degrees": 0, "scale": 0, "shortest_crop": 1}
    made = Sequences([Sequence("a", joints)], KINECT_V2, ClipSettings(**still | settings))
    return made.cut(np.array([0]), rng).joints[0, :, 3, 0]


def test_frames_of_a_training_clip_are_chosen_as_the_settings_say(rng):
    parts = np.arange(20) * 5.0
    even = places_in({"frames": 20, "frame_choice": "even"}, rng)
    np.testing.assert_allclose(even, parts + 2.5, atol=1e-4)
    spread = places_in({"frames": 20, "frame_choice": "spread"}, rng)
    assert ((spread >= parts) & (spread <= parts + 5)).all()
    assert abs(spread - even).max() > 0.5
    drawn = places_in({"frames": 200, "frame_choice": "drawn"}, rng)
    assert (np.diff(drawn) >= 0).all()
    assert len(np.unique(drawn)) < 200, "some frames stand twice"
    np.testing.assert_allclose(drawn, drawn.round(), atol=1e-4)


def test_test_draws_cut_a_crop_at_other_places_inside_its_parts():
    settings = ClipSettings(frames=4, test_crops=(1, 0.5), test_draws=2)
    inside = [(round(share, 3), round(place, 3)) for _, share, place in crops_of(settings)]
    assert inside == [(1, 0.25), (1, 0.75), *[(0.5, 0.25), (0.5, 0.75)] * 3]


def test_unit_box_scales_each_axis_of_a_sample_over_all_its_actors(rng):
    people = [Sequence("a", walk(rng, actors=2)), Sequence("b", walk(rng)), Sequence("c", walk(rng) * [1, 1, 0])]
    made = Sequences(people, KINECT_V2, ClipSettings(frames=8, face_camera=False, unit_box=True))
    for cut in (made.cut(np.arange(3), None), made.cut(np.arange(3), rng)):
        for sample in (0, 1):
            own = cut.joints[cut.owner == sample].reshape(-1, 3)
            np.testing.assert_allclose([own.min(axis=0), own.max(axis=0)], [[-1] * 3, [1] * 3], atol=1e-5)
    flat = made.cut(np.array([2]), None).joints
    assert not flat[..., 2].any(), "an axis along which nothing differs"


def test_up_is_z_where_the_settings_say_so(rng):
    sequences = [Sequence("a", rng.normal(size=(12, 1, 25, 3)).astype(np.float32))]
    plain, turned = (
        Sequences(sequences, KINECT_V2, ClipSettings(frames=4, up=up)).cut(np.zeros(1, np.int64), None) for up in "yz"
    )
    x, y, z = np.moveaxis(plain.joints, -1, 0)
    assert np.array_equal(turned.joints, np.stack([x, -z, y], axis=-1))
    x, y, z = np.moveaxis(plain.channels[..., 3:6], -1, 0)  # bones
    np.testing.assert_allclose(turned.channels[..., 3:6], np.stack([x, -z, y], axis=-1), atol=1e-6)
