"""UTD Multimodal Human Action Dataset: 27 actions, 8 people, four times each (Chen et al., ICIP 2015).

Read from the skeletons of its one Kinect v1, `a<action>_s<subject>_t<trial>_skeleton.mat`.
"""

import re

from danet.datasets.dataset import Dataset, Protocol, Sample, split_by
from danet.datasets.lists import read_list
from danet.datasets.readers.utd_mhad import read_utd_mhad
from danet.skeleton.layout import KINECT_V1

NAME = re.compile(r"a([1-9]\d?)_s([1-8])_t([1-4])(?:_skeleton)?")
ACTIONS = read_list("utd_mhad_actions")
NEVER_THERE = frozenset(["a8_s1_t4", "a23_s6_t4", "a27_s8_t4"])  # 861 of the 864 were published


def parse_utd_mhad_name(stem: str) -> Sample | None:
    """Reads action, subject and trial from a name such as a1_s1_t1_skeleton. All were seen by the same camera."""
    match = NAME.fullmatch(stem)
    name = stem.removesuffix("_skeleton")
    if match is None or int(match[1]) > len(ACTIONS) or name in NEVER_THERE:
        return None
    return Sample(name, int(match[1]) - 1, int(match[2]), "1", name)


def _siblings(sample: Sample) -> set[str]:
    """All trials of one action by one person."""
    return {f"a{sample.action + 1}_s{sample.subject}_t{trial}" for trial in range(1, 5)} - NEVER_THERE


UTD_MHAD = Dataset(
    name="utd_mhad",
    title="UTD-MHAD",
    layout=KINECT_V1,
    actions=ACTIONS,
    folders=("utd_mhad",),
    suffixes=(".mat",),
    parse_name=parse_utd_mhad_name,
    read=read_utd_mhad,
    protocols={
        "cross_subject": Protocol(
            "subjects 1, 3, 5, 7 train, 2, 4, 6, 8 test", "subject", split_by(lambda s: s.subject % 2 == 1)
        )
    },
    request="https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
    samples=861,
    siblings=_siblings,
)
