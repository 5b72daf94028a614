"""Which bodies are kept, and that every joint lands at the frame where it was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.config.settings import Prepare
from danet.datasets.readers.any_file import reader
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise, write_audit
from danet.preparation.parse import read_recording
from danet.preparation.tracks import motion_of, sound_frames
from danet.skeleton.layout import KINECT_V2, read_layout
from danet.skeleton.recording import Bodies

OBSERVED, REFERENCE = Prepare(timing="observed"), Prepare(timing="reference")


@st.composite
def sightings(draw):
    """Up to four bodies, each seen in any frames of up to forty."""
    frames = draw(st.integers(1, 40))
    seen = [draw(st.sets(st.integers(0, frames - 1))) for _ in range(draw(st.integers(1, 4)))]
    rows = sorted((frame, body) for body, where in enumerate(seen) for frame in where)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    spread = np.array([draw(st.sampled_from([0.1, 2.0])), 1.0, 0.1])
    joints = (rng.normal(0, 1, (len(rows), 25, 3)) * spread + 3).astype(np.float32)
    frame = np.array([frame for frame, _ in rows], np.int32)
    return Bodies("any", frames, frame, np.array([body for _, body in rows], np.int64), joints)


def test_motion_and_sound_frames_equal_numpy_bit_for_bit(rng):
    for frames in (1, 2, 7, 100, 300):
        for spread in (0.01, 1, 100):
            joints = (rng.normal(0, spread, (frames, 25, 3)) + rng.normal(0, 2, 3)).astype(np.float32)
            assert np.float32(motion_of(joints)) == np.var(joints.reshape(-1, 3), axis=0).sum()
            width, height = np.ptp(joints[..., 0], axis=1), np.ptp(joints[..., 1], axis=1)
            np.testing.assert_array_equal(sound_frames(joints, 0.9), width <= 0.9 * height)


@settings(max_examples=300, deadline=None)
@given(sightings())
def test_denoise_keeps_joints_at_their_frames(bodies):
    sequence, audit = denoise(bodies, OBSERVED, KINECT_V2)
    if sequence is None:
        assert audit["actors"] == 0
        return
    assert len(sequence.joints) == bodies.frames
    placed = np.argwhere(sequence.joints.any(axis=(2, 3)))
    for frame, slot in placed:
        here = bodies.joints[bodies.frame == frame]
        assert any(np.array_equal(sequence.joints[frame, slot], seen) for seen in here)
    assert audit["kept"] + sum(count for key, count in audit.items() if key.startswith("dropped_")) == audit["ids"]


@settings(max_examples=200, deadline=None)
@given(sightings())
def test_centre_only_translates(bodies):
    sequence, _ = denoise(bodies, OBSERVED, KINECT_V2)
    if sequence is None:
        return
    centred = centre(sequence, 1, "observed").joints
    seen = sequence.joints.any(axis=(2, 3))
    assert not centred[~seen].any()
    moved = (sequence.joints - centred)[seen]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), atol=1e-6)
    if seen[:, 0].any():
        assert not centred[seen[:, 0].argmax(), 0, 1].any()


def test_denoise_shifts_returning_body_with_reference_timing_only(make_bodies):
    bodies = make_bodies({5: [0, 1, 2, 7, 8]}, frames=10)
    observed, audit = denoise(bodies, OBSERVED, KINECT_V2)
    np.testing.assert_array_equal(observed.joints[7, 0], bodies.joints[3])
    assert not observed.joints[3:7].any()
    assert audit["gaps"] == 4
    assert audit["lost_frames"] == 5
    shifted, _ = denoise(bodies, REFERENCE, KINECT_V2)
    np.testing.assert_array_equal(shifted.joints[:, 0], bodies.joints)


def test_denoise_drops_short_bodies_beside_others_only(make_bodies):
    assert denoise(make_bodies({1: range(5)}, frames=5), OBSERVED, KINECT_V2)[1]["actors"] == 1
    audit = denoise(make_bodies({1: range(30), 2: range(11)}, frames=30), OBSERVED, KINECT_V2)[1]
    assert (audit["dropped_short"], audit["actors"]) == (1, 1)
    brief = make_bodies({1: range(11), 2: range(11, 20)}, frames=30)
    sequence, audit = denoise(brief, REFERENCE, KINECT_V2)
    assert sequence is None
    assert audit["dropped_short"] == 2
    sequence, audit = denoise(brief, OBSERVED, KINECT_V2)
    assert (audit["dropped_short"], audit["actors"]) == (1, 1), "the longest stays"
    np.testing.assert_array_equal(sequence.joints[:11, 0], brief.joints[:11])
    assert denoise(make_bodies({1: range(8), 2: range(8)}, frames=8), OBSERVED, KINECT_V2)[1]["actors"] == 2, (
        "a short clip of two"
    )


def test_denoise_drops_flat_bodies(make_bodies):
    bodies = make_bodies({1: range(30), 2: range(30)}, frames=30)
    bodies.joints[bodies.body == 2] *= np.array([10, 0.1, 1], np.float32)
    assert denoise(bodies, OBSERVED, KINECT_V2)[1]["dropped_noisy"] == 1


def test_denoise_joins_two_ids_of_one_person(make_bodies):
    bodies = make_bodies({1: range(20), 2: range(20, 50)}, frames=50)
    sequence, audit = denoise(bodies, OBSERVED, KINECT_V2)
    assert sequence.joints[:, 0].any(axis=(1, 2)).all()
    assert audit["actors"] == 1


def test_denoise_drops_third_body_at_once(make_bodies):
    audit = denoise(make_bodies({body: range(30) for body in (1, 2, 3)}, frames=30), OBSERVED, KINECT_V2)[1]
    assert (audit["actors"], audit["dropped_overlap"]) == (2, 1)


def standing(at, frames, rng, moving=0.05, jitter=0.002):
    """(frames, 25, 3): an upright body at x = `at` that turns about itself by so many metres, seen with some jitter."""
    shape = np.array([0.2, 0.9, 0.2]) * np.random.default_rng(0).uniform(-1, 1, (25, 3)) + [at, 0, 3]
    sway = moving * np.sin(np.arange(frames) / 8)[:, None, None] * [1, 0, 1]
    return shape + sway + rng.normal(0, jitter, (frames, 25, 3))


def seen_as(frames, **tracks):
    """Bodies of {id: (first frame, joints)}; the ids are a letter and a number."""
    rows = sorted(
        (first + frame, int(name[1:]), index)
        for index, (name, (first, joints)) in enumerate(tracks.items())
        for frame in range(len(joints))
    )
    given = list(tracks.values())
    joints = np.array([given[index][1][frame - given[index][0]] for frame, _, index in rows], np.float32)
    frame, body, _ = np.array(rows).T
    return Bodies("made up", frames, frame.astype(np.int32), body.astype(np.int64), joints)


def slots_of(audit):
    """{id: slot}, 0 for a dropped one."""
    return {row["body"]: row["slot"] for row in audit["bodies"]}


@pytest.mark.parametrize("lively", [0.02, 0.3])
def test_actor_with_a_new_id_stays_one_while_somebody_enters(rng, lively):
    actor, entrant = standing(0, 60, rng), standing(1.1, 30, rng, moving=lively)
    bodies = seen_as(60, b1=(0, actor[:30]), b2=(30, actor[30:]), b3=(30, entrant))
    sequence, audit = denoise(bodies, OBSERVED, KINECT_V2)
    slots = slots_of(audit)
    assert slots[1] == slots[2] != slots[3]
    np.testing.assert_array_equal(sequence.joints[:, slots[1] - 1], actor.astype(np.float32))
    assert audit["jumps"] == 0
    assert 0 < audit["jump"] < 0.1


def test_jump_is_told_where_each_slot_has_somebody(rng):
    one, other = standing(0, 60, rng, moving=0.3), standing(2, 30, rng)
    bodies = seen_as(60, b1=(0, one), b2=(0, other), b3=(30, standing(4, 30, rng)))
    _, audit = denoise(bodies, OBSERVED, KINECT_V2)
    assert slots_of(audit) == {1: 1, 2: 2, 3: 2}
    assert audit["jumps"] == 1
    assert audit["jump"] == pytest.approx(2, abs=0.1)
    assert {row["body"]: row["jump"] for row in audit["bodies"]} == {1: 0, 2: 0, 3: audit["jump"]}


@pytest.mark.parametrize(("limit", "actors"), [(0.5, 2), (1.5, 1)])
def test_body_beyond_the_longest_jump_opens_an_empty_slot(rng, limit, actors):
    bodies = seen_as(60, b1=(0, standing(0, 30, rng)), b2=(30, standing(1, 30, rng)))
    audit = denoise(bodies, Prepare(longest_jump=limit), KINECT_V2)[1]
    assert (audit["actors"], audit["jumps"]) == (actors, 0)
    assert denoise(bodies, REFERENCE, KINECT_V2)[1]["actors"] == 1
    assert denoise(bodies, REFERENCE, KINECT_V2)[1]["jumps"] == 1


def test_body_in_the_gap_of_another_goes_there(rng):
    person, other = standing(0, 60, rng, moving=0.1), standing(2, 60, rng, moving=0.3)
    bodies = seen_as(60, b1=(0, person[:20]), b2=(20, person[20:40]), b3=(40, person[40:]), b4=(0, other))
    bodies.body[bodies.body == 3] = 1
    sequence, audit = denoise(bodies, OBSERVED, KINECT_V2)
    assert slots_of(audit) == {1: 2, 2: 2, 4: 1}
    np.testing.assert_array_equal(sequence.joints[:, 1], person.astype(np.float32))
    assert all(0 < row["jump"] < 0.1 for row in audit["bodies"] if row["slot"] == 2)


def test_body_that_never_moves_is_dropped_beside_one_that_does(rng):
    still = standing(1, 60, rng, moving=0, jitter=0.004)
    bodies = seen_as(60, b1=(0, still), b2=(0, standing(0, 60, rng)))
    sequence, audit = denoise(bodies, OBSERVED, KINECT_V2)
    assert (audit["dropped_still"], audit["actors"], slots_of(audit)) == (1, 1, {1: 0, 2: 1})
    assert sequence.joints.shape[1] == 1
    assert denoise(bodies, Prepare(stillest_body=0), KINECT_V2)[1]["actors"] == 2
    assert denoise(bodies, REFERENCE, KINECT_V2)[1]["actors"] == 2


def test_bodies_are_kept_where_none_moves_or_not_at_the_same_time(rng):
    still, other = standing(1, 60, rng, moving=0), standing(0, 60, rng, moving=0)
    assert denoise(seen_as(60, b1=(0, still), b2=(0, other)), OBSERVED, KINECT_V2)[1]["dropped_still"] == 0
    moving = standing(0, 30, rng)
    assert denoise(seen_as(60, b1=(0, still[:30]), b2=(30, moving)), OBSERVED, KINECT_V2)[1]["dropped_still"] == 0


def test_listener_who_moves_one_hand_a_little_is_kept(rng):
    listener = standing(1, 60, rng, moving=0)
    listener[20:40, 7] += [0, 0.06, 0]
    assert denoise(seen_as(60, b1=(0, listener), b2=(0, standing(0, 60, rng))), OBSERVED, KINECT_V2)[1]["actors"] == 2


def test_denoise_tells_the_log_how_many_recordings_jump(rng, tmp_path, caplog):
    jumps = seen_as(60, b1=(0, standing(0, 30, rng)), b2=(30, standing(1, 30, rng)))
    alone = seen_as(60, b1=(0, standing(0, 60, rng)))
    rows = [denoise(each, REFERENCE, KINECT_V2)[1] for each in (jumps, alone)]
    write_audit(tmp_path / "audit.parquet", rows)
    assert [record.getMessage()[:26] for record in caplog.records] == ["1 of 2 recordings have an "]


def test_no_second_person_of_real_interactions_is_dropped(recordings):
    layout = read_layout(recordings / "sbu_interaction/layout.yaml")
    read = reader(layout)
    clips = sorted((recordings / "sbu_interaction/clips").iterdir())
    audits = [denoise(read_recording(read, clip.stem, str(clip)), OBSERVED, layout)[1] for clip in clips]
    assert len(audits) > 200
    assert [audit["name"] for audit in audits if audit["dropped_still"] or audit["jumps"]] == []


@pytest.mark.parametrize("which", ["ntu_samples", "ntu_stress"])
def test_denoise_with_reference_timing_equals_reference_arrays(recordings, which):
    from danet.datasets.ntu import NTU60

    with np.load(recordings / f"{which}_golden.npz") as golden:
        arrays = {key.removeprefix("denoised/"): golden[key] for key in golden if key.startswith("denoised/")}
    assert arrays
    for name, expected in arrays.items():
        bodies = read_recording(NTU60.read, name, str(recordings / which / f"{name}.skeleton"))
        sequence, _ = denoise(bodies, REFERENCE, KINECT_V2)
        np.testing.assert_array_equal(sequence.joints.reshape(len(sequence.joints), -1), expected, err_msg=name)
