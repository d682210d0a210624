"""95 % intervals of pair scores that are means over several trainings: people and seeds count.

Another seed gives another net, and other people other pairs; both move a mean over seeds. Over
people it is the interval of `pair_intervals`; over seeds the t interval, which with few seeds is
wide. The two are independent, so their half-widths add as squares, each side by itself.
"""

# S seeds.

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .checks import checked_values
from .intervals import LEVEL, Interval

MIN_SEEDS = 3


def with_seeds(people: Interval, values: ArrayLike) -> Interval | None:
    """The interval of a mean over seeds; None with fewer than three.

    Args:
        people: the interval of the same mean over people, these seeds given.
        values: (S,) the score of each seed.

    Raises:
        ValidationError: NaN or empty.

    Example:
        >>> [round(end, 4) for end in with_seeds((0.7, 0.8), [0.74, 0.75, 0.76])]
        [0.6942, 0.8058]
    """
    seeds = checked_values(values)
    if len(seeds) < MIN_SEEDS:
        return None
    mean, error = seeds.mean(), seeds.std(ddof=1) / np.sqrt(len(seeds))
    half = stats.t.ppf((1 + LEVEL) / 2, len(seeds) - 1) * error
    low, high = (float(np.hypot(mean - end, half)) for end in people)
    return float(mean - low), float(mean + high)
