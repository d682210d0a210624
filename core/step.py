"""Where training stands: what maskers and methods may depend on beside the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class StepContext:
    """Where training stands, and what an earlier pass or a teacher scored.

    Attributes:
        progress: 0…1 through the run.
        epoch: from 0.
        step: optimizer steps done.
        scores: named tensors, (B, N) each.
    """

    progress: float = 0.0
    epoch: int = 0
    step: int = 0
    scores: Mapping[str, Tensor] = field(default_factory=dict)
