"""Finds data sets by name."""

import os
from pathlib import Path

from danet.datasets.custom import CUSTOM, DEFAULT_FOLDER, PROTOCOLS, TABLE, own_data
from danet.datasets.dataset import Dataset
from danet.datasets.demo import DEMO
from danet.datasets.ntu import NTU60, NTU120
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.datasets.utd_mhad import UTD_MHAD
from danet.errors import UserError, shown
from danet.skeleton.layout import layout_named

DATASETS = {dataset.name: dataset for dataset in (NTU60, NTU120, UESTC, NW_UCLA, UTD_MHAD, DEMO)}
NAMES = (*DATASETS, CUSTOM)

FOLDS = sorted({*PROTOCOLS, *(name for dataset in DATASETS.values() for name in dataset.protocols)})
FOLDED = sorted({name.split("/")[0] for name in FOLDS if "/" in name})  # protocols that are a mean over folds


def find_dataset(name: str, folder: str | Path | None = None, layout: str = "") -> Dataset:
    """The data set of that name; `folder` holds the table of own data, and is ignored for the others.

    `layout`, a name or the path of a YAML file, is that of own data; the others have their own, which it may repeat.

    Errors: UserError that lists the names there are, or what is wrong with own data.
    """
    if name == CUSTOM:
        return own_data(folder, layout)
    if name not in DATASETS:
        raise UserError(f"expected one of the data sets {', '.join(NAMES)}, got '{name}'")
    dataset = DATASETS[name]
    if layout and layout_named(layout).joints != dataset.layout.joints:
        raise UserError(f"{name}: expected the joints of {dataset.layout.name}, got the layout {shown(layout)}")
    return dataset


def known_datasets(folder: str | Path | None = None) -> dict[str, Dataset]:
    """All data sets by name, own data among them where `folder` holds their table. Errors: UserError for own data."""
    folder = Path(folder or DEFAULT_FOLDER)
    return DATASETS | ({CUSTOM: own_data(folder)} if os.path.isfile(folder / TABLE) else {})
