"""Folders of finished runs and of prepared data in; checked runs, grouped by protocol, and what was left out, out."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from danet.config import Settings, check
from danet.datasets.catalogue import find_dataset
from danet.errors import UserError
from danet.report.reading import check_columns, check_range, read_lines, read_object, read_parquet

NAME = re.compile(r"[\w-]+(/[\w-]+)*")
HISTORY = ("epoch", "train_loss", "train_top1")
VALIDATION = ("validation_loss", "validation_top1")
SCORES = ("name", "segment", "label", "prediction")
MANIFEST = ("name", "action", "view", "subject", "setup")
SET_ASIDE = ("name", "file", "reason", "line", "frame", "body", "wanted", "found")
DROPPED = ("dropped_short", "dropped_noisy", "dropped_overlap")
AUDIT = ("name", "frames", "lost_frames", "ids", "kept", "actors", *DROPPED, "gaps", "shifted")


def printable(text: str) -> str:
    """The text with each letter that cannot be printed, and that SVG could not hold, replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


class FilePart(Settings):
    """Part of a JSON file: keys that the report does not use may stand beside those it does."""

    model_config = ConfigDict(extra="ignore")


class Turned(FilePart):
    """Accuracy on test samples that were turned about the vertical."""

    samples: int = Field(ge=1)
    degrees: tuple[int, ...] = Field(min_length=1)
    top1: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_share_a_turn(self) -> "Turned":
        if len(self.degrees) != len(self.top1):
            raise ValueError(f"wanted a share for each of {len(self.degrees)} turns, got {len(self.top1)}")
        return self


class Worse(FilePart):
    """Accuracy on test samples that were made worse, and of the same samples unchanged."""

    what: str
    level: float
    unit: str
    samples: int = Field(ge=1)
    plain: float = Field(ge=0, le=1)
    top1: float = Field(ge=0, le=1)


class Bin(FilePart):
    """The test samples whose highest score lies in one stretch: their mean score and the share that is right."""

    samples: int = Field(ge=1)
    confidence: float = Field(ge=0, le=1.0001)
    accuracy: float = Field(ge=0, le=1)


class Calibration(FilePart):
    """How well the scores say how often they are right."""

    error: float = Field(ge=0, le=1.0001)
    bins: tuple[Bin, ...] = Field(min_length=1)


class Epoch(FilePart):
    """An epoch, and the accuracy that its weights have on the test part."""

    epoch: int = Field(ge=1)
    top1: float = Field(ge=0, le=1)


class Epochs(FilePart):
    """Epochs that could be taken; the last of the three only by one who looks at the test part."""

    last: Epoch
    chosen: Epoch
    best_on_test: Epoch


class FusedViews(FilePart):
    """Accuracy on performances that several cameras saw at one time, fused and camera by camera."""

    performances: int = Field(ge=1)
    recordings: int = Field(ge=1)
    top1: float = Field(ge=0, le=1)
    top1_alone: float = Field(ge=0, le=1)


class Metrics(FilePart):
    """`metrics.json`: the accuracies of one run, as shares of the test samples."""

    dataset: str
    protocol: str
    method: str
    seed: int
    simulated: bool
    top1: float = Field(ge=0, le=1)
    top5: float = Field(ge=0, le=1)
    samples: int = Field(ge=1)
    parameters: int
    seconds: float = Field(ge=0)
    epoch: int | None
    validation_top1: float | None = None
    copies_of_training: int = 0
    top1_without_copies: float | None = None
    turned: Turned | None = None
    worse: tuple[Worse, ...] = ()
    calibration: Calibration | None = None
    epochs: Epochs | None = None
    fused_views: FusedViews | None = None

    @field_validator("dataset", "protocol", "method")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):  # it becomes part of paths and anchors
            raise ValueError("wanted letters, digits, '_', '-' and '/'")
        return name


class Cost(FilePart):
    """`cost.json`: what the network for one data set costs on the machine that measured it."""

    dataset: str
    title: Annotated[str, AfterValidator(printable)]
    simulated: bool
    machine: Annotated[str, AfterValidator(printable)]
    threads: int
    precision: str
    frames: int
    joints: int
    people: int
    parameters: int
    inference_mmacs: float
    training_mmacs: float
    trains_a_second: float
    trains_a_second_one: float
    infers_a_second: float
    latency_median_ms: float
    latency_p95_ms: float
    training_gflops: float
    peak_gflops: float = Field(gt=0)
    inference_mib: float | None
    training_mib: float | None


class Git(FilePart):
    """The state of the code: None where it is not known."""

    commit: str | None = None
    dirty: bool | None = None


class About(FilePart):
    """`run.json`: where a run comes from."""

    dataset: str
    title: Annotated[str, AfterValidator(printable)]
    protocol: str
    seed: int
    simulated: bool
    settings: dict[str, Any]
    versions: dict[str, str]
    git: Git
    code: dict[str, str]
    data_hash: str
    counts: dict[str, int]
    actions: tuple[Annotated[str, AfterValidator(printable)], ...] = Field(min_length=1)
    layout: str | dict
    device: str


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
