"""Work spread over processes: the same results in the same order, however large, and a clear end when one dies."""

import os
import signal

import numpy as np
import pytest

from danet.errors import BadRecording, UserError
from danet.preparation import parallel as pool
from danet.preparation.parallel import ordered_map


def arrays(item):
    """Arrays that are sent in every way: small, large, empty, not contiguous, of a structured type."""
    rng = np.random.default_rng(item)
    large = rng.normal(size=(item % 7 * 100, 25, 3)).astype(np.float32)
    pairs = np.array([(item, item / 2)] * 600, [("a", "i4"), ("b", "f8")])
    return item, large, large[::2], np.arange(item % 3), pairs


def same(one, other):
    return one[0] == other[0] and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one[1:], other[1:], strict=True)
    )


@pytest.mark.parametrize("count", [0, 1, 31, 500])
def test_ordered_map_equals_map(count):
    found = list(ordered_map(arrays, range(count), 2))
    assert len(found) == count
    assert all(same(one, arrays(item)) for item, one in enumerate(found))


def test_ordered_map_takes_what_does_not_fit_the_shared_memory(monkeypatch):
    monkeypatch.setattr(pool, "SLOT", 1 << 16)
    assert all(same(one, arrays(item)) for item, one in enumerate(ordered_map(arrays, range(100), 2)))


def test_ordered_map_keeps_results():
    kept = list(ordered_map(arrays, range(20 * pool.CHUNK), 2))
    assert same(kept[0], arrays(0))


def test_ordered_map_runs_two_at_a_time():
    both = zip(ordered_map(arrays, range(300), 2), ordered_map(arrays, range(300, 600), 2), strict=True)
    for item, (one, other) in enumerate(both):
        assert same(one, arrays(item))
        assert same(other, arrays(item + 300))
    assert not pool._memories


def refuse(item):
    raise BadRecording(f"file {item}", "nothing", "something")


def test_ordered_map_raises_errors_of_the_function():
    with pytest.raises(BadRecording, match="file 0"):
        list(ordered_map(refuse, range(100), 2))


def end_itself(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_ordered_map_raises_user_error_when_a_process_is_killed():
    with pytest.raises(UserError, match="ended from outside"):
        list(ordered_map(end_itself, range(100), 2))
    assert not pool._memories
