"""A function over many items on several processes: results in order, few of them waiting, however many items.

Arrays cross from process to process through memory that both see, not through a pipe.
"""

import mmap
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count, islice
from multiprocessing.reduction import ForkingPickler
from typing import TypeVar

import numpy as np

from danet.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32  # items that cross to a process at a time
AHEAD = 4  # chunks per process that are under way or waiting
SLOT = 1 << 25  # bytes of shared memory for the arrays of one chunk; none is taken before it is written
LARGE = 1 << 12  # bytes from which on an array goes through shared memory
# A fork starts at once and shares memory. Where it is not safe, processes are spawned, and arrays take the pipe.
START = "fork" if sys.platform == "linux" else "spawn"

_numbers = count()
_memories: dict[int, mmap.mmap] = {}  # the shared memory of each map under way, seen by its processes as well
_free: tuple[int, int, int] | None = None  # in a process: the map, and what is left of the current chunk's slot


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """`map` on `jobs` processes; with more than one, function, items and results must be picklable.

    Errors: those of `function`; UserError when a process ends before its work does.
    """
    if jobs <= 1:
        yield from map(function, items)
        return
    own, slots = next(_numbers), AHEAD * jobs
    if START == "fork":
        _memories[own] = mmap.mmap(-1, slots * SLOT)
    remaining = iter(items)
    waiting: deque[Future[list[Result]]] = deque()
    context = multiprocessing.get_context(START)
    try:
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
            try:
                for number in count():
                    if chunk := list(islice(remaining, CHUNK)):
                        waiting.append(pool.submit(_each, function, chunk, own, number % slots * SLOT))
                    if not waiting:
                        break
                    if not chunk or len(waiting) == slots:  # the oldest result frees the slot that comes next
                        yield from waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        raise UserError("a process that read recordings was ended from outside; is there enough memory?") from None
    finally:
        _memories.pop(own, None)


def _begin() -> None:
    """Sets up a process. It ends when its parent is gone: one that was killed cannot end it."""
    ForkingPickler.register(np.ndarray, _sent)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _each(function: Callable[[Item], Result], items: list[Item], own: int, start: int) -> list[Result]:
    """In a process: the results of a chunk whose slot begins at `start`."""
    global _free
    _free = (own, start, start + SLOT) if own in _memories else None
    return [function(item) for item in items]


def _sent(array: np.ndarray) -> str | tuple:
    """In a process: how an array is sent, by its place in the slot where it fits."""
    global _free
    if _free is None or array.nbytes < LARGE or array.dtype.hasobject or _free[1] + array.nbytes > _free[2]:
        return array.__reduce__()
    own, at, end = _free
    place = (own, at, array.dtype, array.shape)
    _placed(*place)[...] = array
    _free = own, at + array.nbytes, end
    return _received, place


def _placed(own: int, at: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.ndarray(shape, dtype, _memories[own], at)


def _received(*place) -> np.ndarray:
    """In the parent: an array that was sent, out of the slot."""
    return _placed(*place).copy()
