"""Tokens of which each cloud shows another number: packed to the front, padded, put back."""

# B clouds, G tokens, V places (the most that a cloud shows), D width.

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """Where the visible tokens of each cloud go.

    Attributes:
        ids: (B, V) int64, the visible tokens in ascending order, then any others.
        valid: (B, V) bool, False = padding.
    """

    ids: Tensor
    valid: Tensor

    @classmethod
    def of(cls, visible: Tensor) -> "Packed":
        """The places of (B, G) bool visible tokens."""
        counts = visible.sum(1)
        longest = max(1, int(counts.max()))
        order = torch.argsort((~visible).to(torch.uint8), dim=1, stable=True)
        places = torch.arange(longest, device=visible.device)
        return cls(order[:, :longest], places < counts[:, None])

    def take(self, values: Tensor) -> Tensor:
        """(B, V, D) of (B, G, D), padding zero."""
        rows = values.gather(1, self.ids[:, :, None].expand(-1, -1, values.shape[-1]))
        return rows * self.valid[:, :, None].to(rows.dtype)

    def put(self, values: Tensor, packed: Tensor) -> Tensor:
        """(B, G, D) `values` with the visible rows replaced by (B, V, D) `packed`."""
        ids = self.ids[:, :, None].expand(-1, -1, values.shape[-1])
        kept = torch.where(self.valid[:, :, None], packed.to(values.dtype), values.gather(1, ids))
        return values.scatter(1, ids, kept)
