"""View-invariant action recognition from skeletons, from raw Kinect files to a report."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danet.model.danet import DANet
    from danet.predict import Predictor, load, prepare

__all__ = ["DANet", "Predictor", "load", "prepare"]

# Before torch is imported. Threads that wait for one another spin a little, then sleep: without end they would cost a
# step tenfold where another process has a core, and not at all, fourfold where none has.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# Imported when asked for: torch takes seconds.
HOMES = {
    "DANet": "danet.model.danet",
    "Predictor": "danet.predict",
    "load": "danet.predict",
}


def __getattr__(name: str) -> object:
    if name == "prepare":
        return import_module("danet.prepare")  # the package, which can be called
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
