"""The one schema of what runs leave behind: metrics.json, run.json, history.jsonl and cost.json.

What writes these files makes objects of these classes, and what reads them checks the files against them. Accuracies
are shares, from 0 to 1; times are in seconds.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from danet.config.base import Settings
from danet.config.settings import MemberWeights

NAME = re.compile(r"[\w-]+(/[\w-]+)*")


def printable(text: str) -> str:
    """The text with each letter that cannot be printed, and that SVG could not hold, replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


Text = Annotated[str, AfterValidator(printable)]
Share = Annotated[float, Field(ge=0, le=1)]


class FilePart(Settings):
    """Part of a JSON file. Keys that a reader does not know may stand beside those it does."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)


class Turned(FilePart):
    """Accuracy on test samples that were turned about the vertical."""

    samples: int = Field(ge=1)
    degrees: tuple[int, ...] = Field(min_length=1)
    top1: tuple[Share, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_share_a_turn(self) -> "Turned":
        if len(self.degrees) != len(self.top1):
            raise ValueError(f"expected a share for each of {len(self.degrees)} turns, got {len(self.top1)}")
        return self


class Corruption(FilePart):
    """Accuracy on test samples that were corrupted, and of the same samples unchanged (`plain`)."""

    what: str
    level: float
    unit: str
    samples: int = Field(ge=1)
    plain: Share
    top1: Share


class Bin(FilePart):
    """The test samples whose highest score lies in one interval: their mean score and the share that is right."""

    samples: int = Field(ge=1)
    confidence: float = Field(ge=0, le=1.0001)
    accuracy: Share


class Calibration(FilePart):
    """How well the scores say how often they are right."""

    error: float = Field(ge=0, le=1.0001)
    bins: tuple[Bin, ...] = Field(min_length=1)


class EpochAccuracy(FilePart):
    """An epoch, and the accuracy that its weights have on the test part."""

    epoch: int = Field(ge=1)
    top1: Share


class Epochs(FilePart):
    """Epochs that could be taken; the last of the three only by one who looks at the test part."""

    last: EpochAccuracy
    chosen: EpochAccuracy
    best_on_test: EpochAccuracy


class MultiView(FilePart):
    """Accuracy on performances that several cameras saw at one time: one label for all, and one for each camera."""

    performances: int = Field(ge=1)
    recordings: int = Field(ge=1)
    top1: Share
    top1_alone: Share


class NearChance(FilePart):
    """A training that ended near chance: its accuracy on one part, and that of always saying the commonest action."""

    part: str
    samples: int = Field(ge=1)
    top1: Share
    chance: Share

    def __str__(self) -> str:
        right = f"{100 * self.top1:.1f} % of {self.samples:,} {self.part} samples labelled rightly"
        return f"near chance: {right}, {100 * self.chance:.1f} % by always saying the commonest action"


class Metrics(FilePart):
    """`metrics.json`: the accuracies of one run, of an ensemble, or of the folds of a protocol together.

    `segments` has the accuracy of each of the parts that a test recording is scored in; `folds` and `cells` that of
    each fold, and of each fold and view, where folds were averaged. `members` has the weight of each method in the mean
    of an ensemble's scores, and `member_weights` what chose it.
    """

    dataset: str
    protocol: str
    method: str
    seed: int
    simulated: bool
    top1: Share
    top5: Share
    samples: int = Field(ge=1)
    parameters: int
    seconds: float = Field(ge=0)
    epoch: int | None
    validation_top1: Share | None = None
    near_chance: NearChance | None = None
    copies_of_training: int = 0
    top1_without_copies: Share | None = None
    segments: tuple[Share, ...] = ()
    turned: Turned | None = None
    corruptions: tuple[Corruption, ...] = ()
    calibration: Calibration | None = None
    epochs: Epochs | None = None
    multi_view: MultiView | None = None
    folds: dict[str, Share] = {}
    cells: dict[str, Share] = {}
    members: dict[str, Share] = {}
    member_weights: MemberWeights | None = None

    @field_validator("dataset", "protocol", "method")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):  # it becomes part of paths and anchors
            raise ValueError("expected letters, digits, '_', '-' and '/'")
        return name


class Git(FilePart):
    """The state of the code: None where it is not known."""

    commit: str | None = None
    dirty: bool | None = None


class RunRecord(FilePart):
    """`run.json`: where the weights of a run come from, and what chose their epoch."""

    dataset: str
    title: Text
    protocol: str
    method: str
    seed: int
    simulated: bool
    settings: dict[str, Any]
    versions: dict[str, str]
    git: Git
    code: dict[str, str]
    data_hash: str
    counts: dict[str, int]
    actions: tuple[Text, ...] = Field(min_length=1)
    layout: str | dict[str, Any]
    device: str
    threads: int | None = Field(None, ge=1, description="CPU threads of each process; None where it was not written.")
    parameters: int
    fused_members: int = Field(1, ge=1, description="How many labels of its own the network averages.")
    seconds: float = Field(ge=0)
    epoch: int
    validation_top1: Share | None
    near_chance: NearChance | None = None


class HistoryRow(FilePart):
    """A line of `history.jsonl`: what one epoch learnt. `waited` is the share of its time that waited for batches."""

    epoch: int = Field(ge=1)
    train_loss: float
    train_top1: float
    learning_rate: float
    waited: float
    validation_loss: float | None
    validation_top1: float | None
    seconds: float


class Cost(FilePart):
    """`cost.json`: what a method's network for one data set costs on the machine that measured it.

    Operations are multiply-accumulates of one clip, in millions; memory is in MiB.
    """

    dataset: str
    title: Text
    method: str
    simulated: bool
    machine: Text
    threads: int
    precision: str
    frames: int
    joints: int
    people: int
    parameters: int
    inference_mmacs: float
    training_mmacs: float
    trains_a_second: float = Field(gt=0)
    trains_a_second_one: float = Field(gt=0)
    infers_a_second: float = Field(gt=0)
    latency_median_ms: float
    latency_p95_ms: float
    training_gflops: float
    peak_gflops: float = Field(gt=0)
    inference_mib: float | None
    training_mib: float | None
