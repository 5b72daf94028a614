"""Judges what reads damaged files, in a process of its own: `fuzz_judge.py DOOR NUMBER SEED FOLDER` prints JSON.

A file is read, or refused by one short line; soon, in little memory, and without a look at any other file. The process
ends with the first file that is not, and leaves it in the folder.
"""

import ctypes
import faulthandler
import json
import logging
import os
import re
import resource
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
from fuzz_doors import DOORS, MEGABYTE, ROOT, Door
from fuzz_mutators import mutants

from danet.errors import UserError

SECONDS = 60  # for one file, far beyond what it should take, since the machine may be busy
LONGEST = 500  # characters of a message
MEMORY_PER_BYTE = 40  # of the file, on top of what its door allows
PROCESS_MEMORY = 100 * MEGABYTE  # by which the process may grow, all files together
ADDRESS_SPACE = 1 << 30  # that it is given on top of what it has, so that the machine stays whole
IN_VAIN = ("fits into memory", "MemoryError", "Unable to allocate", "bad_alloc", "Failed to allocate")  # was asked for
OPENED, READ = 0x20, 0x01  # inotify's events
WATCHED = {"open": 0, "os.listdir": 0, "os.scandir": 0, "socket.connect": 1, "subprocess.Popen": 0, "os.system": 0}


class Watch:
    """Sees what is opened: by Python, wherever it lies; by compiled code, in the folder `outside`."""

    def __init__(self, allowed: list[Path], outside: Path):
        installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        allowed += [ROOT / "danet", *map(Path, installed)]
        self.allowed = tuple(os.path.realpath(path) for path in allowed)
        self.strays: list[str] = []
        self.watching = False
        outside.mkdir()
        (outside / "bait").write_bytes(b"not to be read")
        self.events = None
        if sys.platform == "linux":
            system = ctypes.CDLL(None)
            self.events = system.inotify_init1(os.O_NONBLOCK)
            system.inotify_add_watch(self.events, os.fsencode(outside), OPENED | READ)
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple) -> None:
        if not self.watching or event not in WATCHED:
            return
        what = arguments[WATCHED[event]]
        if isinstance(what, (str, bytes, os.PathLike)):
            where = os.path.realpath(os.fsdecode(what))
            if any(where == path or where.startswith(path + os.sep) for path in self.allowed):
                return
        elif event == "open":
            return  # a file descriptor: of what was opened before
        self.strays.append(f"{event} {what!r:.200}")

    def __enter__(self) -> "Watch":
        self._bait_taken()
        self.strays.clear()
        self.watching = True
        return self

    def __exit__(self, *_) -> None:
        self.watching = False
        if self._bait_taken():
            self.strays.append("the bait in the folder outside")

    def _bait_taken(self) -> bool:
        """Whether it was since the last question."""
        try:
            return self.events is not None and bool(os.read(self.events, 1 << 16))
        except BlockingIOError:
            return False


def peak_memory() -> int:
    """The most bytes that this process has held; on Linux, since the last `forget_peak`."""
    if sys.platform == "linux":
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def measured(door: Door, path: Path, watch: Watch) -> tuple[str | None, float, int]:
    """The message that refuses a file, if any; the CPU seconds and the bytes that reading it took."""
    forget_peak()
    before, begun = peak_memory(), time.process_time()
    faulthandler.dump_traceback_later(SECONDS, exit=True)  # compiled code cannot be interrupted in a softer way
    message = None
    try:
        with watch:
            door.read(path)
    except UserError as problem:
        message = str(problem)
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - begun
    return message, seconds, peak_memory() - before


def judge(door: Door, number: int, seed: int, folder: Path) -> dict:
    """Reads so many damaged files, and says how many were read and refused, and the worst of them.

    Errors: AssertionError, and whatever a reader raises.
    """
    rng = np.random.default_rng(seed)
    path = folder / "inside" / door.name
    path.parent.mkdir()
    seeds = door.seeds(path.parent, rng)
    os.chdir(folder)
    watch = Watch([path.parent if door.folder else path], folder / "outside")
    for content in seeds:  # so that what is imported or compiled once is there
        path.write_bytes(content)
        measured(door, path, watch)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ADDRESS_SPACE,) * 2)
    told = {"files": 0, "read": 0, "refused": 0, "seconds": 0.0, "slowest": 0.0, "memory": 0, "longest": 0}
    grown_from, begun = peak_memory(), time.process_time()
    for content in mutants(seeds, number, rng, door.mutators):
        path.write_bytes(content)
        limit = door.memory + MEMORY_PER_BYTE * len(content)
        message, seconds, taken = measured(door, path, watch)
        if taken > limit:  # a path that is taken for the first time is imported or compiled: once more
            message, seconds, taken = measured(door, path, watch)
        assert taken <= limit, f"{taken:,} bytes of memory"
        assert peak_memory() - grown_from < PROCESS_MEMORY + door.memory, "memory that grows with the number of files"
        assert not watch.strays, f"looked at {watch.strays}"
        if message is not None:
            assert message.isprintable(), message
            assert len(message) <= LONGEST, message
            assert not any(word in message for word in IN_VAIN), message
        told["read" if message is None else "refused"] += 1
        told |= {"files": told["files"] + 1, "longest": max(told["longest"], len(message or ""))}
        told |= {"slowest": max(told["slowest"], seconds), "memory": max(told["memory"], taken)}
    return told | {"seconds": time.process_time() - begun}


if __name__ == "__main__":
    faulthandler.enable()
    name, number, seed, folder = sys.argv[1:]
    logging.disable()
    print(json.dumps(judge(DOORS[name], int(number), int(seed), Path(folder))))
