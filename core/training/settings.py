"""The settings of a training run: how weights change (`optim`) and how the run goes (`train`)."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ..config import Config


def _none(value: object) -> object:
    """TOML has no null: the word "none" un-sets an optional setting."""
    return None if value == "none" else value


Unset = BeforeValidator(_none)
PositiveFloat = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class OptimSettings(Config):
    """How the weights change; the defaults are MAE's published pre-training.

    Example:
        >>> OptimSettings(blr=1.5e-4).learning_rate(batch_size=4096)
        0.0024
    """

    # adam: its weight decay is part of the gradient
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    lr: Annotated[PositiveFloat | None, Unset] = None  # absolute; wins over blr
    blr: PositiveFloat = 1.5e-4  # lr = blr · batch / blr_batch
    blr_batch: PositiveInt = 256  # Goyal et al., 2017
    betas: tuple[Share, Share] = (0.9, 0.95)  # adamw, adam
    eps: PositiveFloat = 1e-8  # adamw, adam
    momentum: Share = 0.9  # sgd, lars
    trust: PositiveFloat = 1e-3  # lars
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    decay_all: bool = False  # biases and norms too
    warmup_epochs: Annotated[float, Field(ge=0)] = 40.0
    warmup_steps: Annotated[Annotated[int, Field(ge=0)] | None, Unset] = None  # wins over epochs
    warmup_start: Share = 0.0  # of lr, where the warm-up begins
    min_lr: Annotated[float, Field(ge=0)] = 0.0  # as large as lr: no schedule
    per_epoch: bool = False  # the schedule moves between epochs only
    # epochs done after which the rate is divided by 10, in place of the cosine (ResNets, ArcFace)
    drop_epochs: Annotated[tuple[PositiveFloat, ...] | None, Unset] = None
    clip_norm: Annotated[PositiveFloat | None, Unset] = None
    layer_decay: Annotated[Annotated[float, Field(gt=0, le=1)] | None, Unset] = None

    def learning_rate(self, batch_size: int) -> float:
        """The peak learning rate for a global batch."""
        return self.blr * batch_size / self.blr_batch if self.lr is None else self.lr


class TrainSettings(Config):
    """How the run goes; the keys in `RUNTIME` change nothing that is computed."""

    epochs: PositiveFloat = 800.0
    steps: Annotated[PositiveInt | None, Unset] = None  # wins over epochs
    batch_size: PositiveInt = 4096  # over all processes and accumulated micro-batches
    accumulate: PositiveInt = 1  # micro-batches in a step
    last_batch: Literal["drop", "keep"] = "drop"  # of an epoch, where it is incomplete
    precision: Literal["fp32", "bf16"] = "bf16"
    compile: bool | Literal["auto"] = "auto"  # auto: on CUDA only
    ema_decay: Annotated[Share | None, Unset] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    max_skipped: PositiveInt = 10  # non-finite steps in a row before the run stops
    checkpoint_every_s: PositiveFloat = 600.0
    checkpoint_every_steps: Annotated[PositiveInt | None, Unset] = None  # beside the seconds
    keep: PositiveInt = 2  # checkpoints
    picture_every: Annotated[PositiveInt | None, Unset] = None  # steps
    workers: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"

    @model_validator(mode="after")
    def _divides(self) -> "TrainSettings":
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of accumulate {self.accumulate}"
            )
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps of the whole run, at least one."""
        return self.steps or max(1, round(self.epochs * steps_per_epoch))


# what a resumed run may have otherwise than the run that it continues
RUNTIME = frozenset(
    f"train.{key}"
    for key in (
        "checkpoint_every_s", "checkpoint_every_steps", "keep", "picture_every", "workers",
        "device",
    )
)  # fmt: skip
