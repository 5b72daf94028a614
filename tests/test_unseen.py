"""Joints that a sensor did not find are known as such, bridged inside their body's track, and counted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.config.settings import Prepare
from danet.datasets.readers.any_file import reader
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.errors import BadRecording
from danet.inference.recordings import read_bodies
from danet.preparation.centre import centre
from danet.preparation.denoise import denoise
from danet.preparation.parse import read_recording
from danet.preparation.unseen import bridged, may_lack_joints, seen_joints
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS
from danet.skeleton.recording import Bodies

FEET = [index for index, joint in enumerate(KINECT_V2.joints) if "foot" in joint]
UNSEEN = [(0, 0, 0), (-1, -1, -1), (np.nan, np.nan, np.nan), (1, np.inf, 1)]


def person(layout, frames=40):
    """(T, V, 3): a stiff body 3 m before the camera that walks sideways at an even pace."""
    rng = np.random.default_rng(0)
    body = np.zeros((layout.size, 3))
    for joint, before in layout.outwards(layout.origin):
        way = rng.normal(size=3)
        body[joint] = body[before] + 0.2 * way / np.linalg.norm(way)
    walk = np.linspace([0.1, 0.2, 3.0], [1.1, 0.2, 3.5], frames)
    return (body + walk[:, None]).astype(np.float32)


def one_body(joints):
    return Bodies("a", len(joints), np.arange(len(joints), dtype=np.int32), np.ones(len(joints), np.int64), joints)


def written(joints, folder):
    np.save(folder / "a.npy", joints)
    return folder / "a.npy"


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_outwards_walks_the_body_from_any_joint(layout):
    for start in range(layout.size):
        walked = [start]
        for joint, before in layout.outwards(start):
            assert before in walked
            assert layout.hops[joint, before] == 1
            walked.append(joint)
        assert sorted(walked) == list(range(layout.size))


def test_seen_joints_knows_zeros_and_minus_ones_beside_others():
    joints = person(KINECT_V2)
    assert not may_lack_joints(joints)
    assert seen_joints(joints, KINECT_V2).all()
    joints[3, 4], joints[5, 6], joints[:, FEET], joints[7] = 0, -1, 0, 0
    assert may_lack_joints(joints)
    expected = np.ones(joints.shape[:2], bool)
    expected[3, 4] = expected[5, 6] = False
    expected[:, FEET] = expected[7] = False
    np.testing.assert_array_equal(seen_joints(joints, KINECT_V2), expected)


def test_origin_of_centred_coordinates_is_a_place():
    joints = person(KINECT_V2)
    joints -= joints[:, KINECT_V2.origin, None]
    assert seen_joints(joints, KINECT_V2).all()
    joints[:, FEET] = 0
    assert not seen_joints(joints, KINECT_V2)[:, FEET].any()
    assert seen_joints(joints, KINECT_V2)[:, KINECT_V2.origin].all()


@pytest.mark.parametrize("layout", [KINECT_V2, LAYOUTS["coco_17"]], ids=lambda layout: layout.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_bridging_restores_a_body_that_moves_evenly(layout, data):
    joints = person(layout, 12)
    seen = np.random.default_rng(data.draw(st.integers(0, 1 << 20))).random(joints.shape[:2]) < 0.7
    anchor = data.draw(st.integers(0, layout.size - 1))
    seen[:, anchor] = True  # without one whole joint the ends are held, not known
    seen[0] = True  # and each joint is seen once
    restored = bridged(np.where(seen[:, :, None], joints, 0), seen, np.arange(12), layout)
    np.testing.assert_array_equal(restored[seen], joints[seen])
    np.testing.assert_allclose(restored, joints, atol=1e-5)


def test_bridging_counts_frames_and_holds_the_ends():
    joints = np.zeros((3, KINECT_V2.size, 3), np.float32) + np.float32([[[0, 0, 3]], [[0, 0, 0]], [[0, 0, 9]]])
    seen = np.ones(joints.shape[:2], bool)
    seen[1] = False
    np.testing.assert_allclose(bridged(joints, seen, np.array([0, 2, 3]), KINECT_V2)[1], [[0, 0, 7]] * 25, atol=1e-6)
    seen[:] = [[False], [False], [True]]
    np.testing.assert_array_equal(bridged(joints, seen, np.array([0, 2, 3]), KINECT_V2), joints[[2, 2, 2]])


def test_a_joint_that_is_never_seen_lies_at_the_one_before_it():
    joints = person(KINECT_V2)
    seen = np.ones(joints.shape[:2], bool)
    seen[:, FEET] = False
    ankles = [KINECT_V2.parents[foot] for foot in FEET]
    np.testing.assert_array_equal(bridged(joints, seen, np.arange(40), KINECT_V2)[:, FEET], joints[:, ankles])


@pytest.mark.parametrize("marker", UNSEEN, ids=str)
def test_a_recording_that_lacks_joints_comes_out_almost_as_it_was(tmp_path, marker):
    joints = person(KINECT_V2)
    whole, _ = denoise(one_body(joints), Prepare(), KINECT_V2)
    lacking = joints.copy()
    lacking[np.random.default_rng(1).random(joints.shape[:2]) < 0.05] = marker
    sequence, audit = denoise(read_bodies(written(lacking, tmp_path), KINECT_V2)[0], Prepare(), KINECT_V2)
    centred, expected = (centre(each, KINECT_V2.origin, "observed").joints for each in (sequence, whole))
    assert np.abs(centred - expected).max() < 0.03
    assert audit["bridged"] == (lacking != joints).any(axis=2).sum() > 20
    assert (audit["never_seen"], audit["dropped_unseen"], audit["kept"]) == (0, 0, 1)


def test_audit_counts_what_was_never_seen():
    joints = person(KINECT_V2)
    joints[:, FEET] = 0
    _, audit = denoise(one_body(joints), Prepare(), KINECT_V2)
    assert (audit["never_seen"], audit["bridged"]) == (2, 80)


def test_a_body_hardly_seen_is_dropped_and_said():
    joints = person(KINECT_V2)
    joints[:, 5:] = 0
    sequence, audit = denoise(one_body(joints), Prepare(), KINECT_V2)
    assert sequence is None
    assert audit["dropped_unseen"] == 1
    assert audit["bodies"][0]["rule"] == "hardly seen"
    assert audit["bodies"][0]["value"] == pytest.approx(0.2)
    assert denoise(one_body(joints), Prepare(least_seen=0.2), KINECT_V2)[1]["kept"] == 1
    assert denoise(one_body(0 * joints), Prepare(least_seen=0), KINECT_V2)[0] is None


def test_a_frame_without_any_joint_is_a_gap():
    joints = person(KINECT_V2)
    joints[10:13] = 0
    joints[20, 3] = 0
    sequence, audit = denoise(one_body(joints), Prepare(), KINECT_V2)
    assert (audit["gaps"], audit["bridged"]) == (3, 1)
    np.testing.assert_array_equal(np.flatnonzero(~sequence.seen[:, 0]), [10, 11, 12])


def test_reference_timing_leaves_joints_as_they_stand():
    joints = person(KINECT_V2)
    joints[3, 4], joints[5, 6] = 0, -1
    sequence, audit = denoise(one_body(joints), Prepare(timing="reference"), KINECT_V2)
    np.testing.assert_array_equal(sequence.joints[:, 0], joints)
    assert audit["bridged"] == 0


def test_frames_of_nan_show_nobody(tmp_path):
    joints = np.stack([person(KINECT_V2), person(KINECT_V2) + 1])
    joints[1, 5:10] = np.nan
    bodies, _ = read_bodies(written(joints, tmp_path), KINECT_V2)
    assert bodies.frames == 40
    np.testing.assert_array_equal(bodies.frame[bodies.body == 1], [*range(5), *range(10, 40)])
    with pytest.raises(BadRecording, match="expected a body in at least one frame, got 40 frames, all without one"):
        read_bodies(written(joints * np.nan, tmp_path))


def test_json_says_nan_too(tmp_path):
    joints = person(KINECT_V1).tolist()
    joints[3][4] = [float("nan")] * 3
    (tmp_path / "a.json").write_text(json.dumps({"skeletons": joints}))
    bodies = read_recording(reader(KINECT_V1), "a", str(tmp_path / "a.json"))
    np.testing.assert_array_equal(np.argwhere((bodies.joints == 0).all(axis=2)), [[3, 4]])


@pytest.mark.parametrize("word", ["nan", "NaN", "-nan", "inf", "-Inf", "-1.#IND", "1.#QNAN", "1e999", "-1e39"])
def test_kinect_text_says_it_in_many_ways(word):
    header, joint = "7 0 0 0 0 0 0 0 0 2", "1 2 3 4 5 6 7 8 9 10 11 2"
    text = "\n".join(["1", "1", header, "25", *[joint] * 3, f"1 {word} 3 4 5 6 7 8 9 10 11 2", *[joint] * 21, ""])
    bodies = read_skeleton_text("a", "a", text.encode())
    np.testing.assert_array_equal(np.argwhere(~np.isfinite(bodies.joints).all(axis=2)), [[0, 3]])
    for wrong in ("nano", "in", "1.#", "1.IND", "#IND"):
        with pytest.raises(BadRecording, match="frame 1, body 1: expected x, y and z as decimal numbers"):
            read_skeleton_text("a", "a", text.replace(word, wrong).encode())


def test_two_bodies_are_bridged_apart():
    joints = person(KINECT_V2)
    both = np.stack([joints, joints + 2], axis=1).reshape(80, 25, 3)
    bodies = Bodies("a", 40, np.repeat(np.arange(40, dtype=np.int32), 2), np.tile([1, 2], 40), both)
    whole, _ = denoise(bodies, Prepare(), KINECT_V2)
    lacking = both.copy()
    lacking[20:24, 7] = 0
    sequence, _ = denoise(replace(bodies, joints=lacking), Prepare(), KINECT_V2)
    np.testing.assert_allclose(sequence.joints, whole.joints, atol=1e-5)
