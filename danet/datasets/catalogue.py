"""Every data set, by name."""

from danet.datasets.dataset import Dataset
from danet.datasets.demo import DEMO
from danet.datasets.ntu import NTU60, NTU120
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.errors import UserError

DATASETS = {dataset.name: dataset for dataset in (NTU60, NTU120, UESTC, NW_UCLA, DEMO)}

FOLDS = sorted({name for dataset in DATASETS.values() for name in dataset.protocols})
FOLDED = sorted({name.split("/")[0] for name in FOLDS if "/" in name})  # protocols that are a mean over folds


def find_dataset(name: str) -> Dataset:
    """The data set of that name. Errors: UserError that lists the names there are."""
    if name not in DATASETS:
        raise UserError(f"wanted one of the data sets {', '.join(DATASETS)}, found '{name}'")
    return DATASETS[name]
