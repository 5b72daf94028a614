"""The machine that the network runs on: CUDA when there is one, else the CPU with its memory and threads well used."""

import ctypes
import sys
from functools import cache
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h
LARGEST_INT = (1 << 31) - 1


def pick_device(threads: int | None = None, index: int = 0) -> torch.device:
    """The device, with that many CPU threads; of several GPUs the one of that index."""
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    return torch.device("cuda", index) if torch.cuda.is_available() else torch.device("cpu")


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
