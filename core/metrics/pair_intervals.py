"""95 % intervals of pair scores: people are resampled, not pairs.

A person stands in many pairs, so pairs are not independent. A pair pulls the score by its own
deviation from the mean of its kind; a person's influence is the sum of her pairs' pulls, and what
is resampled is people with their influences. The pull of an impostor pair stands in the influence
of both of its people, so its own variance is taken off once; covariances of pairs with a person in
common stay (Fafchamps and Gubert, 2007; Aronow, Samii and Assenova, 2015).

The accuracy's own variance is not taken off: it makes up for the choice of the thresholds, which
these pulls do not see. Simulated with all of its ten folds, the interval then covers 94 to 97 %,
without it 91 to 95 % (docs/benchmarks/intervals.md). Nor is it taken off where the degrees of
freedom of a TAR are counted, for the same reason.
"""

# N pairs, K groups.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import check_same_length, checked_labels
from .intervals import (
    Interval,
    Method,
    difference_interval,
    effective_number,
    joint_freedom,
    share_interval,
)
from .verification import checked_pairs, eer_point, exchange_rate, roc


@dataclass(frozen=True, eq=False)
class PairGroups:
    """Whose pictures a pair compares.

    Attributes:
        first: (N,) int64 group of the first side, from 0.
        second: (N,) of the second side; equal to the first in genuine pairs.
        n: how many groups there are.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n: int

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike) -> "PairGroups":
        """The groups under any whole numbers >= 0, counted anew from 0.

        Raises:
            ValidationError: bad rows, or lengths that differ.
        """
        one, other = checked_labels(first, "first"), checked_labels(second, "second")
        check_same_length(one, other, "first and second")
        names, places = np.unique(np.concatenate([one, other]), return_inverse=True)
        return cls(places[: len(one)], places[len(one) :], len(names))

    def influence(self, pulls: NDArray[np.floating]) -> NDArray[np.float64]:
        """The sum (K,) of the pulls (N,) of each group's pairs."""
        two = self.first != self.second
        own: NDArray[np.float64] = np.bincount(self.first, pulls, self.n).astype(np.float64)
        return own + np.bincount(self.second[two], pulls[two], self.n)

    def twice(self, pulls: NDArray[np.float64]) -> float:
        """The variance that stands in two influences: the squares of any two people's pulls."""
        two = self.first != self.second
        low, high = (f(self.first[two], self.second[two]) for f in (np.minimum, np.maximum))
        places = np.unique(low * self.n + high, return_inverse=True)[1]
        return float((np.bincount(places, pulls[two]) ** 2).sum()) if two.any() else 0.0

    def effective(self, weights: NDArray[np.floating]) -> float:
        """The effective number of groups, or of pairs where these are fewer, by weights (N,)."""
        return min(effective_number(self.influence(weights)), effective_number(weights))


def connected_groups(n: int, first: ArrayLike, second: ArrayLike) -> NDArray[np.int64]:
    """The group (n,) of each of n pictures: those joined by links, directly or through others.

    Args:
        n: pictures.
        first: (L,) one end of each link, such as a genuine pair.
        second: (L,) the other end.

    Example:
        >>> connected_groups(5, [0, 1], [1, 4]).tolist()
        [0, 0, 1, 2, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.asarray(first, np.int64), np.asarray(second, np.int64)
    links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def accuracy_interval(
    correct: ArrayLike, same: ArrayLike, folds: ArrayLike, groups: PairGroups, *, seed: int = 0
) -> tuple[Interval, Method]:
    """The interval of a mean over folds of the share of right decisions.

    Args:
        correct: (N,) 1 where a decision is right, else 0, or the mean over seeds.
        same: (N,) True where the pair is genuine; the shares of the kinds stay as they are.
        folds: (N,) fold of each pair.
        groups: of the pairs.
        seed: of the resampling; the same seed, the same interval.

    Raises:
        ValidationError: bad rows, lengths that differ, or one kind of pair is missing.
    """
    hits, weights, pulls = _mean_of_folds(correct, same, folds, groups)
    return share_interval(
        float(weights @ hits), groups.influence(pulls),
        groups=groups.effective(weights),
        outcomes=min(groups.effective(weights * part) for part in (hits, 1 - hits)), seed=seed,
    )  # fmt: skip


def accuracy_difference_interval(
    differences: ArrayLike, same: ArrayLike, folds: ArrayLike, groups: PairGroups, *, seed: int = 0
) -> Interval | None:
    """The interval of the difference of two accuracies on the same pairs; None of too few people.

    Args:
        differences: (N,) of the decisions, right = 1 and wrong = 0, in [-1, 1].
        same: (N,) as for `accuracy_interval`.
        folds: (N,) likewise.
        groups: of the pairs.
        seed: of the resampling.

    Raises:
        ValidationError: as for `accuracy_interval`.
    """
    gaps, weights, pulls = _mean_of_folds(differences, same, folds, groups)
    return difference_interval(
        float(weights @ gaps), groups.influence(pulls),
        groups=groups.effective(weights),
        outcomes=min(groups.effective(weights * part) for part in (gaps, 1 + gaps, 1 - gaps)),
        seed=seed,
    )  # fmt: skip


def tar_interval(
    accepted: ArrayLike, same: ArrayLike, groups: PairGroups, *, rate: float, seed: int = 0
) -> tuple[Interval, Method]:
    """The interval of a TAR at a FAR, whose threshold the impostor pairs have set.

    Args:
        accepted: (N,) 1 where a pair is accepted, else 0, or the mean over seeds.
        same: (N,) True where the pair is genuine.
        groups: of the pairs.
        rate: TAR that a little more FAR buys there; see `exchange_rate`.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, lengths that differ, or one kind of pair is missing.
    """
    hits, genuine = checked_pairs(accepted, same, "accepted")
    check_same_length(hits, groups.first, "accepted and groups")
    tar, far = float(hits[genuine].mean()), float(hits[~genuine].mean())
    pulls = np.where(genuine, (hits - tar) / genuine.sum(), -rate * (hits - far) / (~genuine).sum())
    own, price = groups.influence(genuine * pulls), groups.influence(~genuine * pulls)
    number, errors = (groups.effective(part) for part in (genuine * 1.0, ~genuine * hits))
    return share_interval(
        tar, own + price, groups=number,
        outcomes=min(groups.effective(genuine * part) for part in (hits, 1 - hits)),
        freedom=joint_freedom((float(own @ own), number), (float(price @ price), errors)),
        twice=groups.twice(pulls), seed=seed,
    )  # fmt: skip


def eer_interval(
    scores: ArrayLike, same: ArrayLike, groups: PairGroups, *, seed: int = 0
) -> tuple[Interval, Method]:
    """The interval of an equal error rate, whose threshold moves with FAR and FRR.

    Where FAR rises by a and FRR by b, the rate at which they are equal rises by
    (r a + b) / (r + 1): r is the TAR that a little more FAR buys there.

    Args:
        scores: (N,), higher = more alike.
        same: (N,) True where the pair is genuine.
        groups: of the pairs.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, or one kind of pair is missing.
    """
    values, genuine = checked_pairs(scores, same)
    check_same_length(values, groups.first, "scores and groups")
    curve = roc(values, genuine)
    place = eer_point(curve)
    accepted = values > curve.thresholds[place]
    far, frr = float(curve.far[place]), float(curve.frr[place])
    rate = exchange_rate(curve, (far + frr) / 2)
    weights = np.where(genuine, 1 / genuine.sum(), rate / (~genuine).sum()) / (rate + 1)
    errors = (accepted != genuine).astype(np.float64)
    pulls = weights * (errors - np.where(genuine, frr, far))
    kinds = genuine, ~genuine
    outcomes = [groups.effective(k * part) for k in kinds for part in (errors, 1 - errors)]
    return share_interval(
        (far + frr) / 2, groups.influence(pulls),
        groups=groups.effective(weights), outcomes=min(outcomes), twice=groups.twice(pulls),
        seed=seed,
    )  # fmt: skip


def _mean_of_folds(
    values: ArrayLike, same: ArrayLike, folds: ArrayLike, groups: PairGroups
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Values, weights in the mean of fold means, and pulls, each (N,)."""
    hits, genuine = checked_pairs(values, same, "values")
    numbers = checked_labels(folds, "folds")
    for rows, name in ((numbers, "folds"), (groups.first, "groups")):
        check_same_length(hits, rows, f"values and {name}")
    counts = np.bincount(numbers)
    weights = 1 / counts[numbers] / (counts > 0).sum()
    pulls = np.empty(len(hits))
    for kind in (genuine, ~genuine):
        pulls[kind] = weights[kind] * (hits[kind] - np.average(hits[kind], weights=weights[kind]))
    return hits, weights, pulls
