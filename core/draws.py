"""All randomness of data order, augmentation, masks and synthesis: counter-based, per row.

Philox4x32-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3") is a pure
function of a key and a counter. The key is a hash of (seed, stream name), the counter is
(position, sample id, epoch), so a row's numbers depend on nothing else: not on its batch, its
worker, its rank or the device.
"""

# B rows (samples), S the shape drawn for each row.

import hashlib
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

_ROUNDS = 10
_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_VIEW = 0x1E3779B97F4A7C15  # odd, so that no two views of a row share an id
_FEW = 4  # blocks; the loader draws so few per sample, ten times faster than by tensors


Words = TypeVar("Words", Tensor, int)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> list[Words]:
    """Four words of 32 random bits per counter (Philox4x32-10).

    Args:
        counter: four int64 tensors of one broadcastable shape (or four integers), each holding
            a 32-bit word.
        key: two 32-bit words.

    Returns:
        Four int64 tensors (or integers) with values in [0, 2^32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # int64 products wrap modulo 2^64, so both 32-bit halves of the product are exact
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((second >> 32) & _LOW) ^ c1 ^ k0,
            second & _LOW,
            ((first >> 32) & _LOW) ^ c3 ^ k1,
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return [c0, c1, c2, c3]


def _few_words(ids: list[int], n_blocks: int, epoch: int, key: tuple[int, int]) -> Tensor:
    """The same words by Python's integers: (B, 4 n_blocks) int64."""
    rows = [
        [word for b in range(n_blocks) for word in philox((b, i & _LOW, i >> 32, epoch), key)]
        for i in ids
    ]
    return torch.tensor(rows, dtype=torch.int64)


@dataclass(frozen=True)
class Draws:
    """Random numbers keyed per row by (seed, stream, epoch, sample id).

    Attributes:
        seed: the run's (or the plan's) seed.
        ids: (B,) int64 sample ids; for synthesis the identity.
        epoch: the epoch; for synthesis the image's number.
        stream: what the numbers are for; `fork` makes independent streams.

    Example:
        >>> draws = Draws(seed=0, ids=torch.tensor([5, 9]))
        >>> alone = Draws(seed=0, ids=torch.tensor([9]))
        >>> bool((draws.uniform(4)[1] == alone.uniform(4)[0]).all())
        True
    """

    seed: int
    ids: Tensor
    epoch: int = 0
    stream: str = ""

    def fork(self, name: str) -> "Draws":
        """An independent stream of the same rows."""
        return replace(self, stream=f"{self.stream}/{name}")

    def views(self, count: int) -> "Draws":
        """`count` rows of each row, side by side; the first has the row's own numbers.

        Example:
            >>> draws = Draws(seed=0, ids=torch.tensor([5, 9]))
            >>> bool((draws.views(2).uniform(4)[::2] == draws.uniform(4)).all())
            True
        """
        offsets = torch.arange(count, device=self.ids.device) * _VIEW
        return replace(self, ids=(self.ids[:, None] ^ offsets).flatten())

    def step(self, number: int) -> "Draws":
        """One row keyed by the step's number: for what a paper draws once per batch."""
        ids = torch.zeros(1, dtype=torch.int64, device=self.ids.device)
        return replace(self, ids=ids, epoch=number, stream=f"{self.stream}/step")

    def bits(self, *shape: int) -> Tensor:
        """32 random bits per value: (B, *shape) int64 in [0, 2^32)."""
        count = int(torch.Size(shape).numel())
        digest = hashlib.blake2b(f"{self.seed}\0{self.stream}".encode(), digest_size=8).digest()
        key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
        n_blocks = (count + 3) // 4
        if self.ids.device.type == "cpu" and 0 < len(self.ids) * n_blocks <= _FEW:
            flat = _few_words(self.ids.tolist(), n_blocks, self.epoch & _LOW, key)
        else:
            ids = self.ids.to(torch.int64)[:, None]
            block = torch.arange(n_blocks, device=ids.device)[None, :]
            epoch = torch.full_like(block, self.epoch & _LOW)
            words = philox((block, ids & _LOW, (ids >> 32) & _LOW, epoch), key)
            flat = torch.stack(torch.broadcast_tensors(*words), dim=-1).flatten(1)
        return flat[:, :count].reshape(len(self.ids), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1): (B, *shape) float32, exact multiples of 2^-24."""
        return (self.bits(*shape) >> 8).to(torch.float32) * 2.0**-24

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (Box-Muller in float64): (B, *shape) float32."""
        # +1: the logarithm's argument lies in (0, 1]
        pairs = (self.bits(2, *shape).to(torch.float64) + 1) * 2.0**-32
        radius = torch.sqrt(-2 * torch.log(pairs[:, 0]))
        return (radius * torch.cos(2 * torch.pi * pairs[:, 1])).to(torch.float32)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers in [0, high), high < 2^31: (B, *shape) int64 (bias below high / 2^32)."""
        return (self.bits(*shape) * high) >> 32

    def permutation(self, n: int) -> Tensor:
        """A random order of range(n) per row: (B, n) int64."""
        wide = (self.fork("high").bits(n) << 31) ^ self.bits(n)
        return torch.argsort(wide, dim=1, stable=True)
