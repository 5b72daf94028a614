"""Says which runs the settings ask for, and in which folders they lie."""

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path

from danet.config.settings import Changes, Config
from danet.datasets.custom import CUSTOM, TABLE
from danet.datasets.dataset import Dataset
from danet.datasets.registry import find_dataset, known_datasets
from danet.errors import UserError
from danet.preparation.manifest import names_in, no_recordings, raw_folders


def own_data(config: Config) -> Path:
    """The folder of own data."""
    return Path(config.data) / CUSTOM


def holds_anything(folder: Path) -> bool:
    """Whether there is anything at a raw folder's place, usable or not; hidden files do not count."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)  # a file, or a link to nothing
    try:
        return any(not name.startswith(".") for name in os.listdir(folder))
    except OSError:
        return True  # it cannot be read


def requested_runs(config: Config, tell: Callable[[str], object] = lambda _: None) -> list[tuple[str, str]]:
    """(data set, protocol) of everything to run.

    `auto` means all protocols of each real data set that is in place, or the demo's where nothing lies in any of their
    folders. What lies there and cannot be used is told, and is an error where nothing can be. Recordings that belong to
    a data set in place too, as NTU-60's to NTU-120, do not make another one run.
    Errors: UserError for a name that is not known, or one asked for whose raw data are missing.
    """
    if config.runs != "auto":
        return protocols_of(config.runs, config)
    known = known_datasets(own_data(config))
    found: list[Dataset] = []
    problems: list[UserError] = []
    for dataset in known.values():
        if dataset.simulated or not any(holds_anything(Path(config.data) / folder) for folder in dataset.folders):
            continue
        folders = raw_folders(dataset, config.data)
        if not _has_recordings(dataset, folders):
            problems.append(no_recordings(dataset, folders))
        elif dataset.files or any(
            not any(other.parse_name(name) for other in found) for name in names_in(dataset, folders)
        ):
            found.append(dataset)
    if CUSTOM not in known and holds_anything(own_data(config)):
        problems.append(UserError(f"{own_data(config)}: expected {TABLE} beside the recordings, got none"))
    if problems and not found:
        raise problems[0]
    for problem in problems:
        tell(str(problem))
    chosen = found or [dataset for dataset in known.values() if dataset.simulated]
    return protocols_of([dataset.name for dataset in chosen], config)


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
        members = [seeds_of(dataset, member, config) for member in config.ensembles[method].members]
        return tuple(seed for seed in members[0] if all(seed in other for other in members))
    return config.run(dataset, method).seeds


def check_ensembles(runs: Iterable[tuple[str, str]], methods: Mapping[str, Changes], config: Config) -> None:
    """Errors: UserError for an ensemble of these methods that validation samples weigh, where a run leaves none.

    Own data is passed over: its table may name validation samples that the settings do not know of.
    """
    weighed = [name for name in config.ensembles_of(methods) if config.ensembles[name].weights == "validation"]
    for dataset, name in product(dict.fromkeys(dataset for dataset, _ in runs if dataset != CUSTOM), weighed):
        for member in config.ensembles[name].members:
            run = config.run(dataset, member)
            if run.train.refit or not run.split.validation_share:
                got = f"'{'train.refit' if run.train.refit else 'split.validation_share: 0'}' for {dataset}, {member}"
                raise UserError(f"config: expected validation samples to weigh the ensemble '{name}' by, got {got}")


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


def _has_recordings(dataset: Dataset, folders: list[Path]) -> bool:
    """Whether any file is named as one of the data set's; its table names those of own data."""
    return dataset.files is not None or any(True for _ in names_in(dataset, folders))


def _require(dataset: Dataset, data: str) -> None:
    folders = raw_folders(dataset, data)
    if not dataset.simulated and not _has_recordings(dataset, folders):
        raise no_recordings(dataset, folders)
