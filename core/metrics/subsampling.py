"""95 % intervals of statistics that no bootstrap serves: distances of distributions, curves.

A resample with repetitions holds every picture's exact copies, which breaks whatever looks at
nearest neighbours, and moves a Fréchet distance. Samples without repetition do not.
"""

# S samples.

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import ValidationError
from .checks import checked_values
from .intervals import LEVEL, MIN_SEEDS, Interval


def subsample_interval(values: ArrayLike, share: float) -> Interval | None:
    """The interval of the mean over random samples of a share of the groups (people).

    The delete-d jackknife (Shao and Wu, 1989): the variance between samples of a share f of all
    groups is (1 - f) / f times that of the statistic of all of them. The error of the mean of S
    samples is added, and the t quantile of S - 1 degrees taken.

    Args:
        values: (S,) of each sample, drawn without repetition.
        share: of the groups in a sample, in (0, 1).

    Returns:
        None with fewer than five samples.

    Raises:
        ValidationError: NaN or empty, or no such share.

    Example:
        >>> [round(end, 4) for end in subsample_interval([1.0, 2.0, 3.0, 4.0, 5.0], 0.5)]
        [-1.8089, 7.8089]
    """
    samples = checked_values(values)
    if not 0 < share < 1:
        raise ValidationError(f"share: expected a value in (0, 1), got {share}")
    if len(samples) < MIN_SEEDS:
        return None
    error = samples.std(ddof=1) * np.sqrt(share / (1 - share) + 1 / len(samples))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(samples) - 1) * error)
    mean = float(samples.mean())
    return mean - half, mean + half
