"""View-invariant action recognition from skeletons, from raw Kinect files to a report."""

import os

# Before torch is imported. Threads that wait for one another spin a little, then sleep: without end they would cost a
# step tenfold where another process has a core, and not at all, fourfold where none has.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
