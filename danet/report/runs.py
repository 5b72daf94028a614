"""Reads the folders of finished runs and of prepared data, checks them, and groups runs by protocol and method."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from danet.config.base import check
from danet.datasets.dataset import Dataset
from danet.errors import UserError
from danet.report.reading import check_columns, check_range, read_history, read_object, read_parquet
from danet.results import Cost, Metrics, RunRecord

SCORES = ("name", "segment", "label", "prediction")
MANIFEST = ("name", "action", "view", "subject", "setup")
SET_ASIDE = ("name", "file", "reason", "line", "frame", "body", "expected", "got")
DROPPED = ("dropped_short", "dropped_noisy", "dropped_overlap")
AUDIT = ("name", "frames", "lost_frames", "ids", "kept", "actors", *DROPPED, "gaps", "shifted", "doubts")


@dataclass(frozen=True)
class Run:
    """One run: its `metrics.json`, its `run.json`, a row of history for each epoch, a row of `samples` for each test
    sample: name, label, prediction.
    """

    folder: Path
    metrics: Metrics
    record: RunRecord
    history: pd.DataFrame
    samples: pd.DataFrame


@dataclass(frozen=True)
class Preparation:
    """What one data set's preparation saw (`manifest`, None where it was not kept), left out and dropped."""

    dataset: str
    title: str
    simulated: bool
    actions: tuple[str, ...]
    two_person: frozenset[int]
    manifest: pd.DataFrame | None
    set_aside: pd.DataFrame
    audit: pd.DataFrame


@dataclass(frozen=True)
class Group:
    """The runs of one method on one protocol, by seed: at least one, all of the same actions and samples.

    They are all simulated, or none is.
    `averaged` holds, by seed, the top-1 of the protocol of which this is a fold, as a share.
    """

    runs: tuple[Run, ...]
    preparation: Preparation | None
    averaged: Mapping[int, float] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.runs[0].metrics.dataset

    @property
    def protocol(self) -> str:
        """Name of the protocol, with its fold."""
        return self.runs[0].metrics.protocol

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.runs[0].metrics.method

    @property
    def slug(self) -> str:
        """Name for files and anchors."""
        return f"{self.dataset}--{self.protocol.replace('/', '--')}--{self.method}"

    @property
    def title(self) -> str:
        """The data set's title, the protocol and the method."""
        return f"{self.runs[0].record.title}, {self.protocol}, {self.method}"

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions; the index is the label."""
        return self.runs[0].record.actions

    @property
    def simulated(self) -> bool:
        """True when no person was recorded."""
        return self.runs[0].metrics.simulated

    @property
    def top1_without_copies(self) -> float | None:
        """Mean top-1 over the runs on the test samples that are no copies of training samples, as a share."""
        shares = [run.metrics.top1_without_copies for run in self.runs]
        known = [share for share in shares if share is not None]
        return sum(known) / len(known) if known else None

    @property
    def differing(self) -> list[str]:
        """What, beside the seed, is not the same in all runs of the group, though their mean takes it for the same."""
        parts: dict[str, list[object]] = {
            "settings": [{**run.record.settings, "seeds": None} for run in self.runs],
            "code": [run.record.code for run in self.runs],
            "data": [run.record.data_hash for run in self.runs],
            "versions": [run.record.versions for run in self.runs],
        }
        return [name for name, values in parts.items() if any(value != values[0] for value in values)]


def read_groups(
    run_folders: Sequence[Path], preparations: Sequence[Preparation], averaged_folders: Sequence[Path] = ()
) -> list[Group]:
    """Reads all runs and groups them: real ones first, by data set, protocol, method and seed. Errors: UserError.

    The methods of a protocol stand in the order in which they are given; `averaged_folders` hold the metrics of
    protocols with folds.
    """
    averaged: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for metrics in read_metrics(averaged_folders):
        averaged[metrics.dataset, metrics.protocol, metrics.method][metrics.seed] = metrics.top1
    runs = [read_run(Path(folder)) for folder in run_folders]
    methods = list(dict.fromkeys(run.metrics.method for run in runs))

    def order(run: Run) -> tuple:
        metrics = run.metrics
        return metrics.simulated, metrics.dataset, metrics.protocol, methods.index(metrics.method), metrics.seed

    grouped: dict[tuple[str, str, str], list[Run]] = {}
    for run in sorted(runs, key=order):
        grouped.setdefault((run.metrics.dataset, run.metrics.protocol, run.metrics.method), []).append(run)
    prepared = {preparation.dataset: preparation for preparation in preparations}
    for alike in grouped.values():
        for run in alike[1:]:
            _check_alike(alike[0], run)
    return [
        Group(tuple(alike), prepared.get(dataset), averaged[dataset, protocol.partition("/")[0], method])
        for (dataset, protocol, method), alike in grouped.items()
    ]


def read_run(folder: Path) -> Run:
    """Reads one run folder. Errors: UserError naming the file, what was expected and what was got."""
    metrics = check(Metrics, read_object(folder / "metrics.json"), f"{folder / 'metrics.json'}")
    record = check(RunRecord, read_object(folder / "run.json"), f"{folder / 'run.json'}")
    for key in ("dataset", "protocol", "method", "seed", "simulated"):
        expected, got = getattr(metrics, key), getattr(record, key)
        if expected != got:
            raise UserError(f"{folder / 'run.json'}: expected {key} {expected!r} as in metrics.json, got {got!r}")
    path = folder / "scores.parquet"
    samples = read_parquet(path, SCORES)
    if len(samples) != metrics.samples or samples.duplicated(["name", "segment"]).any():
        got = f"{len(samples)} rows of {samples['name'].nunique()} names"
        raise UserError(f"{path}: expected {metrics.samples} samples as in metrics.json, each once, got {got}")
    check_range(path, samples, "label", len(record.actions))
    check_range(path, samples, "prediction", len(record.actions))
    top1 = float((samples["label"] == samples["prediction"]).mean())
    if abs(top1 - metrics.top1) > 1e-4:
        raise UserError(f"{path}: expected top-1 {metrics.top1:.4f} as in metrics.json, got {top1:.4f}")
    history = read_history(folder / "history.jsonl")
    return Run(folder, metrics, record, history.sort_values("epoch", ignore_index=True), samples)


def read_metrics(folders: Sequence[Path]) -> list[Metrics]:
    """The metrics in each folder, in the order given. Errors: UserError."""
    paths = [Path(folder) / "metrics.json" for folder in folders]
    return [check(Metrics, read_object(path), str(path)) for path in paths]


def read_costs(paths: Sequence[Path]) -> list[Cost]:
    """What was measured of each method on each data set, in the order given. Errors: UserError."""
    return [check(Cost, read_object(Path(path)), str(path)) for path in paths]


def read_preparation(folder: Path, datasets: Mapping[str, Dataset]) -> Preparation:
    """Reads what preparation left behind; the folder's name is that of one of the data sets. Errors: UserError."""
    folder = Path(folder)
    dataset = datasets[folder.name]
    manifest = _read_manifest(folder / "manifest.parquet")
    return Preparation(
        dataset=dataset.name,
        title=dataset.title,
        simulated=dataset.simulated,
        actions=dataset.actions,
        two_person=dataset.two_person,
        manifest=manifest,
        set_aside=read_parquet(folder / "set_aside.parquet", SET_ASIDE),
        audit=_read_audit(folder / "audit.parquet", manifest, len(dataset.actions)),
    )


def _read_manifest(path: Path) -> pd.DataFrame | None:
    return read_parquet(path, MANIFEST) if path.exists() else None


def _read_audit(path: Path, manifest: pd.DataFrame | None, actions: int) -> pd.DataFrame:
    """The audit, with each sample's action: its own column, or else what the manifest says."""
    audit = read_parquet(path, AUDIT, optional=("action",))
    if "action" not in audit and manifest is not None:
        audit["action"] = audit["name"].map(manifest.drop_duplicates("name").set_index("name")["action"])
    check_columns(path, ("action",), list(audit.columns))
    check_range(path, audit, "action", actions)
    return audit


def _check_alike(first: Run, other: Run) -> None:
    """Runs whose mean is taken must be of the same task."""
    seed = other.metrics.seed
    if seed == first.metrics.seed:
        raise UserError(f"{other.folder}: expected one run per seed, got seed {seed} in {first.folder} too")
    same: dict[str, list[object]] = {
        "simulated": [run.metrics.simulated for run in (first, other)],
        "actions": [run.record.actions for run in (first, other)],
    }
    for what, (expected, got) in same.items():
        if expected != got:
            raise UserError(f"{other.folder / 'run.json'}: expected the {what} of {first.folder}, got others")
    expected, got = (run.samples.set_index(["name", "segment"])["label"].sort_index() for run in (first, other))
    if not expected.equals(got):
        raise UserError(f"{other.folder / 'scores.parquet'}: expected the test samples of {first.folder}, got others")
