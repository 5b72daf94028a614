"""Northwestern-UCLA Multiview Action 3D: ten actions, ten people, three Kinect v1 cameras (Wang et al., CVPR 2014).

Read from the JSON files that the field trains on: {"file_name": ..., "skeletons": T x 20 x 3, "label": 1..10}.
"""

import re

from danet.datasets.dataset import Dataset, Protocol, Sample, split_by
from danet.datasets.lists import read_list
from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.skeleton.layout import KINECT_V1

NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})")
ACTION_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)  # the numbers in the file names, in the order of the labels


def parse_nw_ucla_name(stem: str) -> Sample | None:
    """Reads action, subject, execution and view from a name such as a01_s03_e02_v01."""
    match = NAME.fullmatch(stem)
    if match is None:
        return None
    action, subject, _, view = map(int, match.groups())
    if action not in ACTION_NUMBERS or not 1 <= view <= 3 or not 1 <= subject <= 10:
        return None
    return Sample(stem, ACTION_NUMBERS.index(action), subject, str(view), stem.rpartition("_")[0])


NW_UCLA = Dataset(
    name="nw_ucla",
    title="Northwestern-UCLA",
    layout=KINECT_V1,
    actions=read_list("nw_ucla_actions"),
    folders=("nwucla/all_sqe",),
    suffixes=(".json",),
    parse_name=parse_nw_ucla_name,
    read=read_nw_ucla,
    protocols={"cross_view": Protocol("views 1 and 2 train, view 3 tests", "view", split_by(lambda s: s.view != "3"))},
    request="https://wangjiangb.github.io/my_data.html",
    samples=1_484,
    known_copies=95,  # view 3 of actions 2 and 3 shows that of view 2, in the files that the field trains on
    keeps_copies=True,
    synchronous=False,
)
