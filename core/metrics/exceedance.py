"""How often values of one set of people exceed those of another, with both sets' uncertainty.

The area under the ROC of two samples (Mann and Whitney, 1947): 0.5 where nothing tells them apart.
"""

# N and M values.

import numpy as np
from numpy.typing import ArrayLike

from .checks import check_same_length, checked_labels, checked_values
from .faces import placements
from .intervals import Interval, Method, effective_number, share_interval


def exceedance(
    values: ArrayLike,
    groups: ArrayLike,
    others: ArrayLike,
    other_groups: ArrayLike,
    *,
    seed: int = 0,
) -> tuple[float, Interval, Method]:
    """The share of (value, other) pairs where the value is larger, equal ones counting half.

    Its interval is over the people of both sets: each pulls the share by how far her own values
    lie from it (DeLong et al., 1988; of clustered data Obuchowski, 1997).

    Args:
        values: (N,).
        groups: (N,) whose each value is.
        others: (M,).
        other_groups: (M,) likewise; not the same people as `groups`, whatever their numbers.
        seed: of the resampling; the same seed, the same interval.

    Returns:
        The share, its interval, and how that was made.

    Raises:
        ValidationError: bad rows, or lengths that differ.
    """
    ours, theirs = checked_values(values, "values"), checked_values(others, "others")
    mine, whose = checked_labels(groups, "groups"), checked_labels(other_groups, "other_groups")
    check_same_length(ours, mine, "values and groups")
    check_same_length(theirs, whose, "others and other_groups")
    exceeds, exceeded = placements(ours, theirs), 1 - placements(theirs, ours)
    share = float(exceeds.mean())
    pulls, sizes, outcomes = [], [], []
    for parts, labels in ((exceeds, mine), (exceeded, whose)):
        _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        pulls.append(np.bincount(places, (parts - share) / len(parts)))
        sizes.append(effective_number(counts.astype(np.float64)))
        for part in (parts, 1 - parts):
            outcomes.append(effective_number(np.bincount(places, part).astype(np.float64)))
    interval, method = share_interval(
        share, np.concatenate(pulls), groups=min(sizes), outcomes=min(outcomes), seed=seed
    )
    return share, interval, method
