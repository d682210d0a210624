"""The two containers that data flows in: a batch of samples, and the tokens made of it."""

# B samples, N tokens, D width, P position coordinates.

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Collated samples.

    Attributes:
        inputs: named tensors, first dimension B ("image": (B, 3, H, W) float32, normalized).
        ids: (B,) int64 sample ids, the keys of every random draw.
        labels: (B,) int64, or None where the source has no labels.
    """

    inputs: Mapping[str, Tensor]
    ids: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> Tensor:
        return self.inputs[name]

    def rows(self, start: int, stop: int) -> "Batch":
        """The samples `start` … `stop` − 1 (a micro-batch, the first few for a picture)."""
        return replace(
            self,
            inputs={k: v[start:stop] for k, v in self.inputs.items()},
            ids=self.ids[start:stop],
            labels=None if self.labels is None else self.labels[start:stop],
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device (asynchronously from pinned memory)."""
        return replace(
            self,
            inputs={k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            ids=self.ids.to(device, non_blocking=True),
            labels=None if self.labels is None else self.labels.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory (the loader calls it before CUDA copies)."""
        return replace(
            self,
            inputs={k: v.pin_memory() for k, v in self.inputs.items()},
            ids=self.ids.pin_memory(),
            labels=None if self.labels is None else self.labels.pin_memory(),
        )


@dataclass(frozen=True)
class Tokens:
    """Inputs and targets alike: what a masker hides and an encoder reads.

    Attributes:
        values: (B, N, D), patches before embedding, tokens after.
        grid: the token grid, row-major ((rows, columns) or (frames, rows, columns)), or None.
        positions: (B, N, P) coordinates where there is no grid.
        valid: (B, N) bool, False = padding; None = all valid.
        edges: (2, E) int64, for graphs: the nodes are the tokens of one disjoint union.
    """

    values: Tensor
    grid: tuple[int, ...] | None = None
    positions: Tensor | None = None
    valid: Tensor | None = None
    edges: Tensor | None = None

    def __post_init__(self) -> None:
        if self.grid is not None and prod(self.grid) != self.values.shape[1]:
            raise ValueError(f"grid {self.grid} does not hold {self.values.shape[1]} tokens")

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def count(self) -> int:
        """N, the number of tokens of each sample."""
        return self.values.shape[1]
