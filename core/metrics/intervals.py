"""95 % intervals: over items (bootstrap, exact binomial, Wilson) and over paired seeds (t).

Which one where: `proportion_interval` chooses. The bootstrap needs 30 items and at least five of
either outcome (on a lopsided sample it is too narrow); below that the exact binomial interval,
which is wider, takes its place. The t interval over seeds needs five of them.
"""

# N items or seeds, R resamples.

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values

LEVEL = 0.95
MIN_BOOTSTRAP_ITEMS = 30
MIN_OUTCOMES = 5
MIN_SEEDS = 5
_CHUNK = 1 << 22  # index draws held at once: 32 MB

Method = Literal["bootstrap", "folds", "seeds", "exact"]
Interval = tuple[float, float]


def _resampled_means(
    items: NDArray[np.float64], n_resamples: int, seed: int, stream: int
) -> NDArray[np.float64]:
    """Means of bootstrap resamples (R,), the same in every NumPy version.

    Built on the raw Philox words, whose stream NumPy guarantees; that of `integers` it does not.
    """
    n = len(items)
    bits = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))
    per_chunk = max(1, _CHUNK // n)
    means = []
    for start in range(0, n_resamples, per_chunk):
        rows = min(per_chunk, n_resamples - start)
        words = bits.random_raw(rows * n) >> np.uint64(32)
        ids = ((words * np.uint64(n)) >> np.uint64(32)).astype(np.int64)
        means.append(items[ids].reshape(rows, n).mean(axis=1))
    return np.concatenate(means)


def bootstrap_interval(
    values: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The percentile bootstrap interval of a mean over items.

    Args:
        values: (N,) one number per item.
        strata: (N,) class of each item, or None. Given, items are resampled within their class,
            and the statistic is the mean over classes of the class means.
        n_resamples: R.
        seed: of the resampling; the same seed, the same interval.
        level: the share of resamples inside.

    Raises:
        ValidationError: NaN, empty or mismatched rows.
    """
    items = checked_values(values)
    if strata is None:
        means = _resampled_means(items, n_resamples, seed, 0)
    else:
        groups = checked_labels(strata, "strata")
        check_same_length(items, groups, "values and strata")
        means = np.mean(
            [
                _resampled_means(items[groups == group], n_resamples, seed, int(group))
                for group in np.unique(groups)
            ],
            axis=0,
        )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson_interval(n_right: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson, 1927).

    Raises:
        ValidationError: not 0 <= n_right <= n, or n = 0.

    Example:
        >>> [round(v, 4) for v in wilson_interval(8, 10)]
        [0.4902, 0.9433]
    """
    _check_count(n_right, n_right, n)
    z = float(stats.norm.ppf((1 + level) / 2))
    share, spread = n_right / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def exact_interval(n_right: float, n: int, level: float = LEVEL) -> Interval:
    """The exact binomial interval (Clopper and Pearson, 1934); never covers less than `level`.

    A broken count (a mean over seeds) widens it: the lower end from the count rounded down, the
    upper end from the count rounded up.

    Raises:
        ValidationError: not 0 <= n_right <= n, or n = 0.

    Example:
        >>> [round(v, 4) for v in exact_interval(8, 10)]
        [0.4439, 0.9748]
    """
    few, many = int(np.floor(n_right)), int(np.ceil(n_right))
    _check_count(few, many, n)
    tail = (1 - level) / 2
    low = 0.0 if few == 0 else float(stats.beta.ppf(tail, few, n - few + 1))
    high = 1.0 if many == n else float(stats.beta.ppf(1 - tail, many + 1, n - many))
    return low, high


def proportion_interval(values: ArrayLike, *, seed: int = 0) -> tuple[Interval, Method]:
    """The interval of a mean of per-item scores in [0, 1], and how it was made.

    Raises:
        ValidationError: bad rows, or a score outside [0, 1].
    """
    items = checked_values(values)
    outside = (items < 0) | (items > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValidationError(f"values[{row}]: expected a score in 0 … 1, got {items[row]}")
    # 1e-9: sums of thirds and sevenths must not miss a whole number
    n_right = float(np.round(items.sum(), 9))
    if len(items) < MIN_BOOTSTRAP_ITEMS or min(n_right, len(items) - n_right) < MIN_OUTCOMES:
        return exact_interval(n_right, len(items)), "exact"
    return bootstrap_interval(items, seed=seed), "bootstrap"


def seeds_interval(values: ArrayLike, level: float = LEVEL) -> Interval | None:
    """The t interval of the mean over seeds; None with fewer than five seeds.

    Raises:
        ValidationError: NaN or empty.

    Example:
        >>> [round(v, 4) for v in seeds_interval([1.0, 2.0, 3.0, 4.0, 5.0])]
        [1.0368, 4.9632]
    """
    runs = checked_values(values)
    if len(runs) < MIN_SEEDS:
        return None
    half = stats.t.ppf((1 + level) / 2, len(runs) - 1) * runs.std(ddof=1) / np.sqrt(len(runs))
    return float(runs.mean() - half), float(runs.mean() + half)


def paired_interval(
    first: ArrayLike, second: ArrayLike, *, over: Literal["seeds", "items"], seed: int = 0
) -> Interval | None:
    """The interval of the mean of `first - second`, row by row.

    Args:
        first: (N,) scores; row i of both belongs to the same seed, or the same item.
        second: (N,).
        over: "seeds" gives the t interval (None below five), "items" the bootstrap (None below
            thirty).
        seed: of the bootstrap.

    Raises:
        ValidationError: NaN, empty or mismatched rows.
    """
    one, other = checked_values(first, "first"), checked_values(second, "second")
    check_same_length(one, other, "first and second")
    interval: dict[str, Callable[[NDArray], Interval | None]] = {
        "seeds": seeds_interval,
        "items": lambda gaps: (
            bootstrap_interval(gaps, seed=seed) if len(gaps) >= MIN_BOOTSTRAP_ITEMS else None
        ),
    }
    return interval[over](one - other)


def _check_count(few: int, many: int, n: int) -> None:
    if n < 1 or few < 0 or many > n:
        raise ValidationError(f"expected 0 <= right <= n and n >= 1, got {few} of {n}")
