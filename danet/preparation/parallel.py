"""Runs a function over many items on several processes: results in order, few of them waiting, however many items."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from danet.errors import UserError
from danet.io.files import reason_of

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32  # items that cross to a process at a time
AHEAD = 4  # chunks per process that are under way or waiting
START = "fork" if sys.platform == "linux" else "spawn"  # a fork starts at once; elsewhere it is not safe


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """`map` on `jobs` processes; with more than one, function, items and results must be picklable.

    Errors: those of `function`; UserError when a process ends before its work does.
    """
    if jobs <= 1:
        yield from map(function, items)
        return
    remaining = iter(items)
    waiting: deque[Future[list[Result]]] = deque()
    context = multiprocessing.get_context(START)
    try:
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent)
    except OSError as error:
        expected = f"expected shared memory for {jobs} processes, as in /dev/shm"
        raise UserError(f"{expected}, got: {reason_of(error)}; one process needs none") from error
    try:
        while True:
            while len(waiting) < AHEAD * jobs and (chunk := list(islice(remaining, CHUNK))):
                waiting.append(pool.submit(_apply, function, chunk))
            if not waiting:
                break
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise UserError("a process that read recordings was ended from outside; is there enough memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def _end_with_parent() -> None:
    """In a process: lets it end when its parent is gone. A parent that was killed cannot end it."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
