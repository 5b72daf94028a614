"""Settings and the data folder in, the runs to make out."""

from collections.abc import Iterable
from pathlib import Path

from danet.config.settings import Config
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset, known_datasets
from danet.errors import UserError
from danet.preparation.manifest import raw_folders


def in_place(dataset: Dataset, data: str | Path) -> bool:
    """Whether every raw folder of a data set is there with something in it."""
    return all(folder.is_dir() and any(folder.iterdir()) for folder in raw_folders(dataset, data))


def planned(config: Config) -> list[tuple[str, str]]:
    """(data set, protocol) of everything to run.

    `auto` means all protocols of each real data set that is in place, or the demo's when none is.
    Errors: UserError for a name that is not known, or one asked for whose raw data are missing.
    """
    if config.runs == "auto":
        known = known_datasets()
        real = [name for name, dataset in known.items() if not dataset.simulated and in_place(dataset, config.data)]
        return protocols_of(real or [name for name, dataset in known.items() if dataset.simulated], config.data)
    return protocols_of(config.runs, config.data)


def protocols_of(entries: str | Iterable[str], data: str) -> list[tuple[str, str]]:
    """(data set, protocol) of each entry: a data set's name for all of its protocols, or one as `ntu60/cross_view`."""
    runs = []
    for entry in [entries] if isinstance(entries, str) else entries:
        name, _, protocol = entry.partition("/")
        dataset = find_dataset(name)
        _require(dataset, data)
        for chosen in [protocol] if protocol else dataset.protocol_names:
            dataset.folds(chosen)
            runs.append((name, chosen))
    return list(dict.fromkeys(runs))


def _require(dataset: Dataset, data: str) -> None:
    if dataset.simulated or in_place(dataset, data):
        return
    folders = " and ".join(str(folder) for folder in raw_folders(dataset, data))
    raise UserError(
        f"{dataset.name}: wanted raw recordings in {folders}, found none; request them at {dataset.request}"
    )
