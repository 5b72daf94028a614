"""The settings of clips: how a sequence is cut, turned and disturbed before a network sees it."""

from typing import Annotated, Literal

from pydantic import Field

from danet.config.base import Positive, Real, Settings

Stream = Literal["joint", "bone", "joint_motion", "bone_motion", "distance"]


class ClipSettings(Settings):
    """How a sequence becomes the clip that the network sees."""

    frames: Positive = Field(
        32, le=10_000, description="Frames of a clip, spread evenly over the part of the sequence it covers."
    )
    frame_choice: Literal["spread", "even", "drawn"] = Field(
        "spread",
        description="In training, spread: one anywhere in each of as many equal parts of the crop; even: the middle of "
        "each part, as at test; drawn: any frames of the crop, in their order, one perhaps several times.",
    )
    streams: tuple[Stream, ...] = Field(
        ("joint", "bone", "joint_motion", "bone_motion"),
        min_length=1,
        max_length=5,
        description="What the channels of a clip hold: where each joint is, the bone that ends there, the motion of "
        "both; distance: how far the joint is from the root and from the end of each part, which no turn changes.",
    )
    face_camera: bool = Field(
        True, description="Turn each sequence about the vertical so that hips and shoulders lie along x on average."
    )
    up: Literal["y", "z"] = Field(
        "y", description="Which axis of a clip points up: y as in a sensor's numbers; z, and then y to the camera."
    )
    shortest_crop: Real = Field(
        0.6, gt=0, le=1, description="In training a clip covers at least this share of the sequence."
    )
    turn_degrees: Real = Field(
        20.0, ge=0, le=180, description="In training, a random turn about the vertical of up to this."
    )
    tilt_degrees: Real = Field(
        10.0, ge=0, le=90, description="In training, a random tilt about the two level axes of up to this."
    )
    scale: Real = Field(0.1, ge=0, lt=1, description="In training, a random change of body size of up to this share.")
    test_crops: tuple[Annotated[Real, Field(gt=0, le=1)], ...] = Field(
        (1.0,),
        min_length=1,
        max_length=64,
        description="At test, shares of a sequence that crops cover: one crop of all of it, three of each smaller "
        "share. Their scores are averaged, and the more confident a crop, the more it counts.",
    )
    test_draws: Positive = Field(
        1,
        le=64,
        description="At test, how often each crop is cut, at other places inside the equal parts; the scores of all "
        "are averaged.",
    )
    unit_box: bool = Field(
        False, description="Scale each axis of a clip to -1 to 1, over its frames, joints and actors, after all else."
    )
    mirror: Real = Field(
        0.0,
        ge=0,
        le=1,
        description="In training, the chance that left and right change places; 0 where actions have a side.",
    )
    masked_joints: Real = Field(
        0.0, ge=0, lt=1, description="In training, the chance that a joint's channels are zero throughout a clip."
    )
    jitter_metres: Real = Field(
        0.0, ge=0, description="In training, normal noise on every joint, of a deviation of up to this."
    )
    jitter_chance: Real = Field(1.0, gt=0, le=1, description="In training, the chance that a clip has such noise.")
