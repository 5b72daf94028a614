"""NTU RGB+D 60 and 120: names, protocols and the samples without a usable skeleton.

Facts from the authors' file lists (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020). NTU-120 holds all of NTU-60.
"""

import re

from danet.datasets.dataset import Dataset, Protocol, Sample, split_by
from danet.datasets.lists import read_list
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.skeleton.layout import KINECT_V2

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
ACTIONS = read_list("ntu_actions")
MISSING = frozenset(read_list("ntu_missing_skeletons"))
TWO_PERSON = frozenset([*range(49, 60), *range(105, 120)])  # A050 to A060 and A106 to A120, counted from 0
TRAIN_SUBJECTS_60 = frozenset([1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38])
TRAIN_SUBJECTS_120 = TRAIN_SUBJECTS_60 | frozenset(
    [45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98, 100, 103]
)
REQUEST = "https://rose1.ntu.edu.sg/dataset/actionRecognition/"


def parse_ntu_name(stem: str, *, setups: int, performers: int, actions: int) -> Sample | None:
    """Reads setup, camera, performer, replication and action from a name such as S001C002P003R002A013."""
    match = NAME.fullmatch(stem)
    if match is None:
        return None
    setup, camera, performer, replication, action = map(int, match.groups())
    within = ((setup, setups), (camera, 3), (performer, performers), (replication, 2), (action, actions))
    if not all(1 <= value <= most for value, most in within):
        return None
    performance = f"S{setup:03}P{performer:03}R{replication:03}A{action:03}"
    return Sample(stem, action - 1, performer, str(camera), performance, setup)


NTU60 = Dataset(
    name="ntu60",
    title="NTU RGB+D 60",
    layout=KINECT_V2,
    actions=ACTIONS[:60],
    folders=("nturgbd_raw/nturgb+d_skeletons",),
    suffixes=(".skeleton",),
    parse_name=lambda stem: parse_ntu_name(stem, setups=17, performers=40, actions=60),
    read=read_skeleton_text,
    protocols={
        "cross_subject": Protocol(
            "20 performers train, 20 test", "subject", split_by(lambda s: s.subject in TRAIN_SUBJECTS_60)
        ),
        "cross_view": Protocol("cameras 2 and 3 train, camera 1 tests", "view", split_by(lambda s: s.view != "1")),
    },
    request=REQUEST,
    samples=56_880,
    left_out=MISSING,
    two_person=TWO_PERSON,
)

NTU120 = Dataset(
    name="ntu120",
    title="NTU RGB+D 120",
    layout=KINECT_V2,
    actions=ACTIONS,
    folders=("nturgbd_raw/nturgb+d_skeletons", "nturgbd_raw/nturgb+d_skeletons120"),
    suffixes=(".skeleton",),
    parse_name=lambda stem: parse_ntu_name(stem, setups=32, performers=106, actions=120),
    read=read_skeleton_text,
    protocols={
        "cross_subject": Protocol(
            "53 performers train, 53 test", "subject", split_by(lambda s: s.subject in TRAIN_SUBJECTS_120)
        ),
        "cross_setup": Protocol("even setups train, odd ones test", "setup", split_by(lambda s: s.setup % 2 == 0)),
    },
    request=REQUEST,
    samples=114_480,
    left_out=MISSING,
    two_person=TWO_PERSON,
)
