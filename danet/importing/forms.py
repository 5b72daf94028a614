"""Lists the forms that own data are made of."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from danet.importing import azure_kinect, coco, csv_rows, mediapipe, openpose, padded_rows, pyskl
from danet.importing.found import Found, Options
from danet.importing.own_data import Labels, write_own_data


class Form(NamedTuple):
    """A form: what finds its recordings, and the layouts by their number of joints."""

    find: Callable[[Path, Options], Iterable[Found]]
    layouts: dict[int, str]


FORMS = {
    "mediapipe": Form(mediapipe.find, {33: "mediapipe_33"}),
    "openpose": Form(openpose.find, {25: "openpose_25", 18: "openpose_18"}),
    "azure-kinect": Form(azure_kinect.find, {32: "azure_kinect_32"}),
    "coco": Form(coco.find, {17: "coco_17"}),
    "csv": Form(csv_rows.find, {}),
    "pyskl": Form(pyskl.find, {17: "coco_17", 18: "openpose_18", 20: "kinect_v1_20", 25: "kinect_v2_25"}),
    "ctr-gcn": Form(padded_rows.find, {20: "kinect_v1_20", 25: "kinect_v2_25"}),
}


def import_form(
    form: str, source: Path, out: Path, options: Options | None = None, labels: Labels | None = None
) -> dict[str, Any]:
    """Makes the folder of own data `out` of what lies in `source`; returns what it holds. Errors: UserError."""
    chosen, options = FORMS[form], options or Options()
    return write_own_data(chosen.find(source, options), out, chosen.layouts, options, labels or Labels())
