"""The settings: every choice that can change a number in a table, typed, checked, and explained in one sentence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from danet.config.base import Settings, check, multiple_of, overlaid
from danet.config.networks import Model, Stream
from danet.errors import UserError

COMPLETE = "complete"  # the whole network among the runs of the ablation
Partners = Literal["views", "copies", "none"]


class Simulate(Settings):
    """The simulated recordings of the demo."""

    seed: int = Field(1, description="Every recording follows from this seed and from its own name.")
    performers: PositiveInt = Field(8, ge=2, description="People; limb lengths and style vary from one to the next.")
    setups: PositiveInt = Field(2, description="Camera heights and distances; performers are spread over them.")
    replications: PositiveInt = Field(2, le=2, description="Times each performer does each action.")
    frames: PositiveInt = Field(60, ge=20, description="Mean length of a recording, at 30 frames a second.")


class Prepare(Settings):
    """From raw recordings to centred sequences; thresholds are those of the reference preparation (SGN, CTR-GCN)."""

    timing: Literal["observed", "reference"] = Field(
        "observed",
        description="observed: every joint lies at the frame where it was seen; "
        "reference: gaps collapse as in SGN's scripts.",
    )
    strict: bool = Field(
        False, description="Stop at the first recording that cannot be read instead of setting it aside."
    )
    drop_copies: bool = Field(
        True,
        description="Set aside a recording that shows, joint for joint, the same as another whose name comes first.",
    )
    shortest_body: int = Field(
        11, ge=0, description="Of several bodies, those seen in this many frames or fewer are dropped."
    )
    widest_spread: PositiveFloat = Field(
        0.8, description="A frame is noisy if the body is wider than this share of its height."
    )
    noisy_share: float = Field(
        0.69754,
        gt=0,
        le=1,
        description="Of several bodies, those with at least this share of noisy frames are dropped.",
    )


OF_PARSING = {"strict", "drop_copies"}  # what of `Prepare` decides which files are used; the rest is of denoising


class Split(Settings):
    """What is trained and validated on, of the training part; the test part is never touched."""

    leave_out: tuple[str, ...] = Field(
        (), description="Training samples not to learn from, by name; `*` stands for anything: a05_s04_*_v02."
    )
    validation_by: Literal["subject", "view"] = Field("subject", description="What is held out as a whole.")
    validation_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the training subjects or views held out, at least one; 0: none, the last epoch is taken.",
    )


class Clips(Settings):
    """How a sequence becomes the clip that the model sees."""

    frames: PositiveInt = Field(
        32, description="Frames of a clip, spread evenly over the part of the sequence it covers."
    )
    streams: tuple[Stream, ...] = Field(
        ("joint", "bone", "joint_motion", "bone_motion"),
        min_length=1,
        description="What the channels of a clip hold: where each joint is, the bone that ends there, the motion of "
        "both; distance: how far the joint is from the root and from the end of each part, which no turn changes.",
    )
    face_camera: bool = Field(
        True, description="Turn each sequence about the vertical so that hips and shoulders lie along x on average."
    )
    shortest_crop: float = Field(
        0.6, gt=0, le=1, description="In training a clip covers at least this share of the sequence."
    )
    turn_degrees: float = Field(
        20.0, ge=0, le=180, description="In training, a random turn about the vertical of up to this."
    )
    tilt_degrees: float = Field(
        10.0, ge=0, le=90, description="In training, a random tilt about the two level axes of up to this."
    )
    scale: float = Field(0.1, ge=0, lt=1, description="In training, a random change of body size of up to this share.")
    windows: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,),
        min_length=1,
        description="At test, shares of a sequence that windows cover: one of all of it, three of each smaller share. "
        "Their scores are averaged, and the surer a window, the more it counts.",
    )
    mirror: float = Field(
        0.0,
        ge=0,
        le=1,
        description="In training, the chance that left and right change places; 0 where actions have a side.",
    )
    masked_joints: float = Field(
        0.0, ge=0, lt=1, description="In training, the chance that a joint's channels are zero throughout a clip."
    )
    jitter_metres: float = Field(
        0.0, ge=0, description="In training, normal noise on every joint, of a deviation of up to this."
    )
    jitter_chance: float = Field(1.0, gt=0, le=1, description="In training, the chance that a clip has such noise.")


class Train(Settings):
    """The training loop."""

    epochs: PositiveInt = Field(60, description="Passes over the training samples.")
    refit: bool = Field(
        False,
        description="Train anew on training and validation part together, for as many epochs as were chosen.",
    )
    warmup_epochs: int = Field(5, ge=0, description="Epochs in which the learning rate rises from 0.")
    batch_size: PositiveInt = Field(32, description="Clips a step, not counting their partners.")
    partners: Partners = Field(
        "views",
        description="views: each clip is paired with another view of its performance, or with a rotated copy of itself "
        "where there is none; copies: always with a rotated copy; none: with nothing.",
    )
    accumulate: PositiveInt = Field(
        1, description="Pieces that a batch is cut into, one computed after the other, to save memory."
    )
    processes: PositiveInt = Field(
        1,
        description="Processes that train one network together, each on its share of every batch, each on a GPU, or "
        "all of them on the CPU with its threads shared out.",
    )
    bfloat16: bool = Field(
        True, description="Products of bfloat16 where the device multiplies it faster; else all is float32."
    )
    compile: bool = Field(False, description="Compile the network with torch.compile.")
    replay: bool = Field(
        True,
        description="On a GPU, record the kernels of a step once and start them all at once (CUDA graphs); to be "
        "switched off for a layer of your own that cannot be recorded.",
    )
    learning_rate: PositiveFloat = Field(1e-3, description="Learning rate of Muon and AdamW after the warm-up.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        description="cosine: the rate then falls to 0; constant: it stays, and the running mean settles.",
    )
    weight_decay: float = Field(0.05, ge=0, description="Weight decay, on matrices only.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target spread over all actions.")
    clip_gradient: PositiveFloat = Field(1.0, description="Largest norm of the gradient.")
    crossed: float = Field(0.5, ge=0, description="Weight of labelling each clip in the light of its partner.")
    map_agreement: float = Field(
        0.0, ge=0, description="Weight of the agreement of the two views' attention maps, found to help nothing."
    )
    feature_agreement: float = Field(1.0, ge=0, description="Weight of the agreement of the two views' features.")
    keep_epochs: bool = Field(
        False, description="Keep the weights of every epoch, so that the report can tell what each would have scored."
    )
    averaging: float = Field(
        0.99, ge=0, lt=1, description="Decay of the running mean of the weights; the mean is evaluated."
    )


class Evaluate(Settings):
    """What is measured on the test part."""

    stress: bool = Field(
        True, description="Also how the accuracy holds when the test recordings are turned or made worse."
    )


class Run(Settings):
    """All that shapes one run, for one data set."""

    seeds: tuple[int, ...] = Field((0,), min_length=1, description="One run per seed; tables give mean and deviation.")
    split: Split = Field(Split(), description="How the validation part is taken.")
    clips: Clips = Field(Clips(), description="How a sequence becomes a clip.")
    model: Model = Field(Model(), description="The network.")
    train: Train = Field(Train(), description="The training loop.")
    evaluate: Evaluate = Field(Evaluate(), description="What is measured on the test part.")
    attention: tuple[str, ...] = Field(
        (),
        description="Actions or test samples whose attention the report draws; by default three actions.",
    )

    @model_validator(mode="after")
    def _check_refit(self) -> "Run":
        if self.train.refit and not self.split.validation_share:
            raise ValueError("wanted 'split.validation_share' above 0 for 'train.refit', found 0")
        return self

    @model_validator(mode="after")
    def _check_encoders(self) -> "Run":
        for seen in self.model.encoders:
            if not set(seen) <= set(self.clips.streams):
                wanted, found = ", ".join(self.clips.streams), ", ".join(seen)
                raise ValueError(f"wanted 'model.encoders' to see some of 'clips.streams', {wanted}, found {found}")
        return self

    @model_validator(mode="after")
    def _check_moments(self) -> "Run":
        multiple_of(self, "frames", self.clips.frames, "stride", self.model.stride)
        moments = self.clips.frames // self.model.stride
        return multiple_of(self, "frames / stride", moments, "stretches", self.model.stretches)


class Ablation(Settings):
    """Runs that each change one thing, to see what it is worth."""

    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="Seeds of each of these runs.")
    schedule: dict[str, Any] = Field(
        {}, description="What all of these runs change, and the run called `complete` changes alone: fewer epochs."
    )
    variants: dict[str, dict[str, Any]] = Field({}, description="By name, what a run changes beside that.")
    fused: dict[str, tuple[str, ...]] = Field(
        {}, description="By name, the variants whose scores are averaged sample by sample."
    )

    @model_validator(mode="after")
    def _check_names(self) -> "Ablation":
        names = ["danet", COMPLETE, *self.variants, *self.fused]
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or names.count(name) > 1:
                raise ValueError(f"wanted names of small letters, digits and '_', each once, found '{name}'")
        for name, members in self.fused.items():
            for member in members:
                if member not in self.variants:
                    raise ValueError(f"wanted '{name}' to fuse some of {', '.join(self.variants)}, found '{member}'")
        return self

    def changes(self, method: str) -> dict[str, Any]:
        """What a run of that name changes; nothing for `danet`."""
        if method == "danet":
            return {}
        return overlaid(self.schedule, {} if method == COMPLETE else self.variants[method])


class Config(Run):
    """`config/config.yaml`: the settings of every run, and what a data set changes in them."""

    runs: Literal["auto"] | str | tuple[str, ...] = Field(
        "auto",
        description="auto: every protocol whose raw data are in place, the demo when there are none; "
        "or data sets (`nw_ucla`) and protocols (`ntu60/cross_view`) by name.",
    )
    data: str = Field("data", description="Folder in which the data sets lie.")
    ablate: str | tuple[str, ...] = Field(
        (), description="Data sets or protocols, named as in `runs`, to run the ablation on; none unless asked for."
    )
    ablation: Ablation = Field(Ablation(), description="What the ablation changes.")
    simulate: Simulate = Field(Simulate(), description="The demo's recordings.")
    prepare: Prepare = Field(Prepare(), description="From raw recordings to centred sequences.")
    datasets: dict[Literal["ntu60", "ntu120", "uestc", "nw_ucla", "demo", "custom"], dict[str, Any]] = Field(
        {},
        description="What a data set changes: `seeds`, `split`, `clips`, `model`, `train`, `evaluate`, `attention`.",
    )

    def run(self, dataset: str, method: str = "danet") -> Run:
        """The settings of a data set's runs: the general ones, what the data set changes, what the ablation changes."""
        changes = {str(name): change for name, change in self.datasets.items()}
        general = self.model_dump(include=set(Run.model_fields))
        own = overlaid(general, changes.get(dataset, {}))
        where = f"config: datasets.{dataset}" + (f", ablation.variants.{method}" if method != "danet" else "")
        return check(Run, overlaid(own, self.ablation.changes(method)), where)


def check_config(values: Mapping[str, Any]) -> Config:
    """Checks a whole configuration, what each data set changes included."""
    config = check(Config, values, "config")
    for dataset in config.datasets:
        for method in ("danet", COMPLETE, *config.ablation.variants):
            config.run(dataset, method)
    return config


def read_config(path: Path) -> Config:
    """The settings of a YAML file. Errors: UserError when it cannot be read or something in it is wrong."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: wanted a YAML file of settings, found: {' '.join(str(error).split())}") from None
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: wanted settings by name, found {type(values).__name__}")
    return check_config(values)
