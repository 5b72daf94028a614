"""Which bodies are kept, and that every joint lands at the frame where it was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.config.settings import Prepare
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise, motion_of, sound_frames
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
    sequence, audit = denoise(bodies, OBSERVED)
    if sequence is None:
        assert audit["actors"] == 0
        return
    assert len(sequence.joints) == bodies.frames
    placed = np.argwhere(sequence.joints.any(axis=(2, 3)))
    for frame, slot in placed:
        here = bodies.joints[bodies.frame == frame]
        assert any(np.array_equal(sequence.joints[frame, slot], seen) for seen in here)
    assert audit["kept"] + audit["dropped_short"] + audit["dropped_noisy"] + audit["dropped_overlap"] == audit["ids"]


@settings(max_examples=200, deadline=None)
@given(sightings())
def test_centre_only_translates(bodies):
    sequence, _ = denoise(bodies, OBSERVED)
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
    observed, audit = denoise(bodies, OBSERVED)
    np.testing.assert_array_equal(observed.joints[7, 0], bodies.joints[3])
    assert not observed.joints[3:7].any()
    assert audit["gaps"] == 4
    assert audit["lost_frames"] == 5
    shifted, _ = denoise(bodies, REFERENCE)
    np.testing.assert_array_equal(shifted.joints[:, 0], bodies.joints)


def test_denoise_drops_short_bodies_beside_others_only(make_bodies):
    assert denoise(make_bodies({1: range(5)}, frames=5), OBSERVED)[1]["actors"] == 1
    audit = denoise(make_bodies({1: range(30), 2: range(11)}, frames=30), OBSERVED)[1]
    assert (audit["dropped_short"], audit["actors"]) == (1, 1)
    brief = make_bodies({1: range(11), 2: range(11, 20)}, frames=30)
    sequence, audit = denoise(brief, REFERENCE)
    assert sequence is None
    assert audit["dropped_short"] == 2
    sequence, audit = denoise(brief, OBSERVED)
    assert (audit["dropped_short"], audit["actors"]) == (1, 1), "the longest stays"
    np.testing.assert_array_equal(sequence.joints[:11, 0], brief.joints[:11])
    assert denoise(make_bodies({1: range(8), 2: range(8)}, frames=8), OBSERVED)[1]["actors"] == 2, "a short clip of two"


def test_denoise_drops_flat_bodies(make_bodies):
    bodies = make_bodies({1: range(30), 2: range(30)}, frames=30)
    bodies.joints[bodies.body == 2] *= np.array([10, 0.1, 1], np.float32)
    assert denoise(bodies, OBSERVED)[1]["dropped_noisy"] == 1


def test_denoise_joins_two_ids_of_one_person(make_bodies):
    bodies = make_bodies({1: range(20), 2: range(20, 50)}, frames=50)
    sequence, audit = denoise(bodies, OBSERVED)
    assert sequence.joints[:, 0].any(axis=(1, 2)).all()
    assert audit["actors"] == 1


def test_denoise_drops_third_body_at_once(make_bodies):
    audit = denoise(make_bodies({body: range(30) for body in (1, 2, 3)}, frames=30), OBSERVED)[1]
    assert (audit["actors"], audit["dropped_overlap"]) == (2, 1)


@pytest.mark.parametrize("which", ["ntu_samples", "ntu_stress"])
def test_denoise_with_reference_timing_equals_reference_arrays(recordings, which):
    from danet.datasets.ntu import NTU60
    from danet.preparation.parse import read_recording

    with np.load(recordings / f"{which}_golden.npz") as golden:
        arrays = {key.removeprefix("denoised/"): golden[key] for key in golden if key.startswith("denoised/")}
    assert arrays
    for name, expected in arrays.items():
        bodies = read_recording(NTU60.read, name, str(recordings / which / f"{name}.skeleton"))
        sequence, _ = denoise(bodies, REFERENCE)
        np.testing.assert_array_equal(sequence.joints.reshape(len(sequence.joints), -1), expected, err_msg=name)
