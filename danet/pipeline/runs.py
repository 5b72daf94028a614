"""Says which runs the settings ask for, and in which folders they lie."""

import os
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from danet.config.settings import Config
from danet.datasets.custom import CUSTOM
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset, known_datasets
from danet.errors import UserError
from danet.preparation.manifest import raw_folders


def own_data(config: Config) -> Path:
    """The folder of own data."""
    return Path(config.data) / CUSTOM


def in_place(dataset: Dataset, data: str | Path) -> bool:
    """Whether every raw folder of a data set is there with something in it."""
    return all(os.path.isdir(folder) and any(folder.iterdir()) for folder in raw_folders(dataset, data))


def requested_runs(config: Config) -> list[tuple[str, str]]:
    """(data set, protocol) of everything to run.

    `auto` means all protocols of each real data set that is in place, or the demo's when none is.
    Errors: UserError for a name that is not known, or one asked for whose raw data are missing.
    """
    if config.runs == "auto":
        known = known_datasets(own_data(config))
        real = [name for name, dataset in known.items() if not dataset.simulated and in_place(dataset, config.data)]
        return protocols_of(real or [name for name, dataset in known.items() if dataset.simulated], config)
    return protocols_of(config.runs, config)


def protocols_of(entries: str | Iterable[str], config: Config) -> list[tuple[str, str]]:
    """(data set, protocol) of each entry: a data set's name for all of its protocols, or one as `ntu60/cross_view`.

    Errors: UserError for a name that is not known, or a data set whose raw data are missing.
    """
    runs = []
    for entry in [entries] if isinstance(entries, str) else entries:
        name, _, protocol = entry.partition("/")
        dataset = find_dataset(name, own_data(config))
        _require(dataset, config.data)
        for chosen in [protocol] if protocol else dataset.protocol_names:
            dataset.folds(chosen)
            runs.append((name, chosen))
    return list(dict.fromkeys(runs))


def seeds_of(dataset: str, method: str, config: Config) -> tuple[int, ...]:
    """The seeds of a method on a data set; of an ensemble those that all of its members have."""
    if method in config.ablation.methods:
        return config.ablation.seeds
    if method in config.ensembles:
        members = [seeds_of(dataset, member, config) for member in config.ensembles[method]]
        return tuple(seed for seed in members[0] if all(seed in other for other in members))
    return config.run(dataset, method).seeds


def run_folders(
    runs: Iterable[tuple[str, str]], methods: Iterable[str], config: Config, *, by_fold: bool = True
) -> list[str]:
    """The folders of the runs of some methods, one for each seed, and for each fold of a protocol if `by_fold`."""
    listed = []
    for (dataset, protocol), method in product(runs, list(methods)):
        folds = find_dataset(dataset, own_data(config)).folds(protocol) if by_fold else [protocol]
        seeds = seeds_of(dataset, method, config)
        listed += [f"results/{dataset}/{fold}/{method}/seed{seed}" for fold, seed in product(folds, seeds)]
    return listed


def _require(dataset: Dataset, data: str) -> None:
    if dataset.simulated or in_place(dataset, data):
        return
    folders = " and ".join(str(folder) for folder in raw_folders(dataset, data))
    raise UserError(
        f"{dataset.name}: expected raw recordings in {folders}, got none; request them at {dataset.request}"
    )
