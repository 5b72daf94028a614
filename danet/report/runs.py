"""Reads the folders of finished runs and of prepared data, checks them, and groups runs by protocol and method."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from danet.config.base import check
from danet.datasets.dataset import Dataset
from danet.datasets.registry import DATASETS
from danet.errors import UserError
from danet.io.files import read_json
from danet.io.tables import check_columns, read_parquet
from danet.preparation.coverage import Coverage, coverage
from danet.report.reading import check_range, read_history
from danet.results import Cost, Metrics, RunRecord

SCORES = ("name", "segment", "label", "prediction")
SPLIT = ("name", "part")
MANIFEST = ("name", "action", "view", "subject", "setup")
SET_ASIDE = ("name", "file", "reason", "line", "frame", "body", "expected", "got")
PREPARED_SHARE = 0.99  # of the samples that the field too has, each with its own rules for what cannot be used
DROPPED = ("dropped_unseen", "dropped_short", "dropped_noisy", "dropped_still", "dropped_overlap")
BRIDGED = ("bridged", "never_seen")
AUDIT = (
    "name",
    "frames",
    "lost_frames",
    "ids",
    "kept",
    "actors",
    *BRIDGED,
    *DROPPED,
    "jump",
    "jumps",
    "gaps",
    "shifted",
    "doubts",
)


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
    `averaged` holds, by seed, the top-1 of the protocol of which this is a fold, as a share. `coverage` has the
    facts of the protocol, None where manifest or split were not kept.
    """

    runs: tuple[Run, ...]
    preparation: Preparation | None
    averaged: Mapping[int, float] = field(default_factory=dict)
    coverage: Coverage | None = None

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
    def lacks(self) -> str:
        """What keeps its accuracy from standing beside those on the whole data set; empty where nothing does."""
        if self.coverage is None:
            return "how much of it is there is not known"
        if self.coverage.is_part:
            return self.coverage.amount
        split = int(self.coverage.training.sum() + self.coverage.test.sum())
        prepared = min(sum(run.record.counts.get(part, 0) for part in ("train", "test")) for run in self.runs)
        return f"{prepared:,} of {split:,} samples could be prepared" if prepared < PREPARED_SHARE * split else ""

    @property
    def comparable(self) -> bool:
        """True where figures of others may stand beside its accuracy: of people, and of the whole data set."""
        return not (self.simulated or self.lacks)

    @property
    def near_chance(self) -> list[str]:
        """What is said of each run that ended near chance."""
        told = [(run.metrics.seed, run.metrics.near_chance) for run in self.runs]
        return [f"seed {seed} is {chance}" for seed, chance in told if chance]

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
    run_folders: Sequence[Path],
    preparations: Sequence[Preparation],
    averaged_folders: Sequence[Path] = (),
    datasets: Mapping[str, Dataset] = DATASETS,
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
        Group(
            tuple(alike),
            prepared.get(dataset),
            averaged[dataset, protocol.partition("/")[0], method],
            read_coverage(alike[0].folder.parents[1] / "split.parquet", prepared.get(dataset), datasets.get(dataset)),
        )
        for (dataset, protocol, method), alike in grouped.items()
    ]


def read_coverage(split: Path, preparation: Preparation | None, dataset: Dataset | None) -> Coverage | None:
    """The facts of a protocol, from its split and the manifest; None where these were not kept. Errors: UserError."""
    if dataset is None or preparation is None or preparation.manifest is None or not split.exists():
        return None
    manifest = preparation.manifest
    used = manifest[(manifest["aside"] == "") & (manifest["action"] >= 0)]
    return coverage(dataset, dict(zip(used["name"], used["action"], strict=True)), read_parquet(split, SPLIT))


def read_run(folder: Path) -> Run:
    """Reads one run folder. Errors: UserError naming the file, what was expected and what was got."""
    metrics = check(Metrics, read_json(folder / "metrics.json"), f"{folder / 'metrics.json'}")
    record = check(RunRecord, read_json(folder / "run.json"), f"{folder / 'run.json'}")
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
    return [check(Metrics, read_json(path), str(path)) for path in paths]


def read_costs(paths: Sequence[Path]) -> list[Cost]:
    """What was measured of each method on each data set, in the order given. Errors: UserError."""
    return [check(Cost, read_json(Path(path)), str(path)) for path in paths]


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
    if not path.exists():
        return None
    manifest = read_parquet(path, MANIFEST, optional=("aside",))
    return manifest if "aside" in manifest else manifest.assign(aside="")


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
