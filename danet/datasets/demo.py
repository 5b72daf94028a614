"""The demo: recordings that this project simulates itself, in NTU's file grammar and under NTU's kind of names."""

from danet.datasets.dataset import Dataset, Protocol, split_by
from danet.datasets.ntu import parse_ntu_name
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.simulate.actions import ACTIONS, TWO_PERSON
from danet.skeleton.layout import KINECT_V2

DEMO = Dataset(
    name="demo",
    title="Simulated demo",
    layout=KINECT_V2,
    actions=ACTIONS,
    folders=(),  # the workflow writes it below results/
    suffixes=(".skeleton",),
    parse_name=lambda stem: parse_ntu_name(stem, setups=999, performers=999, actions=len(ACTIONS)),
    read=read_skeleton_text,
    protocols={
        "cross_subject": Protocol(
            "odd performers train, even ones test", "subject", split_by(lambda s: s.subject % 2 == 1)
        ),
        "cross_view": Protocol("cameras 2 and 3 train, camera 1 tests", "view", split_by(lambda s: s.view != "1")),
    },
    request="nobody: `make demo` simulates it",
    two_person=TWO_PERSON,
    simulated=True,
)
