"""View-invariant action recognition from skeletons, from raw Kinect files to a report."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danet.inference.predictor import Predictor, load, prepare
    from danet.models.danet.network import DANet

__all__ = ["DANet", "Predictor", "load", "prepare"]

# Before torch is imported. Threads that wait for one another spin a little, then sleep: without end they would cost a
# step tenfold where another process has a core, and not at all, fourfold where none has.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# Imported when asked for: torch takes seconds.
HOMES = {
    "DANet": "danet.models.danet.network",
    "Predictor": "danet.inference.predictor",
    "load": "danet.inference.predictor",
    "prepare": "danet.inference.predictor",
}


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
