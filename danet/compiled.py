"""Compiles the loops over numbers, once for all processes where a folder for that can be written to."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """The function as machine code, kept beside the code or in the user's folder for caches.

    Where neither can be written to, as with a read-only installation and no home, every process compiles anew.
    """
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return njit(nogil=True, **options)(function)
