"""The settings: every choice that can change a number in a table, typed, checked, and explained in one sentence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from danet.config.base import Positive, PositiveReal, Real, Settings, Whole, check, overlaid, refuse_endless
from danet.config.clips import ClipSettings
from danet.config.networks import DEFAULT, NAMES, AnyNetwork, DANetSettings
from danet.config.recipes import RECIPES, Recipe, recipe_of
from danet.config.training import TrainSettings
from danet.errors import UserError, shown
from danet.io.yaml_text import read_yaml

OF_DATASETS: dict[str, dict[str, Any]] = read_yaml(Path(__file__).with_name("datasets.yaml"), "settings by data set")
COMPLETE = "complete"  # the whole network among the methods of the ablation
Changes = dict[str, Any]
MemberWeights = Literal["equal", "validation"]  # of an ensemble
LARGEST_SEED = 2**32 - 1  # that NumPy takes


def _listed(seeds: Any) -> Any:
    if not isinstance(seeds, (list, tuple)):
        raise ValueError("expected a list of numbers, as [0, 1]")
    return seeds


def _once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    again = [seed for seed in seeds if seeds.count(seed) > 1]
    if again:
        raise ValueError(f"expected each seed once, got {again[0]} twice")
    return seeds


def _by_name(methods: Any) -> Any:
    """Names alone become methods that change nothing."""
    if isinstance(methods, (list, tuple)) and all(isinstance(name, str) for name in methods):
        return {name: {} for name in methods}
    return methods


def _named(names: Any) -> Any:
    if not isinstance(names, str) and not (isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names)):
        raise ValueError("expected a name, or a list of names")
    return names


Named = BeforeValidator(_named)
Seed = Annotated[Whole, Field(ge=0, le=LARGEST_SEED)]
Seeds = Annotated[
    tuple[Seed, ...], BeforeValidator(_listed), Field(min_length=1, max_length=1000), AfterValidator(_once)
]


class Simulate(Settings):
    """The simulated recordings of the demo."""

    seed: Seed = Field(1, description="Every recording follows from this seed and from its own name.")
    performers: Positive = Field(
        8, ge=2, le=999, description="People; limb lengths and style vary from one to the next."
    )
    setups: Positive = Field(2, le=999, description="Camera heights and distances; performers are spread over them.")
    replications: Positive = Field(2, le=2, description="Times each performer does each action.")
    frames: Positive = Field(60, ge=20, le=10_000, description="Mean length of a recording, at 30 frames a second.")


class Prepare(Settings):
    """From raw recordings to centred sequences; thresholds that hold for both timings are those of SGN and CTR-GCN."""

    timing: Literal["observed", "reference"] = Field(
        "observed",
        description="observed: every joint lies at the frame where it was seen; "
        "reference: gaps collapse as in SGN's scripts.",
    )
    strict: bool = Field(
        False,
        description="Stop at the first recording that cannot be read instead of setting it aside, and where the "
        "recordings do not look like people in metres, y up, in the layout's order.",
    )
    drop_copies: bool = Field(
        True,
        description="Set aside a recording that shows, joint for joint, the same as another whose name comes first.",
    )
    least_seen: Real = Field(
        0.25,
        ge=0,
        le=1,
        description="A body is dropped if the sensor found less than this share of its joints, over all its frames.",
    )
    shortest_body: Whole = Field(
        11,
        ge=0,
        le=1_000_000,
        description="Of several bodies, those seen in this many frames or fewer are dropped; "
        "with observed timing the longest stays.",
    )
    widest_spread: PositiveReal = Field(
        0.8, description="A frame is noisy if the body is wider than this share of its height."
    )
    noisy_share: Real = Field(
        0.69754,
        gt=0,
        le=1,
        description="Of several bodies, those with at least this share of noisy frames are dropped.",
    )
    stillest_body: Real = Field(
        0.002,
        ge=0,
        description="Observed timing: of several bodies, those that stray by less than this many metres, jitter apart, "
        "while another one moves are dropped; 0: none.",
    )
    longest_jump: PositiveReal = Field(
        0.5,
        description="Observed timing: a body further than this many metres, mean over joints, from where an actor was "
        "last or is next seen rather becomes another actor.",
    )


OF_PARSING = {"strict", "drop_copies"}  # what of `Prepare` decides which files are used; the rest is of denoising


class Split(Settings):
    """What is trained and validated on, of the training part; the test part is never touched."""

    leave_out: tuple[str, ...] = Field(
        (), description="Training samples not to learn from, by name; `*` stands for anything: a05_s04_*_v02."
    )
    validation_by: Literal["subject", "view"] = Field("subject", description="What is held out as a whole.")
    validation_share: Real = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the training subjects or views held out, at least one; 0: none, the last epoch is taken.",
    )


class Evaluate(Settings):
    """What is measured on the test part."""

    corruptions: bool = Field(
        True, description="Also how the accuracy holds when the test recordings are turned or corrupted."
    )
    corrupted_samples: Positive = Field(
        512, description="The most test recordings that are turned and corrupted, spread evenly over their names."
    )


class Run(Settings):
    """All that shapes one run, for one data set."""

    seeds: Seeds = Field((0,), description="One run per seed; tables give mean and deviation.")
    recipe: Recipe = Field(
        "shared",
        description="How networks of others are trained. shared: as all are, with an optimizer chosen for each; own: "
        "as their authors did, on the project's preparation.",
    )
    split: Split = Field(Split(), description="How the validation part is taken.")
    clips: ClipSettings = Field(ClipSettings(), description="How a sequence becomes a clip.")
    model: AnyNetwork = Field(DANetSettings(), description="The network, by its `name`, and its settings.")
    train: TrainSettings = Field(TrainSettings(), description="The training loop.")
    evaluate: Evaluate = Field(Evaluate(), description="What is measured on the test part.")
    attention: tuple[str, ...] = Field(
        (),
        description="Actions or test samples whose attention the report draws; by default three actions.",
    )

    @model_validator(mode="after")
    def _check_refit(self) -> "Run":
        if self.train.refit and not self.split.validation_share:
            raise ValueError("expected 'split.validation_share' above 0 for 'train.refit', got 0")
        return self

    @model_validator(mode="after")
    def _check_clips(self) -> "Run":
        self.model.check_clips(self.clips)
        return self


class Ablation(Settings):
    """Methods that each change one thing, to see what it is worth."""

    seeds: Seeds = Field((0, 1, 2), description="Seeds of each of these methods.")
    schedule: Changes = Field(
        {}, description="What all of these methods change, and the one called `complete` changes alone: fewer epochs."
    )
    variants: dict[str, Changes] = Field({}, description="By name, what a method changes beside that.")

    @property
    def methods(self) -> dict[str, Changes]:
        """The complete network and its variants, by name, with what each changes."""
        return {COMPLETE: self.schedule} | {
            name: overlaid(self.schedule, changes) for name, changes in self.variants.items()
        }


class Ensemble(Settings):
    """Methods whose scores are averaged."""

    members: tuple[str, ...] = Field(description="Methods, or variants of the ablation.")
    weights: MemberWeights = Field(
        "equal",
        description="equal: all members weigh the same; validation: the weights under which the labels of the "
        "validation part are likeliest.",
    )


def _with_members(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"members": value}


AnyEnsemble = Annotated[Ensemble, BeforeValidator(_with_members, json_schema_input_type=tuple[str, ...] | Ensemble)]


class Config(Run):
    """`config/config.yaml`: the settings of every run, and what a data set and a method change in them."""

    runs: Annotated[Literal["auto"] | str | tuple[str, ...], Named] = Field(
        "auto",
        description="auto: every protocol whose raw data are in place, the demo where no raw folder holds anything; "
        "or data sets (`nw_ucla`) and protocols (`ntu60/cross_view`) by name.",
    )
    data: str = Field("data", description="Folder in which the data sets lie.")
    methods: Annotated[dict[str, Changes], BeforeValidator(_by_name)] = Field(
        {"danet": {}},
        min_length=1,
        description="What is trained on each protocol: a method's name, and what it changes in the settings, as "
        "`{danet: {}, joints: {clips: {streams: [joint]}}}`. A method with the name of a network trains that one; "
        "where nothing is changed the names will do: `[danet, sgn]`.",
    )
    ensembles: dict[str, AnyEnsemble] = Field(
        {},
        description="By name, the methods, or variants of the ablation, whose scores are averaged sample by sample: a "
        "list for equal weights, or `{members: [joint, bone], weights: validation}` for those under which the labels "
        "of the validation part are likeliest.",
    )
    ablate: Annotated[str | tuple[str, ...], Named] = Field(
        (), description="Data sets or protocols, named as in `runs`, to run the ablation on; none unless asked for."
    )
    ablation: Ablation = Field(Ablation(), description="What the ablation changes.")
    simulate: Simulate = Field(Simulate(), description="The demo's recordings.")
    prepare: Prepare = Field(Prepare(), description="From raw recordings to centred sequences.")
    datasets: dict[Literal["ntu60", "ntu120", "uestc", "nw_ucla", "utd_mhad", "demo", "custom"], Changes] = Field(
        {},
        description="What a data set changes: `seeds`, `split`, `clips`, `model`, `train`, `evaluate`, `attention`; "
        "under `methods`, what it changes for one method.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> "Config":
        names = [*self.methods, *self.ablation.methods, *self.ensembles]
        for name in names:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or names.count(name) > 1:
                raise ValueError(f"expected methods named in small letters, digits and '_', each once, got '{name}'")
        for name, ensemble in self.ensembles.items():
            members = ensemble.members
            for kind in (self.methods, self.ablation.methods):
                if members and set(members) <= set(kind):
                    break
            else:
                known = f"some of {', '.join(self.methods)}, or of {', '.join(self.ablation.methods)}"
                raise ValueError(f"expected the ensemble '{name}' to be of {known}, got {', '.join(members) or 'none'}")
        for dataset, changes in self.datasets.items():
            by_method = changes.get("methods", {})
            if not isinstance(by_method, Mapping) or not all(isinstance(each, Mapping) for each in by_method.values()):
                raise ValueError(f"expected in 'datasets.{dataset}.methods' changes by method, got {shown(by_method)}")
            for name in by_method:
                if name not in self.trained:
                    known = ", ".join(self.trained)
                    raise ValueError(f"expected in 'datasets.{dataset}.methods' some of {known}, got '{name}'")
        return self

    @property
    def trained(self) -> dict[str, Changes]:
        """Every method that can be trained, the ablation's among them, with what it changes."""
        return self.methods | self.ablation.methods

    def ensembles_of(self, methods: Mapping[str, Changes]) -> list[str]:
        """The names of the ensembles whose members are among these methods."""
        return [name for name, ensemble in self.ensembles.items() if set(ensemble.members) <= set(methods)]

    def run(self, dataset: str, method: str | None = None) -> Run:
        """The settings of a data set's runs: the general ones, what the data set changes, and what the method does.

        Below the general ones lie the defaults of `datasets.yaml`, below what the method changes lies the recipe of its
        network. Without a method they are the settings that all methods share, as `split`, which none of them may
        change.
        """
        changes = dict({str(name): change for name, change in self.datasets.items()}.get(dataset, {}))
        by_method = changes.pop("methods", {})
        places = [f"datasets.{dataset}"] if dataset in self.datasets else []
        defaults = overlaid(Run().model_dump(), OF_DATASETS.get(dataset, {}))
        general = overlaid(defaults, self.model_dump(include=set(Run.model_fields), exclude_unset=True))
        values = overlaid(general, changes)
        if method is not None:
            places.append(f"{'ablation.variants' if method in self.ablation.methods else 'methods'}.{method}")
            above = overlaid(self.trained[method], by_method.get(method, {}))
            if "split" in above:
                where = ", ".join(places)
                raise UserError(f"config: {where}: expected all methods to share one 'split', got one of its own")
            values = overlaid(_starting(values, above, method, dataset), above)
        return check(Run, values, ": ".join(["config", *([", ".join(places)] if places else [])]))


def _starting(values: Changes, above: Changes, method: str, dataset: str) -> Changes:
    """What a method's changes `above` are laid over: `values`, and where it names a network, the recipe of that."""
    model = above.get("model", {})
    implied = method if method in NAMES and method != DEFAULT else None
    asked = model.get("name", implied) if isinstance(model, Mapping) else None
    recipe = above.get("recipe", values["recipe"])
    if asked not in NAMES or recipe not in RECIPES:
        return values  # and what is wrong is told when all is checked
    return overlaid(overlaid(values, {"model": {"name": asked}}), recipe_of(recipe, asked, dataset))


def check_config(values: Mapping[str, Any]) -> Config:
    """Checks a whole configuration: what each data set changes, and what each method does.

    What both change together is checked for the runs that are asked for, by `Config.run`.
    """
    refuse_endless(values, "config")
    config = check(Config, values, "config")
    for method in config.trained:
        config.run("", method)
    for dataset, changes in config.datasets.items():
        for method in (None, *changes.get("methods", {})):
            config.run(dataset, method)
    return config


def read_config(path: Path) -> Config:
    """The settings of a YAML file. Errors: UserError when it cannot be read or something in it is wrong."""
    values = read_yaml(path, "a YAML file of settings")
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: expected settings by name, got {shown(values)}")
    return check_config(values)
