"""The settings of the training loop."""

from typing import Literal

from pydantic import Field, model_validator

from danet.config.base import Positive, PositiveReal, Real, Settings, Whole

PairedViews = Literal["views", "copies", "none"]


class TrainSettings(Settings):
    """The training loop."""

    epochs: Positive = Field(60, le=100_000, description="Passes over the training samples.")
    refit: bool = Field(
        False,
        description="Train anew on training and validation part together, for as many epochs as were chosen.",
    )
    warmup_epochs: Whole = Field(5, ge=0, le=100_000, description="Epochs in which the learning rate rises from 0.")
    batch_size: Positive = Field(32, le=65_536, description="Clips a step, not counting their partners.")
    paired_views: PairedViews = Field(
        "views",
        description="views: each clip is paired with another view of its performance, or with a rotated copy of itself "
        "where there is none; copies: always with a rotated copy; none: with nothing. A network that does not learn "
        "from pairs takes none.",
    )
    grad_accum_steps: Positive = Field(
        1,
        le=65_536,
        description="Micro-batches that a batch is cut into, one computed after the other, to save memory; 1 for "
        "networks with BatchNorm.",
    )
    processes: Positive = Field(
        1,
        le=1024,
        description="Processes that train one network together, each on its share of every batch, each on a GPU, or "
        "all of them on the CPU with its threads shared out; 1 for networks with BatchNorm.",
    )
    bfloat16: bool = Field(
        True, description="Products of bfloat16 where the device multiplies it faster; else all is float32."
    )
    cuda_graphs: bool = Field(
        True,
        description="On a GPU, record the kernels of a step once and start them all at once (CUDA graphs); to be "
        "switched off for a layer of your own that cannot be recorded.",
    )
    optimizer: Literal["muon", "adamw", "adam", "sgd"] = Field(
        "muon",
        description="muon: Muon for the matrices that a network names for it, AdamW for the rest; adamw, adam: that "
        "for all; sgd: stochastic gradient descent with Nesterov's momentum of 0.9.",
    )
    learning_rate: PositiveReal = Field(1e-3, description="Learning rate after the warm-up.")
    schedule: Literal["cosine", "constant", "step"] = Field(
        "cosine",
        description="cosine: the rate then falls to 0; constant: it stays, and the EMA settles; step: it is multiplied "
        "by `decay_factor` after each of the `milestones`.",
    )
    milestones: tuple[Positive, ...] = Field(
        (), max_length=64, description="Of the schedule step: the epochs after which the rate falls, rising."
    )
    decay_factor: Real = Field(0.1, gt=0, lt=1, description="Of the schedule step: what the rate is multiplied by.")
    weight_decay: Real = Field(
        0.05,
        ge=0,
        description="muon, adamw: decoupled weight decay, on weights of two or more axes; adam, sgd: added to the "
        "gradient, of every parameter.",
    )
    label_smoothing: Real = Field(0.1, ge=0, lt=1, description="Share of the target spread over all actions.")
    max_grad_norm: Real = Field(1.0, ge=0, description="Largest norm of the gradient; 0: any.")
    keep_epochs: bool = Field(
        False, description="Keep the weights of every epoch, so that the report can tell what each would have scored."
    )
    ema_decay: Real = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the running mean of the weights (EMA), which is evaluated.",
    )

    @model_validator(mode="after")
    def _check_milestones(self) -> "TrainSettings":
        steps, milestones = self.schedule == "step", list(self.milestones)
        if steps != bool(milestones):
            expected = "'milestones' for the 'schedule'" if steps else "no 'milestones' for another 'schedule' than"
            raise ValueError(f"expected {expected} step, got {milestones or 'none'}")
        if milestones != sorted({*milestones}) or any(each >= self.epochs for each in milestones):
            raise ValueError(f"expected rising 'milestones' below {self.epochs} 'epochs', got {milestones}")
        return self
