"""The numbers of a table, against the same worked out by hand."""

import numpy as np
import pytest

from danet.datasets.demo import DEMO
from danet.evaluation.attention import pairs_of_views
from danet.metrics import (
    apart_from_copies,
    calibration,
    chance_level,
    interval,
    map_agreement,
    near_chance,
    top_k,
    unknown_below,
)

NAMES = [f"S001C00{camera}P00{person}R001A00{action}" for camera in (1, 2, 3) for person in (1, 2) for action in (1, 2)]


def test_top_k_counts_labels_among_the_k_highest_scores():
    scores = np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    assert top_k(scores, np.array([1, 1]), 1) == 0
    assert top_k(scores, np.array([1, 1]), 2) == 1


def test_calibration_is_the_mean_distance_of_score_and_share_right():
    scores = np.array([[0.9, 0.1], [0.91, 0.09], [0.88, 0.12], [0.4, 0.6]])
    measured = calibration(scores, np.array([0, 0, 1, 1]))
    assert [each["samples"] for each in measured["bins"]] == [1, 3]
    assert measured["bins"][1] == pytest.approx({"samples": 3, "confidence": 0.8966667, "accuracy": 2 / 3})
    assert measured["error"] == pytest.approx((0.4 + 3 * (0.8966667 - 2 / 3)) / 4)


def test_apart_from_copies_leaves_them_out():
    right = np.array([True, False, True])
    assert apart_from_copies(right, np.array([True, False, False])) == {
        "copies_of_training": 1,
        "top1_without_copies": 0.5,
    }
    assert apart_from_copies(right, np.ones(3, bool)) == {"copies_of_training": 3, "top1_without_copies": None}


def test_unknown_below_is_what_most_right_labels_reach():
    scores = np.array([[0.6, 0.4]] + [[0.8, 0.2]] * 19 + [[0.9, 0.1]])
    labels = np.array([0] * 20 + [1])
    assert 0.6 < unknown_below(scores, labels) <= 0.8
    assert unknown_below(scores, np.full(21, 1)) is None


def test_interval_is_of_the_mean_and_the_same_each_time():
    shares = np.tile([0.0, 1.0, 1.0, 1.0], 100)
    low, high = interval(shares)
    deviation = 100 * np.sqrt(0.75 * 0.25 / 400)
    assert low < 75 < high
    assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.15)
    assert interval(shares) == (low, high)


def test_map_agreement_is_one_for_equal_maps_and_little_for_other_actions(rng):
    parts = {name: "test" if "C001" in name else "train" for name in NAMES}
    pairs = pairs_of_views(DEMO, parts, {name: index + 1 for index, name in enumerate(NAMES)})
    by_performance = {DEMO.sample(name).performance: rng.random(40) for name in NAMES}
    maps = np.array([by_performance[DEMO.sample(name).performance] for name in NAMES])
    index_of = {name: index for index, name in enumerate(NAMES)}
    agreement = map_agreement(maps, index_of, pairs, DEMO)
    assert agreement["pairs"] == 8
    assert agreement["same_performance"] == pytest.approx(1)
    assert abs(agreement["other_actions"]) < 0.5
    noisy = maps + rng.random(maps.shape)
    expected = np.mean([np.corrcoef(noisy[index_of[one]], noisy[index_of[two]])[0, 1] for one, two in pairs])
    assert map_agreement(noisy, index_of, pairs, DEMO)["same_performance"] == pytest.approx(expected, abs=1e-6)
    assert map_agreement(maps, index_of, [], DEMO) is None


@pytest.mark.parametrize(
    ("counts", "chance", "bound"),
    [
        ([50, 50], 0.5, 0.5 + 0.125),  # two standard errors are 0.1
        ([3, 1], 0.75, 0.75 + 2 * (0.75 * 0.25 / 4) ** 0.5),  # beyond 1: four samples cannot tell
        ([1000] * 50, 0.02, 0.02 + 0.0098),
        ([0, 7], 1, 1),
    ],
)
def test_chance_level_is_that_of_the_commonest_label(counts, chance, bound):
    assert chance_level(np.repeat(np.arange(len(counts)), counts)) == pytest.approx((chance, bound))


def test_near_chance_is_told_where_labels_can_tell():
    labels = np.arange(100) % 2
    assert str(near_chance("test", 0.5, labels)) == (
        "near chance: 50.0 % of 100 test samples labelled rightly, 50.0 % by always saying the commonest action"
    )
    assert near_chance("test", 0.7, labels) is None
    assert near_chance("test", 0.0, labels[:4]) is None
    assert near_chance("test", 1.0, np.zeros(9)) is None
