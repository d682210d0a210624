"""95 % intervals of means over items that come in groups: groups are resampled, not items.

The pictures of one person are alike, so their outcomes are too; an interval over pictures would
be too narrow. For pairs, which join two people, see `pair_intervals`.
"""

# N items, G groups, R resamples.

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .intervals import (
    LEVEL,
    MIN_BOOTSTRAP_ITEMS,
    MIN_OUTCOMES,
    Interval,
    Method,
    exact_interval,
)

N_RESAMPLES = 2000
_CHUNK = 1 << 22  # draws held at once: 32 MB


def grouped_interval(
    values: ArrayLike, groups: ArrayLike, *, seed: int = 0
) -> tuple[Interval, Method]:
    """The interval of a mean of scores in [0, 1], and how it was made; see `ratio_interval`.

    Args:
        values: (N,) one score per item.
        groups: (N,) whose item it is, whole numbers >= 0.
        seed: of the resampling; the same seed, the same interval.

    Raises:
        ValidationError: bad rows, lengths that differ, or a score outside [0, 1].
    """
    items, owners = checked_values(values), checked_labels(groups, "groups")
    check_same_length(items, owners, "values and groups")
    _, places, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return ratio_interval(np.bincount(places, items), counts, seed=seed)


def ratio_interval(sums: ArrayLike, counts: ArrayLike, *, seed: int = 0) -> tuple[Interval, Method]:
    """The interval of Σ sums / Σ counts over groups, and how it was made.

    The percentile bootstrap over groups; with fewer than 30 groups, or fewer than five that
    differ from all right or from all wrong, the exact binomial interval that takes each *group*
    as one trial, which is wider.

    Args:
        sums: (G,) of the scores of each group, each in [0, 1].
        counts: (G,) how many scores it has, at least one.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, lengths that differ, or a sum outside [0, count].
    """
    right, total = checked_values(sums, "sums"), checked_values(counts, "counts")
    check_same_length(right, total, "sums and counts")
    bad = (total < 1) | (right < 0) | (right > total + 1e-9)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValidationError(
            f"group {row}: expected scores in 0 … 1, got a sum of {right[row]} over {total[row]}"
        )
    n = len(right)
    n_short, n_some = int((right < total - 1e-9).sum()), int((right > 1e-9).sum())
    if n < MIN_BOOTSTRAP_ITEMS or min(n_short, n_some) < MIN_OUTCOMES:
        # 1e-9: sums of thirds and sevenths must not miss a whole number
        return exact_interval(float(np.round(right.sum() / total.sum() * n, 9)), n), "exact"
    low, high = np.quantile(
        _resampled_ratios(right, total, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    )
    return (float(low), float(high)), "bootstrap"


def _resampled_ratios(
    right: NDArray[np.float64], total: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """(R,) ratios, the same in every NumPy version: the raw Philox words are guaranteed."""
    n = len(right)
    bits = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))
    at_once = max(1, _CHUNK // n)
    ratios = []
    for start in range(0, N_RESAMPLES, at_once):
        words = bits.random_raw(min(at_once, N_RESAMPLES - start) * n) >> np.uint64(32)
        drawn = ((words * np.uint64(n)) >> np.uint64(32)).astype(np.int64).reshape(-1, n)
        ratios.append(right[drawn].sum(axis=1) / total[drawn].sum(axis=1))
    return np.concatenate(ratios)
