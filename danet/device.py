"""The machine that the network runs on: CUDA when there is one, else the CPU with its memory and threads well used."""

import ctypes
import os
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h
LARGEST_INT = (1 << 31) - 1


_claims: list[tuple[int, int]] = []  # the GPU that this process has claimed, and the open lock that says so


def pick_device(threads: int | None = None, index: int | None = None) -> torch.device:
    """The device, with that many CPU threads; of several GPUs the one of that index, or else one that is free.

    Where there are fewer GPUs, the index counts on from the first.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    if not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    return torch.device("cuda", claim(count, Path(tempfile.gettempdir())) if index is None else index % count)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on the device; to a GPU it is copied out of pinned memory, while the processor works on."""
    return pinned(array).to(device, non_blocking=True) if device.type == "cuda" else torch.from_numpy(array)


def pinned(array: np.ndarray) -> Tensor:
    """A copy in memory that a GPU reads by itself, while the processor works on."""
    return torch.from_numpy(array).pin_memory()


def claim(gpus: int, folder: Path) -> int:
    """The first of so many GPUs that no other process of this user has claimed, or 0 when each is claimed.

    So runs that start at one time take a GPU each. A claim, a locked file in `folder`, ends with its process. Anybody
    may write to `folder`: a file there that is not this user's own is left alone, and its GPU counts as claimed.
    """
    if _claims:
        return _claims[0][0]
    if sys.platform == "win32":
        return 0
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link is followed, none emptied
    for index in range(gpus):
        try:
            lock = os.open(folder / f"danet-{os.getuid()}-gpu{index}.lock", flags, 0o600)
        except OSError:
            continue
        try:
            status = os.fstat(lock)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
                raise PermissionError
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _claims.append((index, lock))
        return index
    return 0


@cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones, by instructions made for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags.read_text().split())


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed: else each step gives its memory to the kernel and faults it in again."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)
        mallopt(M_TOP_PAD, 1 << 26)
