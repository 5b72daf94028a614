"""Corrupted recordings: by how much, where, and the same each time."""

import numpy as np
import pytest

from danet.evaluation.corruptions import (
    CORRUPTIONS,
    cut_short,
    jitter,
    lose_frames,
    lose_joints,
    slow_down,
    swap_people,
)
from danet.skeleton.layout import KINECT_V2
from danet.skeleton.recording import seen_in


@pytest.fixture
def joints(rng):
    """Forty frames of two people; the second one is not seen in the first ten."""
    made = rng.normal(0, 1, (40, 2, 25, 3)).astype(np.float32)
    made[:10, 1] = 0
    return made


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: f"{corruption.what} {corruption.level}")
def test_corruption_is_repeatable_changes_something_and_invents_nobody(joints, corruption):
    before = joints.copy()
    one, two = (corruption(joints, KINECT_V2, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(joints, before)
    assert one.dtype == np.float32
    assert one.shape != joints.shape or (one != joints).any()
    assert seen_in(one).sum() <= seen_in(joints).sum()


def test_lose_joints_puts_a_joint_where_its_parent_lies(joints, rng):
    found = lose_joints(joints, 100, KINECT_V2, rng)
    np.testing.assert_array_equal(found, joints[:, :, [0] * 25])
    some = lose_joints(joints, 50, KINECT_V2, np.random.default_rng(1))
    moved = [joint for joint in range(25) if (some[:, :, joint] != joints[:, :, joint]).any()]
    assert 5 < len(moved) < 20
    for joint in moved:
        assert any((some[:, :, joint] == joints[:, :, other]).all() for other in range(25))


def test_jitter_has_the_deviation_it_says_and_spares_who_is_not_seen(joints, rng):
    found = jitter(joints, 2, KINECT_V2, rng)
    assert (found[:10, 1] == 0).all()
    assert (found - joints)[10:].std() == pytest.approx(0.02, rel=0.05)


def test_lose_frames_never_loses_all(joints, rng):
    found = lose_frames(joints, 75, KINECT_V2, rng)
    kept = seen_in(found).any(axis=1)
    assert 3 < kept.sum() < 20
    np.testing.assert_array_equal(found[kept], joints[kept])
    assert seen_in(lose_frames(joints, 100, KINECT_V2, rng)).any(axis=1).sum() == 1


def test_slow_down_starts_where_somebody_is_seen(joints, rng):
    joints[:3] = 0
    np.testing.assert_array_equal(slow_down(joints, 4, KINECT_V2, rng), joints[3::4])
    assert len(slow_down(joints[:2], 8, KINECT_V2, rng)) == 1


def test_cut_short_keeps_a_stretch_that_shows_somebody(joints):
    joints[:4] = joints[36:] = 0
    starts = set()
    for seed in range(50):
        found = cut_short(joints, 75, KINECT_V2, np.random.default_rng(seed))
        start = next(start for start in range(40) if (joints[start : start + 8] == found).all())
        starts.add(start)
        assert len(found) == 8
        assert seen_in(found).any(axis=1).all()
    assert {4, 28} <= starts
    assert len(cut_short(joints, 100, KINECT_V2, np.random.default_rng(0))) == 1
    assert len(cut_short(joints[:4], 75, KINECT_V2, np.random.default_rng(0))) == 4, "nobody is seen"


def test_swap_people_swaps_them_halfway(joints, rng):
    found = swap_people(joints, 50, KINECT_V2, rng)
    np.testing.assert_array_equal(found[:20], joints[:20])
    np.testing.assert_array_equal(found[20:, 0], joints[20:, 1])
