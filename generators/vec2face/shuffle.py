"""A shuffled order of N rows, of which any row's place is computed alone.

A Feistel network permutes the numbers of 2h bits whatever its round function is (Luby & Rackoff,
1988); applied again while the result lies outside 0 … N - 1 ("cycle walking", Black & Rogaway,
2002) it permutes these. So every place is taken exactly once, as in a stored shuffle, with no
memory and no order of work.
"""

# B rows.

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.draws import Draws

_ROUNDS = 8


@dataclass(frozen=True)
class KeyedShuffle:
    """A permutation of 0 … n - 1, keyed by a seed.

    Attributes:
        n: how many rows.
        seed: of the order.
        stream: what the order is for.

    Example:
        >>> sorted(KeyedShuffle(5, seed=3).places(torch.arange(5)).tolist())
        [0, 1, 2, 3, 4]
    """

    n: int
    seed: int
    stream: str = "shuffle"

    def places(self, rows: Tensor) -> Tensor:
        """The place (B,) int64 of each row (B,)."""
        places = self._permuted(rows.to(torch.int64))
        outside = places >= self.n
        while bool(outside.any()):
            places[outside] = self._permuted(places[outside])
            outside = places >= self.n
        return places

    def _permuted(self, values: Tensor) -> Tensor:
        """One pass through the network: a permutation of the numbers of 2h bits."""
        half = max(1, ((self.n - 1).bit_length() + 1) // 2)
        low = (1 << half) - 1
        left, right = values >> half, values & low
        for number in range(_ROUNDS):
            draws = Draws(self.seed, right, epoch=number, stream=self.stream)
            left, right = right, left ^ (draws.bits(1)[:, 0] & low)
        return (left << half) | right
