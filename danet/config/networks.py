"""The settings of each network."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from danet.config.base import Settings, multiple_of

Stream = Literal["joint", "bone", "joint_motion", "bone_motion", "distance"]


class Model(Settings):
    """The dual-attention network."""

    encoders: tuple[Annotated[tuple[Stream, ...], Field(min_length=1)], ...] = Field(
        (),
        description="Encoders side by side, by the streams that each of them sees; their labels are fused. None named: "
        "one, which sees all streams.",
    )
    width: PositiveInt = Field(64, description="Channels of a token.")
    blocks: PositiveInt = Field(4, description="Self-attention blocks, each in space and then in time.")
    heads: PositiveInt = Field(4, description="Attention heads.")
    stride: PositiveInt = Field(2, description="Frames that make one moment, the unit of attention in time.")
    stretches: PositiveInt = Field(4, description="Stretches of a clip, each with spatial attention of its own.")
    window: PositiveInt = Field(2, description="Local temporal heads see this many moments to either side.")
    expansion: PositiveInt = Field(2, description="Width of the feed-forward layer, in multiples of `width`.")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Whole residual branches dropped, per clip, growing with depth."
    )
    relations: bool = Field(True, description="Learned terms for the relation of each pair of tokens.")
    local_heads: bool = Field(
        True, description="Half of the heads, rounded down, see only their own part or window; else none does."
    )
    parts: bool = Field(True, description="Part tokens (torso, arms, legs) beside the joints.")
    cross_attention: bool = Field(True, description="Attention between two views of one performance.")

    @model_validator(mode="after")
    def _check_heads(self) -> "Model":
        return multiple_of(self, "width", self.width, "heads", self.heads)
