"""A function over many items on several processes: results in order, few of them waiting, however many items."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32  # items that cross to a process at a time
# Forking this process would copy the locks of its threads as they are; a server that forks before it has any does not.
START = "forkserver" if sys.platform == "linux" else "spawn"


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """`map` on `jobs` processes; with more than one, function, items and results must be picklable."""
    if jobs <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context(START)
    remaining = iter(items)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        try:
            while chunk := list(islice(remaining, CHUNK)):
                waiting.append(pool.submit(_each, function, chunk))
                if len(waiting) > 4 * jobs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this process when its parent is gone: one that was killed cannot end it."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _each(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]
