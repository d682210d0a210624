"""Pictures that look the same: hashes of their coarse structure, compared bit by bit.

A hash has 64 bits: of the discrete cosine transform of the small grey picture, whether each of the
8 × 8 lowest frequencies (without the constant row and column) lies above their median (Zauner,
2010). Light and contrast do not change it; a JPEG or a slight blur turns few bits.
"""

# N pictures, M others, S side of the small grey picture.

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values

BITS = 64
_SIDE = 8
_ROWS = 2048


class NearestHash(NamedTuple):
    """The nearest other hash.

    Attributes:
        bits: (N,) int64 differing bits; 65 where there is no other.
        row: (N,) which one, the first of equally near; -1 where there is none.
    """

    bits: NDArray[np.int64]
    row: NDArray[np.int64]


def perceptual_hashes(small: ArrayLike) -> NDArray[np.bool_]:
    """The hashes (N, 64) of small grey pictures.

    Args:
        small: (N, S, S), S >= 9.

    Raises:
        ValidationError: bad values, or too small ones.
    """
    grey = checked_values(small, "small", 3)
    if min(grey.shape[1:]) <= _SIDE:
        raise ValidationError(f"small: expected sides of {_SIDE + 1} at least, got {grey.shape}")
    low = fft.dctn(grey, axes=(1, 2))[:, 1 : _SIDE + 1, 1 : _SIDE + 1].reshape(len(grey), BITS)
    return low > np.median(low, axis=1, keepdims=True)


def nearest_hashes(
    hashes: NDArray[np.bool_],
    others: NDArray[np.bool_] | None = None,
    groups: ArrayLike | None = None,
    other_groups: ArrayLike | None = None,
) -> NearestHash:
    """Each hash's nearest other one.

    Args:
        hashes: (N, 64).
        others: (M, 64) that they are compared with; None = each other.
        groups: (N,) identities; those of its own do not count. None = all count.
        other_groups: (M,) likewise of the others; None = `groups`, where these are compared.

    Raises:
        ValidationError: lengths differ.
    """
    rest = hashes if others is None else others
    # ±1: a product of two hashes is 64 - 2 · (bits that differ), exactly
    ours, theirs = (np.where(h, 1, -1).astype(np.float32) for h in (hashes, rest))
    mine = None if groups is None else checked_labels(groups, "groups")
    whose = mine if other_groups is None else checked_labels(other_groups, "other_groups")
    bits = np.full(len(ours), BITS + 1, np.int64)
    rows = np.full(len(ours), -1, np.int64)
    if mine is not None and whose is not None:
        check_same_length(ours, mine, "hashes and groups")
        check_same_length(theirs, whose, "others and other_groups")
    for start in range(0, len(ours), _ROWS):
        block = slice(start, start + _ROWS)
        same = ours[block] @ theirs.T
        if others is None:
            place = np.arange(len(same))
            same[place, start + place] = -np.inf
        if mine is not None and whose is not None:
            same[mine[block, None] == whose[None]] = -np.inf
        best = same.argmax(axis=1)
        top = same[np.arange(len(same)), best]
        known = np.isfinite(top)
        bits[block][known] = ((BITS - top[known]) / 2).astype(np.int64)
        rows[block][known] = best[known]
    return NearestHash(bits, rows)
