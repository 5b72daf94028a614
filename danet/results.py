"""The one schema of what runs leave behind: metrics.json, run.json, cost.json and history.jsonl."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from danet.config.base import Settings

NAME = re.compile(r"[\w-]+(/[\w-]+)*")


HISTORY = ("epoch", "train_loss", "train_top1")


VALIDATION = ("validation_loss", "validation_top1")


SCORES = ("name", "segment", "label", "prediction")


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
