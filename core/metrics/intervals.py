"""95 % intervals: which method is offered where. Every protocol takes its intervals from here.

What varies between repeats is a *group*: a person, of whom all pictures and pairs hang together; a
class; an item by itself. Numbers of groups are effective ones, (Σ w)² / Σ w² over their weights w
(Kish, 1965): thirty groups of which one holds nearly everything count as little more than one.

| of | where | method |
|---|---|---|
| the mean of a share (each score in 0 … 1) | one size, all right or all wrong each | `exact` |
| | 30 groups, of which 10 err and 10 do not err wholly | `bootstrap` |
| | else: each group as one trial, which is wider | `exact` |
| the mean of a difference (−1 … 1) | 30 groups, 10 of which differ, and 10 from ±1 | `bootstrap` |
| | else | none |
| the mean over seeds | 5 seeds | `seeds` |
| | else | none |

`exact` is the binomial interval of Clopper and Pearson (1934), which never covers less than 95 %.
`bootstrap` resamples the groups; the spread of the resampled values is the standard error, and the
interval Student's t of groups − 1 degrees, of a share on the scale of its logit. Percentiles of the
same resamples cover less: 91 % where a tenth of sixty people's pictures are wrong, against 94 %
(docs/benchmarks/intervals.md). `seeds` is Student's t of the seeds.
"""

# N items, G groups, C classes.

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import expit, logit

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values

LEVEL = 0.95
MIN_BOOTSTRAP_ITEMS = 30
MIN_OUTCOMES = 10
MIN_SEEDS = 5
N_RESAMPLES = 2000
_CHUNK = 1 << 22  # draws held at once: 32 MB
_ROUNDING = 1e-9  # sums of thirds and sevenths must not miss a whole number

Method = Literal["bootstrap", "folds", "seeds", "exact"]
Interval = tuple[float, float]


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
    if n < 1 or few < 0 or many > n:
        raise ValidationError(f"expected 0 <= right <= n and n >= 1, got {n_right} of {n}")
    tail = (1 - level) / 2
    low = 0.0 if few == 0 else float(stats.beta.ppf(tail, few, n - few + 1))
    high = 1.0 if many == n else float(stats.beta.ppf(1 - tail, many + 1, n - many))
    return low, high


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


def proportion_interval(
    values: ArrayLike, groups: ArrayLike | None = None, *, seed: int = 0
) -> tuple[Interval, Method]:
    """The interval of a mean of scores in [0, 1], and how it was made.

    Args:
        values: (N,) one score per item.
        groups: (N,) whose item it is, whole numbers >= 0; None = each item is by itself.
        seed: of the resampling; the same seed, the same interval.

    Raises:
        ValidationError: bad rows, lengths that differ, or a score outside [0, 1].
    """
    items = checked_values(values)
    outside = (items < 0) | (items > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValidationError(f"values[{row}]: expected a score in 0 … 1, got {items[row]}")
    if groups is None:
        return ratio_interval(items, np.ones(len(items)), seed=seed)
    owners = checked_labels(groups, "groups")
    check_same_length(items, owners, "values and groups")
    _, places, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return ratio_interval(np.bincount(places, items), counts, seed=seed)


def ratio_interval(sums: ArrayLike, counts: ArrayLike, *, seed: int = 0) -> tuple[Interval, Method]:
    """The interval of Σ sums / Σ counts over groups, and how it was made.

    Args:
        sums: (G,) of the scores of each group, each in [0, 1].
        counts: (G,) how many scores it has, at least one.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, lengths that differ, or a sum outside [0, count].
    """
    right, total = checked_values(sums, "sums"), checked_values(counts, "counts")
    check_same_length(right, total, "sums and counts")
    bad = (total < 1) | (right < 0) | (right > total + _ROUNDING)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValidationError(
            f"group {row}: expected scores in 0 … 1, got a sum of {right[row]} over {total[row]}"
        )
    wrong = np.maximum(total - right, 0.0)
    value = float(right.sum() / total.sum())
    whole = (right <= _ROUNDING) | (wrong <= _ROUNDING)
    if whole.all() and (total == total[0]).all():
        return exact_interval(int((wrong <= _ROUNDING).sum()), len(total)), "exact"
    return share_interval(
        value, (right - value * total) / total.sum(),
        groups=effective_number(total),
        outcomes=min(effective_number(right), effective_number(wrong)), seed=seed,
    )  # fmt: skip


def class_mean_interval(
    values: ArrayLike, classes: ArrayLike, *, seed: int = 0
) -> tuple[Interval, Method] | None:
    """The interval of the mean over classes of the class means; the classes are these ones.

    The deviations of a class of n items are widened by √(n / (n − 1)), for its mean is estimated
    too. None where `bootstrap` is not offered, or a class has a single item.

    Args:
        values: (N,) one score in [0, 1] per item.
        classes: (N,) the class of each item.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, or lengths that differ.
    """
    items, labels = checked_values(values), checked_labels(classes, "classes")
    check_same_length(items, labels, "values and classes")
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / (len(counts) * counts[places])
    groups = effective_number(weights)
    outcomes = min(effective_number(weights * items), effective_number(weights * (1 - items)))
    if counts.min() < 2 or not _offered(groups, outcomes):
        return None
    means = np.bincount(places, items) / counts
    widened = np.sqrt(counts / (counts - 1))[places]
    return share_interval(
        float(means.mean()), weights * widened * (items - means[places]),
        groups=groups, outcomes=outcomes, seed=seed,
    )  # fmt: skip


def paired_interval(
    first: ArrayLike, second: ArrayLike, *, over: Literal["seeds", "items"], seed: int = 0
) -> Interval | None:
    """The interval of the mean of `first - second`, row by row; None where none is offered.

    Args:
        first: (N,) scores; row i of both belongs to the same seed, or the same item.
        second: (N,).
        over: "seeds", or "items", whose scores are in [0, 1].
        seed: of the resampling.

    Raises:
        ValidationError: NaN, empty or mismatched rows.
    """
    one, other = checked_values(first, "first"), checked_values(second, "second")
    check_same_length(one, other, "first and second")
    gaps = one - other
    if over == "seeds":
        return seeds_interval(gaps)
    return difference_interval(
        float(gaps.mean()), (gaps - gaps.mean()) / len(gaps),
        groups=len(gaps),
        outcomes=min(effective_number(part) for part in (gaps, 1 + gaps, 1 - gaps)), seed=seed,
    )  # fmt: skip


def share_interval(
    value: float,
    influence: NDArray[np.float64],
    *,
    groups: float,
    outcomes: float,
    freedom: float | None = None,
    twice: float = 0.0,
    seed: int = 0,
) -> tuple[Interval, Method]:
    """The interval of any share in [0, 1], and how it was made.

    Args:
        value: the share itself.
        influence: (G,) how far each group pulls the value away from where it is; sums to zero.
        groups: the effective number of groups.
        outcomes: the effective number of groups with the rarer outcome.
        freedom: degrees of freedom of the standard error; None = groups - 1.
        twice: variance that stands in the influence of two groups and counts once.
        seed: of the resampling.
    """
    if _offered(groups, outcomes):
        # what two groups share can be no more than half of what both have
        variance = bootstrap_error(influence, seed) ** 2
        error = np.sqrt(max(variance - twice, variance / 2))
        if error > 0:
            free = groups - 1 if freedom is None else freedom
            half = _quantile(free) * error / (value * (1 - value))
            low, high = expit([logit(value) - half, logit(value) + half])
            return (float(low), float(high)), "bootstrap"
    n = max(1, int(groups + _ROUNDING))
    return exact_interval(float(np.round(value * n, 9)), n), "exact"


def difference_interval(
    value: float,
    influence: NDArray[np.float64],
    *,
    groups: float,
    outcomes: float,
    seed: int = 0,
) -> Interval | None:
    """The interval of a mean of differences in [-1, 1]; None where none is offered.

    Args:
        value: the mean itself.
        influence: (G,) as for `share_interval`.
        groups: the effective number of groups.
        outcomes: the least effective number of groups that differ, and that differ from -1 and 1;
            where these are fewer than the groups, the degrees of freedom are theirs.
        seed: of the resampling.
    """
    if not _offered(groups, outcomes):
        return None
    half = _quantile(min(groups, outcomes) - 1) * bootstrap_error(influence, seed)
    return value - half, value + half


def bootstrap_error(influence: NDArray[np.float64], seed: int = 0) -> float:
    """The standard error of a value: the spread of its influences' sum over resampled groups.

    Built on the raw Philox words, whose stream NumPy guarantees.

    Args:
        influence: (G,).
        seed: of the resampling.

    Example:
        >>> round(bootstrap_error(np.repeat([0.01, -0.01], 50)), 3)  # √100 · 0.01
        0.1
    """
    n = len(influence)
    bits = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))
    at_once = max(1, _CHUNK // n)
    sums = []
    for start in range(0, N_RESAMPLES, at_once):
        words = bits.random_raw(min(at_once, N_RESAMPLES - start) * n) >> np.uint64(32)
        drawn = ((words * np.uint64(n)) >> np.uint64(32)).astype(np.int64).reshape(-1, n)
        sums.append(influence[drawn].sum(axis=1))
    return float(np.concatenate(sums).std() * np.sqrt(n / max(n - 1, 1)))


def joint_freedom(*parts: tuple[float, float]) -> float:
    """The degrees of freedom of a sum of independent parts (Welch and Satterthwaite, 1946-47).

    A rate at a threshold has two: what is counted, and the few errors that set the threshold.

    Args:
        parts: the variance of each part, and the effective number that it rests on.

    Example:
        >>> round(joint_freedom((1.0, 40.0), (1.0, 11.0)), 2)  # 39 and 10
        31.84
    """
    variances, numbers = np.array(parts).T
    free = np.maximum(numbers - 1, 1)
    total = float(variances.sum())
    return total**2 / float((variances**2 / free).sum()) if total > 0 else float(free.min())


def effective_number(weights: NDArray[Any]) -> float:
    """(Σ |w|)² / Σ w²: how many groups of equal weight say as much; 0 of nothing.

    Example:
        >>> effective_number(np.array([2.0, 2.0, 2.0])), effective_number(np.array([9.0, 1.0]))
        (3.0, 1.2195121951219512)
    """
    squares = float((np.asarray(weights, np.float64) ** 2).sum())
    return float(np.abs(weights).sum() ** 2 / squares) if squares > 0 else 0.0


def _offered(groups: float, outcomes: float) -> bool:
    """Whether there is enough for a bootstrap."""
    return (
        groups > MIN_BOOTSTRAP_ITEMS - _ROUNDING * MIN_BOOTSTRAP_ITEMS
        and outcomes > MIN_OUTCOMES - _ROUNDING * MIN_OUTCOMES
    )


def _quantile(freedom: float) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
