"""What every method is: one module with a training step, features, and a key map."""

# B samples, N tokens, M predicted tokens, D width.

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .config import Config as BaseConfig
from .draws import Draws
from .keymap import Key
from .masking.mask import Mask
from .modality import Source
from .step import StepContext
from .tokens import Batch, Tokens
from .training.distributed import World


@dataclass(frozen=True)
class StepOutput:
    """What a forward pass gives.

    Attributes:
        loss: scalar float32.
        parts: named scalars that the loss is made of, for the log.
        adversary_loss: scalar float32, the loss of `Method.ADVERSARY`, whose gradient must touch
            nothing else, as `loss` must not touch the adversary; or None.
        prediction: (B, M, D) at `mask.predict`, or None.
        mask: what was hidden and predicted, or None.
    """

    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    adversary_loss: Tensor | None = None
    prediction: Tensor | None = None
    mask: Mask | None = None


class Method(nn.Module, ABC):
    """Base of all methods.

    A method *has* a masker, a trunk and a decoder; it derives from nothing but this class.

    Attributes:
        slug: its name in the registry.
        modality: the slug of its modality.
        Config: its settings class.
        KEYMAP: official key → our key, both ways.
        ADVERSARY: the name of the sub-module that is trained against the method (a discriminator).
            Its learning rate is constant and its gradient is clipped apart.
        SHARDED: the name of the sub-module (`core.training.row_shards.RowShard`) whose rows are
            shared out over processes (class weights). Its gradient is not clipped.
        NO_DECAY: parameters without weight decay, beside biases and what has one dimension.
    """

    slug: ClassVar[str]
    modality: ClassVar[str]
    Config: ClassVar[type[BaseConfig]]
    KEYMAP: ClassVar[tuple[Key, ...]] = ()
    ADVERSARY: ClassVar[str | None] = None
    SHARDED: ClassVar[str | None] = None
    NO_DECAY: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: BaseConfig) -> None:
        super().__init__()
        self.config: Any = config

    @abstractmethod
    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """One training step's loss; `mask` replaces the drawn one."""

    @abstractmethod
    def features(self, batch: Batch) -> Tensor:
        """(B, D) float32 features of whole samples: no masking, no randomness, one function
        for training monitors and benchmarks alike."""  # noqa: D205, D209

    @abstractmethod
    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """Tokens in the units of the input: predictions where predicted, the input elsewhere."""

    @classmethod
    def data_defaults(cls, config: BaseConfig) -> dict[str, Any]:
        """Settings of the modality that the method's own settings fix (such as the size)."""
        return {}

    def check_source(self, source: Source) -> None:
        """Called before a run folder is made or gone on with: whether these data will do.

        Accepts all by default.

        Raises:
            UsageError: they are of another kind than the method learns from.
            DataError: a sample shows it.
        """

    def build_for(self, source: Source, world: World) -> None:
        """Called after `check_source`, before the optimizer is made: adds what depends on the data
        (a row per class) and on the processes that share it. Does nothing by default.

        Raises:
            UsageError: these processes cannot share it.
        """  # noqa: D205, D209

    def fit(self, batches: Iterable[Batch]) -> None:
        """Called once before a new run's first step, with one pass over the training data as
        evaluation sees it: statistics that the method keeps. Does nothing by default."""  # noqa: D205, D209

    @property
    def refits(self) -> bool:
        """Whether `fit` is called on resumption too, for what it keeps outside the weights."""
        return False

    def after_step(self, step: StepContext) -> None:
        """Called after each optimizer step (teachers, queues); does nothing by default."""

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Which of the method's published containers official key names belong to."""
        return "pretrain"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""
        return {}

    @classmethod
    def from_container(
        cls,
        container: str,
        config: Any,
        shapes: Mapping[str, tuple[int, ...]],  # noqa: ANN401
    ) -> nn.Module:
        """The module that a container's weights (of these shapes) fill."""
        return cls(config)

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device
