"""What a trained network says of itself, in its weights and in an exported file; read without torch."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, StrictBool, model_validator

from danet.config.base import Settings, check
from danet.config.clips import ClipSettings
from danet.config.networks import AnyNetwork
from danet.config.settings import Prepare
from danet.errors import UserError, brief
from danet.skeleton.layout import Layout, find_layout

FORMAT = 2  # rises when what was written before can no longer be read


class Description(Settings):
    """What labels are made with, checked. A reader ignores what it does not know beside it."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True, allow_inf_nan=False)

    model: AnyNetwork
    clips: ClipSettings
    layout: Layout
    actions: tuple[str, ...] = Field(min_length=1)
    uses_pairs: StrictBool
    confidence_power: float = Field(strict=True, ge=0, le=1000)
    temperature: float = Field(strict=True, gt=0)
    unknown_below: float | None = Field(None, strict=True)
    prepare: Prepare | None = None

    @model_validator(mode="after")
    def _check_clips(self) -> "Description":
        self.model.check_clips(self.clips)
        return self


def read_description(description: object, where: str) -> Description:
    """Checks what a network's file says of it; `where` names the file in messages.

    Errors: UserError for what is no description, is of another format, or has settings that are wrong or not known.
    """
    if not isinstance(description, Mapping) or "model" not in description:
        got = "a file without one" if isinstance(description, Mapping) else f"a {type(description).__name__}"
        raise UserError(f"{where}: expected a network with its description, got {got}")
    check_format(description, where)
    values = {key: description[key] for key in Description.model_fields if key in description}
    try:
        if "layout" in values:
            values["layout"] = find_layout(values["layout"])
        return check(Description, values, "description")
    except UserError as error:
        raise UserError(f"{where}: expected a sound description of a network, got: {brief(error, 300)}") from None


def check_format(description: Mapping[str, Any], where: str) -> None:
    """Errors: UserError for a network that was written by another version of danet."""
    written = description.get("format", 1)
    if type(written) is not int:
        raise UserError(f"{where}: expected a network of format {FORMAT}, got format {brief(repr(written), 60)}")
    if written != FORMAT:
        advice = "train it anew" if written < FORMAT else "update danet"
        raise UserError(f"{where}: expected a network of format {FORMAT}, got format {written}; {advice}")
