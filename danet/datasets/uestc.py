"""UESTC RGB-D varying-view action database: 40 actions, 118 people, eight fixed views and one that moves round.

Names, views and subjects as in the authors' lists (Ji et al., ACM MM 2018). View `front` is camera 1; camera 2 stands
at d1..d7 (45 to 315 degrees) or moves through the whole circle (d8, here `varying`).
"""

import re
from collections.abc import Callable

from danet.datasets.dataset import Dataset, Protocol, Sample, split_by
from danet.datasets.lists import read_list
from danet.datasets.readers.uestc import read_uestc
from danet.skeleton.layout import KINECT_V2

NAME = re.compile(r"a(\d{1,2})_d(\d)_p(\d{1,3})_c(\d)(?:_skeleton)?")
TRAIN_SUBJECTS = frozenset(
    [1, 2, 6, 12, 13, 16, 21, 24, 28, 29, 30, 31, 33, 35, 39, 41, 42, 45, 47, 50, 52, 54, 55, 57, 59, 61, 63, 64, 67]
    + [69, 70, 71, 73, 77, 81, 84, 86, 87, 88, 90, 91, 93, 96, 99, 102, 103, 104, 107, 108, 112, 113]
)
VIEWS = ("front", "d1", "d2", "d3", "d4", "d5", "d6", "d7")
EVEN = frozenset(["front", "d2", "d4", "d6"])


def parse_uestc_name(stem: str) -> Sample | None:
    """Reads action, direction, person and camera from a name such as a0_d1_p001_c2_skeleton, p1 and p01 alike."""
    match = NAME.fullmatch(stem)
    if match is None:
        return None
    action, direction, person, camera = map(int, match.groups())
    if not (action < 40 and 1 <= direction <= 8 and 1 <= person <= 118 and 1 <= camera <= 2):
        return None
    performance = f"a{action}_d{direction}_p{person:03}"
    view = "front" if camera == 1 else "varying" if direction == 8 else f"d{direction}"
    return Sample(f"{performance}_c{camera}", action, person, view, performance, setup=direction)


def _siblings(sample: Sample) -> list[str]:
    """All recordings of one action by one person: 8 directions x 2 cameras, 1,600 times in the data set."""
    return [f"a{sample.action}_d{d}_p{sample.subject:03}_c{c}" for d in range(1, 9) for c in (1, 2)]


def _fixed(sample: Sample) -> bool:
    return sample.setup != 8  # both cameras of d8 stay out: the one moves, the other sees the same seconds


def _trained_on(views: frozenset[str]) -> Callable[[Sample], str]:
    return split_by(lambda sample: sample.view in views, among=_fixed)


def _arbitrary_view(sample: Sample) -> str:
    return "train" if _fixed(sample) else "test" if sample.view == "varying" else ""


PROTOCOLS = {
    "cross_subject": Protocol(
        "51 people train, the rest test",
        "subject",
        split_by(lambda sample: sample.subject in TRAIN_SUBJECTS, among=_fixed),
    ),
    **{
        f"cross_view_1/{view}": Protocol(
            f"view {view} trains, the other seven test", "view", _trained_on(frozenset([view]))
        )
        for view in VIEWS
    },
    "cross_view_2/even": Protocol("front, d2, d4, d6 train, the rest test", "view", _trained_on(EVEN)),
    "cross_view_2/odd": Protocol("d1, d3, d5, d7 train, the rest test", "view", _trained_on(frozenset(VIEWS) - EVEN)),
    "arbitrary_view": Protocol(
        "the eight fixed views train, the varying one tests", "view", _arbitrary_view, segments=10
    ),
}

UESTC = Dataset(
    name="uestc",
    title="UESTC RGB-D varying-view",
    layout=KINECT_V2,
    actions=read_list("uestc_actions"),
    folders=("UESTC",),
    suffixes=(".txt", ".mat"),
    parse_name=parse_uestc_name,
    read=read_uestc,
    protocols=PROTOCOLS,
    request="https://github.com/HRI-UESTC/CFM-HRI-RGB-D-action-database",
    samples=25_600,
    known_copies=3_600,  # camera 1 of d5, d6 and d7 shows that of d3, d2 and d1, for actions 10 to 39
    siblings=_siblings,
)
