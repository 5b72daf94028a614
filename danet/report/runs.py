"""Folders of finished runs and of prepared data in; checked runs, grouped by protocol, and what was left out, out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from danet.config.base import check
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.report.reading import check_columns, check_range, read_lines, read_object, read_parquet
from danet.results import HISTORY, SCORES, VALIDATION, About, Cost, Metrics

MANIFEST = ("name", "action", "view", "subject", "setup")
SET_ASIDE = ("name", "file", "reason", "line", "frame", "body", "wanted", "found")
DROPPED = ("dropped_short", "dropped_noisy", "dropped_overlap")
AUDIT = ("name", "frames", "lost_frames", "ids", "kept", "actors", *DROPPED, "gaps", "shifted")


@dataclass(frozen=True)
class Run:
    """One run. `history` has one row per epoch, `samples` one per test sample: name, label, prediction."""

    folder: Path
    metrics: Metrics
    about: About
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
    """The runs of one protocol, by seed: at least one; the same method, actions and samples; all simulated or none.

    `combined` holds, by seed, the top-1 of the protocol of which this is a fold, as a share.
    """

    runs: tuple[Run, ...]
    preparation: Preparation | None
    combined: Mapping[int, float] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.runs[0].metrics.dataset

    @property
    def protocol(self) -> str:
        """Name of the protocol, with its fold."""
        return self.runs[0].metrics.protocol

    @property
    def slug(self) -> str:
        """Name for files and anchors."""
        return f"{self.dataset}--{self.protocol.replace('/', '--')}"

    @property
    def title(self) -> str:
        """The data set's title and the protocol."""
        return f"{self.runs[0].about.title}, {self.protocol}"

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions; the index is the label."""
        return self.runs[0].about.actions

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
            "settings": [{**run.about.settings, "seeds": None} for run in self.runs],
            "code": [run.about.code for run in self.runs],
            "data": [run.about.data_hash for run in self.runs],
            "versions": [run.about.versions for run in self.runs],
        }
        return [name for name, values in parts.items() if any(value != values[0] for value in values)]


def read_groups(
    run_folders: Sequence[Path], preparations: Sequence[Preparation], combined_folders: Sequence[Path] = ()
) -> list[Group]:
    """Reads all runs and groups them: real ones first, by data set, protocol and seed. Errors: UserError.

    `combined_folders` hold the metrics of protocols with folds.
    """
    combined: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for folder in combined_folders:
        path = Path(folder) / "metrics.json"
        found = check(Metrics, read_object(path), f"{path}")
        combined[found.dataset, found.protocol][found.seed] = found.top1
    runs = sorted(
        (read_run(Path(folder)) for folder in run_folders),
        key=lambda run: (run.metrics.simulated, run.metrics.dataset, run.metrics.protocol, run.metrics.seed),
    )
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.metrics.dataset, run.metrics.protocol), []).append(run)
    prepared = {preparation.dataset: preparation for preparation in preparations}
    for own in grouped.values():
        for run in own[1:]:
            _check_alike(own[0], run)
    return [
        Group(tuple(own), prepared.get(dataset), combined[dataset, protocol.partition("/")[0]])
        for (dataset, protocol), own in grouped.items()
    ]


def read_run(folder: Path) -> Run:
    """Reads one run folder. Errors: UserError naming the file, what was wanted and what was found."""
    metrics = check(Metrics, read_object(folder / "metrics.json"), f"{folder / 'metrics.json'}")
    about = check(About, read_object(folder / "run.json"), f"{folder / 'run.json'}")
    for key in ("dataset", "protocol", "seed", "simulated"):
        wanted, found = getattr(metrics, key), getattr(about, key)
        if wanted != found:
            raise UserError(f"{folder / 'run.json'}: wanted {key} {wanted!r} as in metrics.json, found {found!r}")
    path = folder / "scores.parquet"
    samples = read_parquet(path, SCORES)
    if len(samples) != metrics.samples or samples.duplicated(["name", "segment"]).any():
        found = f"{len(samples)} rows of {samples['name'].nunique()} names"
        raise UserError(f"{path}: wanted {metrics.samples} samples as in metrics.json, each once, found {found}")
    check_range(path, samples, "label", len(about.actions))
    check_range(path, samples, "prediction", len(about.actions))
    top1 = float((samples["label"] == samples["prediction"]).mean())
    if abs(top1 - metrics.top1) > 1e-4:
        raise UserError(f"{path}: wanted top-1 {metrics.top1:.4f} as in metrics.json, found {top1:.4f}")
    history = read_lines(folder / "history.jsonl", HISTORY, VALIDATION)
    return Run(folder, metrics, about, history.sort_values("epoch", ignore_index=True), samples)


def read_ablation(folders: Sequence[Path]) -> list[Metrics]:
    """The metrics of an ablation's runs, in the order given. Errors: UserError."""
    paths = [Path(folder) / "metrics.json" for folder in folders]
    return [check(Metrics, read_object(path), str(path)) for path in paths]


def read_costs(paths: Sequence[Path]) -> list[Cost]:
    """What was measured for each data set, in the order given. Errors: UserError."""
    return [check(Cost, read_object(Path(path)), str(path)) for path in paths]


def read_preparation(folder: Path) -> Preparation:
    """Reads what preparation left behind; the folder's name is the data set's. Errors: UserError."""
    folder = Path(folder)
    dataset = find_dataset(folder.name)
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
        raise UserError(f"{other.folder}: wanted one run per seed, found seed {seed} in {first.folder} too")
    same: dict[str, list[object]] = {
        "simulated": [run.metrics.simulated for run in (first, other)],
        "method": [run.metrics.method for run in (first, other)],
        "actions": [run.about.actions for run in (first, other)],
    }
    for what, (wanted, found) in same.items():
        if wanted != found:
            raise UserError(f"{other.folder / 'run.json'}: wanted the {what} of {first.folder}, found others")
    wanted, found = (run.samples.set_index(["name", "segment"])["label"].sort_index() for run in (first, other))
    if not wanted.equals(found):
        raise UserError(f"{other.folder / 'scores.parquet'}: wanted the test samples of {first.folder}, found others")
