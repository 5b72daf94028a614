"""The settings of each network, one class a network, and the choice among them by `name`."""

from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from danet.config.base import Positive, Real, Settings, multiple_of
from danet.config.clips import ClipSettings, Stream

PARTITION = 8  # frames that a SkateFormer of 64 frames attends to at once
SMALLEST_PARTITION, LARGEST_PARTITION = 4, 16


class NetworkSettings(Settings):
    """Base of the settings of one network: `name` is its own in the registry, `title` that in publications."""

    title: ClassVar[str] = ""
    name: str

    def check_clips(self, clips: ClipSettings) -> None:
        """Raises ValueError where the network cannot be given such clips; any will do unless a network says more."""

    def of_people(self, people: int) -> "NetworkSettings":
        """The same for samples of at most so many actors; itself where the network takes any number."""
        return self


class DANetSettings(NetworkSettings):
    """The dual-attention network."""

    title = "DANet"
    name: Literal["danet"] = Field("danet", description="Which network: this one.")
    encoders: tuple[Annotated[tuple[Stream, ...], Field(min_length=1, max_length=5)], ...] = Field(
        (),
        max_length=64,
        description="Encoders side by side, by the streams that each of them sees; scores are averaged. None named: "
        "one, which sees all streams.",
    )
    width: Positive = Field(64, le=4096, description="Channels of a token.")
    blocks: Positive = Field(4, le=256, description="Self-attention blocks, each in space and then in time.")
    heads: Positive = Field(4, le=256, description="Attention heads.")
    patch_frames: Positive = Field(
        2, le=10_000, description="Frames that make one patch, the unit of attention in time."
    )
    segments: Positive = Field(4, le=10_000, description="Segments of a clip, each with spatial attention of its own.")
    local_radius: Positive = Field(
        2, le=10_000, description="Local temporal heads see this many patches to either side."
    )
    expansion: Positive = Field(2, le=64, description="Width of the feed-forward layer, in multiples of `width`.")
    drop_path: Real = Field(
        0.1, ge=0, lt=1, description="Chance that a whole residual branch is dropped, per clip, growing with depth."
    )
    relations: bool = Field(True, description="Learned terms for the relation of each pair of tokens.")
    local_heads: bool = Field(
        True,
        description="Half of the heads, rounded down, see only their own part or the patches around; else none does.",
    )
    parts: bool = Field(True, description="Part tokens (torso, arms, legs) beside the joints.")
    cross_attention: bool = Field(True, description="Attention between two views of one performance.")
    cross_view_weight: Real = Field(0.5, ge=0, description="Weight of labelling each clip in the light of its partner.")
    feature_agreement: Real = Field(1.0, ge=0, description="Weight of the agreement of the two views' features.")

    @model_validator(mode="after")
    def _check_heads(self) -> "DANetSettings":
        return multiple_of(self, "width", self.width, "heads", self.heads)

    def check_clips(self, clips: ClipSettings) -> None:
        """Raises ValueError unless encoders see streams that there are, and patches and segments divide the frames."""
        for streams in self.encoders:
            if not set(streams) <= set(clips.streams):
                expected, got = ", ".join(clips.streams), ", ".join(streams)
                raise ValueError(f"expected 'model.encoders' to see some of 'clips.streams', {expected}, got {got}")
        multiple_of(self, "frames", clips.frames, "patch_frames", self.patch_frames)
        multiple_of(self, "frames / patch_frames", clips.frames // self.patch_frames, "segments", self.segments)


class ClipNetworkSettings(NetworkSettings):
    """Base of the settings of a network that sees all actors of a sample at once."""

    people: Positive | None = Field(
        None,
        le=10,
        description="Actors of a sample that it sees, the first ones; a place without an actor holds zeros. By default "
        "as many as any training sample has.",
    )

    def of_people(self, people: int) -> "ClipNetworkSettings":
        """The same, with `people` where it is not said."""
        return self if self.people else self.model_copy(update={"people": people})


class GraphNetworkSettings(ClipNetworkSettings):
    """Base of the settings of a network of ten blocks over the graph of a skeleton."""

    width: Positive = Field(
        64,
        multiple_of=8,
        le=4096,
        description="Channels of the first four blocks; then come twice, and four times as many.",
    )


class TwoStreamAGCNSettings(GraphNetworkSettings):
    """One stream of 2s-AGCN."""

    title = "2s-AGCN"
    name: Literal["2s_agcn"] = Field("2s_agcn", description="Which network: this one.")


class CTRGCNSettings(GraphNetworkSettings):
    """One stream of CTR-GCN."""

    title = "CTR-GCN"
    name: Literal["ctr_gcn"] = Field("ctr_gcn", description="Which network: this one.")


class STGCNPlusPlusSettings(GraphNetworkSettings):
    """One stream of ST-GCN++."""

    title = "ST-GCN++"
    name: Literal["st_gcn_pp"] = Field("st_gcn_pp", description="Which network: this one.")


class DGSTGCNSettings(GraphNetworkSettings):
    """One stream of DG-STGCN."""

    title = "DG-STGCN"
    name: Literal["dg_st_gcn"] = Field("dg_st_gcn", description="Which network: this one.")


class SGNSettings(ClipNetworkSettings):
    """The semantics-guided network."""

    title = "SGN"
    name: Literal["sgn"] = Field("sgn", description="Which network: this one.")
    dropout: Real = Field(0.2, ge=0, lt=1, description="Chance that a channel of all frames is dropped in training.")


class SkateFormerSettings(ClipNetworkSettings):
    """The transformer of skeletal and temporal partitions."""

    title = "SkateFormer"
    name: Literal["skateformer"] = Field("skateformer", description="Which network: this one.")
    width: Positive = Field(
        96, multiple_of=32, le=4096, description="Channels of a token in the first stage; later ones have twice."
    )
    drop_path: Real = Field(
        0.2, ge=0, lt=1, description="Chance that the last block's residual branches are dropped; less in earlier ones."
    )
    bias_over_frames: bool = Field(
        False,
        description="Lay the learnt bias of near tokens over frames, as in the paper; else over tokens, as released.",
    )

    def check_clips(self, clips: ClipSettings) -> None:
        """Raises ValueError unless the frames of each stage can be parted into equal partitions of fit size."""
        for frames, part in zip(_stages(clips.frames), self.partition_frames(clips.frames), strict=True):
            if part < min(frames, SMALLEST_PARTITION):
                sizes = f"{SMALLEST_PARTITION} to {LARGEST_PARTITION}"
                raise ValueError(
                    f"expected 'clips.frames' that, halved three times, stay multiples of {sizes}, as 64, "
                    f"got {clips.frames}, which become {frames}"
                )

    def partition_frames(self, frames: int) -> list[int]:
        """Frames P of a partition in each stage: of the divisors of the stage's frames the one nearest to 8."""
        return [
            min((part for part in range(1, LARGEST_PARTITION + 1) if count % part == 0), key=_off_partition)
            for count in _stages(frames)
        ]


def _stages(frames: int) -> list[int]:
    """The frames of each stage of a SkateFormer: those of the clip, and thrice half of them, rounded up."""
    return [-(-frames // 2**stage) for stage in range(4)]


def _off_partition(part: int) -> float:
    """How far a partition's frames are from the authors', as a ratio."""
    return max(part / PARTITION, PARTITION / part)


class TransformerStreamSettings(ClipNetworkSettings):
    """What the two streams of ST-TR share."""

    width: Positive = Field(
        64,
        multiple_of=16,
        le=4096,
        description="Channels of the blocks of graphs; then come twice, and four times as many. Clips of joint and "
        "bone double them all.",
    )
    dropout: Real = Field(
        0.5, ge=0, lt=1, description="In training, the chance that a number is zero before a convolution over frames."
    )
    key_dropout: Real = Field(
        0.5, ge=0, lt=1, description="In training, the chance that a head of attention does not see a joint or a frame."
    )


class SpatialTransformerSettings(TransformerStreamSettings):
    """S-TR, the stream of ST-TR with attention over joints."""

    title = "S-TR"
    name: Literal["s_tr"] = Field("s_tr", description="Which network: this one.")


class TemporalTransformerSettings(TransformerStreamSettings):
    """T-TR, the stream of ST-TR with attention over frames."""

    title = "T-TR"
    name: Literal["t_tr"] = Field("t_tr", description="Which network: this one.")


NETWORKS: tuple[type[NetworkSettings], ...] = (
    DANetSettings,
    TwoStreamAGCNSettings,
    CTRGCNSettings,
    STGCNPlusPlusSettings,
    DGSTGCNSettings,
    SGNSettings,
    SkateFormerSettings,
    SpatialTransformerSettings,
    TemporalTransformerSettings,
)
DEFAULT = "danet"
FUSED = {frozenset(("s_tr", "t_tr")): "ST-TR"}  # networks that were published as one method


def name_of(network: type[NetworkSettings]) -> str:
    """The name by which a network is chosen."""
    return network.model_fields["name"].default


def title_of(names: Collection[str]) -> str:
    """What publications call a method of these networks; empty where they know none."""
    titles = {name_of(network): network.title for network in NETWORKS}
    alone = next(iter(names)) if len(set(names)) == 1 else ""
    return FUSED.get(frozenset(names), titles.get(alone, ""))


def _chosen(values: Any) -> str:
    return str(values.get("name", DEFAULT)) if isinstance(values, Mapping) else getattr(values, "name", "")


if TYPE_CHECKING:
    AnyNetwork = NetworkSettings
else:
    AnyNetwork = Annotated[
        reduce(or_, (Annotated[network, Tag(name_of(network))] for network in NETWORKS)), Discriminator(_chosen)
    ]
_ADAPTER: TypeAdapter[NetworkSettings] = TypeAdapter(AnyNetwork)


NAMES = tuple(map(name_of, NETWORKS))


def read_network(values: Mapping[str, Any]) -> NetworkSettings:
    """The settings of the network that the values name."""
    return _ADAPTER.validate_python(values)
