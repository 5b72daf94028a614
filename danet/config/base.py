"""What all settings share: they are frozen, checked, and refused by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from danet.errors import UserError

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: frozen, and a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def multiple_of(checked: S, one: str, large: int, other: str, small: int) -> S:
    """`checked`, if `large` is a multiple of `small`; else a ValueError with both of their names."""
    if large % small:
        raise ValueError(f"wanted '{one}' to be a multiple of '{other}', found {large} and {small}")
    return checked


def check(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Checks `values` against `kind`. Errors: UserError, one line that names each wrong setting."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong = (
            f"'{'.'.join(map(str, item['loc']))}': "
            + ("no such setting" if item["type"] == "extra_forbidden" else f"{item['msg']}, found {item['input']!r}")
            for item in error.errors()
        )
        raise UserError(f"{where}: {'; '.join(wrong)}") from None


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings `below` with the changes `above` laid over them, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = overlaid(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
