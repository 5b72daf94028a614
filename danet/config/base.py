"""What all settings share: they are frozen, checked, and refused by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from danet.errors import UserError

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


class Settings(BaseModel):
    """Base of all settings: frozen, and a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


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
        raise UserError(f"{where}: {'; '.join(_explain(item, values) for item in error.errors())}") from None


def _explain(error: Any, values: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words; the place names settings only, not which network's they are."""
    place: list[str] = []
    inside: Any = values
    for key in error["loc"]:
        if isinstance(inside, Mapping) and key not in inside and error["type"] != "missing":
            continue  # the network that was chosen
        place.append(str(key))
        inside = inside[key] if isinstance(inside, (Mapping, list, tuple)) and error["type"] != "missing" else None
    name = f"'{'.'.join(place)}': " if place else ""
    if error["type"] == "extra_forbidden":
        old = ".".join(place[-2:])
        if old in REMOVED:
            return f"{name}no such setting any more"
        return name + (f"now called '{RENAMED[old]}'" if old in RENAMED else "no such setting")
    if error["type"] == "union_tag_invalid":
        return f"{name}expected the name of a network, {error['ctx']['expected_tags']}, got '{error['ctx']['tag']}'"
    told = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    return f"{name}{told}" if ", got " in told else f"{name}{told}, got {error['input']!r}"


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
