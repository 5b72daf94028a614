"""What all settings share: they are frozen, checked, and refused by name."""

from collections.abc import Container, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from danet.errors import UserError, one_line, shown
from danet.io.yaml_text import MOST_VALUES

MOST_LEVELS = 40
MOST_ERRORS = 5  # that one message names
LONGEST_NAME = 60  # of a setting, in a message


def _no_truth(kind: str) -> BeforeValidator:
    """Refuses true and false, which Python takes for 1 and 0, where a number of that kind is expected."""

    def refuse(value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"expected {kind}")
        return value

    return BeforeValidator(refuse)


# Digits in text are numbers too: so Snakemake hands on what `--config` nests.
Whole = Annotated[int, _no_truth("a whole number")]
Positive = Annotated[Whole, Field(gt=0)]
Real = Annotated[float, _no_truth("a number")]
PositiveReal = Annotated[Real, Field(gt=0)]
S = TypeVar("S", bound="Settings")

RENAMED = {  # settings by the names that they had before 0.2.0
    "ablation.fused": "ensembles",
    "clips.windows": "clips.test_crops",
    "evaluate.stress": "evaluate.corruptions",
    "model.dropout": "model.drop_path",
    "model.stretches": "model.segments",
    "model.stride": "model.patch_frames",
    "model.window": "model.local_radius",
    "train.accumulate": "train.grad_accum_steps",
    "train.averaging": "train.ema_decay",
    "train.clip_gradient": "train.max_grad_norm",
    "train.crossed": "model.cross_view_weight",
    "train.feature_agreement": "model.feature_agreement",
    "train.partners": "train.paired_views",
    "train.replay": "train.cuda_graphs",
}
REMOVED = ("train.compile", "train.map_agreement")
WORDS = {  # for pydantic's kinds of errors
    "missing": "expected a value, got none",
    "finite_number": "expected a finite number",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "multiple_of": "expected a multiple of {multiple_of}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected {le} or less",
    "literal_error": "expected {expected}",
    "string_too_short": "expected text",
    "string_too_long": "expected at most {max_length} letters",
    "too_short": "expected at least {min_length} of them, got {actual_length}",
    "too_long": "expected at most {max_length} of them, got more",
    "invalid_key": "expected names of settings",
}
WORDS |= dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "expected a whole number")
WORDS |= dict.fromkeys(("float_type", "float_parsing"), "expected a number")
WORDS |= dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false")
WORDS |= dict.fromkeys(("string_type", "string_sub_type"), "expected text")
WORDS |= dict.fromkeys(("list_type", "tuple_type"), "expected a list")
WORDS |= dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected values by name")


class Settings(BaseModel):
    """Base of all settings: frozen; a name that is not known is refused, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


def multiple_of(checked: S, name: str, value: int, divisor_name: str, divisor: int) -> S:
    """`checked`, if `value` is a multiple of `divisor`; else a ValueError with both of their names."""
    if value % divisor:
        raise ValueError(f"expected '{name}' to be a multiple of '{divisor_name}', got {value} and {divisor}")
    return checked


def check(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Checks `values` against `kind`. Errors: UserError, one line that names each wrong setting."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        errors = [each for each in error.errors(include_url=False) if not _follows(each, error)]
        told = [_explain(item, kind, values) for item in errors[:MOST_ERRORS]]
        more = [f"and {len(errors) - MOST_ERRORS:,} more"] if len(errors) > MOST_ERRORS else []
        raise UserError(f"{where}: {'; '.join(told + more)}") from None


def _follows(item: Any, error: ValidationError) -> bool:
    """Whether a list is only too short because what is in it is wrong."""
    place = item["loc"]
    below = (each["loc"] for each in error.errors(include_url=False) if len(each["loc"]) > len(place))
    return item["type"] == "too_short" and any(loc[: len(place)] == place for loc in below)


def refuse_endless(values: object, where: str) -> None:
    """Errors: UserError for more values, or more levels of them, than anybody writes.

    What YAML's aliases make is small in memory, and endless to walk through.
    """
    waiting, count = [(values, 0)], 0
    while waiting:
        value, level = waiting.pop()
        count += 1
        inside = list(value.values()) if isinstance(value, Mapping) else value
        if not isinstance(inside, (list, tuple)):
            continue
        if count + len(waiting) + len(inside) > MOST_VALUES:
            raise UserError(f"{where}: expected at most {MOST_VALUES:,} values, got more")
        if level == MOST_LEVELS:
            raise UserError(f"{where}: expected at most {MOST_LEVELS} levels, one inside the other, got more")
        waiting += [(each, level + 1) for each in inside]


def _explain(error: Any, kind: type[BaseModel], values: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words; the place names settings only, not which network's they are."""
    place: list[str] = []
    inside: Any = values
    for key in error["loc"]:
        if error["type"] != "missing":
            keys: Container[Any] = range(len(inside)) if isinstance(inside, (list, tuple)) else ()
            if key not in (inside if isinstance(inside, Mapping) else keys):
                continue  # the network that was chosen, or one of several forms
            inside = inside[key]
        place.append(one_line(str(key), LONGEST_NAME))
    name = f"'{'.'.join(place)}': " if place else ""
    if error["type"] == "extra_forbidden":
        old = ".".join(place[-2:])
        if old in REMOVED:
            return f"{name}no such setting any more"
        if old in RENAMED:
            return f"{name}now called '{RENAMED[old]}'"
        near = get_close_matches(place[-1], _names_beside(kind, place), n=1)
        return f"{name}no such setting" + "".join(f", did you mean '{known}'?" for known in near)
    if error["type"] == "union_tag_invalid":
        got = f"'{error['ctx']['tag']}'" if isinstance(error["input"], Mapping) else shown(error["input"])
        return f"{name}expected the name of a network, {error['ctx']['expected_tags']}, got {got}"
    told = _told(error)
    return f"{name}{told}" if ", got " in told else f"{name}{told}, got {shown(error['input'])}"


def _told(error: Any) -> str:
    """What was expected, in words."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    bounds = {key: f"{bound:g}" if isinstance(bound, float) else bound for key, bound in error.get("ctx", {}).items()}
    return WORDS[error["type"]].format(**bounds) if error["type"] in WORDS else "expected another value"


def _names_beside(kind: type[BaseModel], place: list[str]) -> list[str]:
    """The settings that there are in the group in which the last one of `place` was looked for."""
    groups = [kind]
    for key in place[:-1]:
        fields = [group.model_fields[key] for group in groups if key in group.model_fields]
        groups = [group for field in fields for group in _groups_in(field.annotation)]
    return [name for group in groups for name in group.model_fields]


def _groups_in(annotation: Any) -> list[type[BaseModel]]:
    """The groups of settings that a type allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for inside in get_args(annotation) for group in _groups_in(inside)]


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings `below` with the changes `above` laid over them, mapping by mapping.

    A mapping of another `name` takes the place of the one below: the settings of one network are none of another's.
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            alike = value.get("name", old.get("name")) == old.get("name")
            merged[key] = overlaid(old, value) if alike else value
        else:
            merged[key] = value
    return merged
