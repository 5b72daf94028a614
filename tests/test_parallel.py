"""Work spread over processes: the same results in the same order, few waiting, and a clear end when one dies."""

import errno
import os
import signal
from itertools import islice

import numpy as np
import pytest

from danet.errors import BadRecording, UserError
from danet.preparation import parallel
from danet.preparation.parallel import AHEAD, CHUNK, ordered_map


def arrays(item):
    """Arrays of several kinds: small, large, empty, not contiguous, of a structured type."""
    rng = np.random.default_rng(item)
    large = rng.normal(size=(item % 7 * 100, 25, 3)).astype(np.float32)
    pairs = np.array([(item, item / 2)] * 600, [("a", "i4"), ("b", "f8")])
    return item, large, large[::2], np.arange(item % 3), pairs


def same(first, second):
    return first[0] == second[0] and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(first[1:], second[1:], strict=True)
    )


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, 20 * CHUNK])
def test_ordered_map_equals_map(count):
    results = list(ordered_map(arrays, range(count), 2))
    assert len(results) == count
    assert all(same(result, arrays(item)) for item, result in enumerate(results))


def test_ordered_map_runs_two_at_a_time():
    both = zip(ordered_map(arrays, range(300), 2), ordered_map(arrays, range(300, 600), 2), strict=True)
    for item, (first, second) in enumerate(both):
        assert same(first, arrays(item))
        assert same(second, arrays(item + 300))


def test_ordered_map_takes_few_items_ahead():
    items = iter(range(100 * CHUNK))
    results = ordered_map(abs, items, 2)
    assert list(islice(results, 3 * CHUNK)) == list(range(3 * CHUNK))
    assert next(items) <= (3 + AHEAD * 2) * CHUNK
    results.close()


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


def test_ordered_map_says_what_processes_need(monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", fails)
    with pytest.raises(UserError, match="expected shared memory for 2 processes, as in /dev/shm, got: No such file"):
        list(ordered_map(arrays, range(2), 2))
    assert len(list(ordered_map(arrays, range(2), 1))) == 2
