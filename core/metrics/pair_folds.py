"""The folded pair protocols: a threshold is chosen on all other folds and applied to its own.

A pair is accepted ("same") when its distance is strictly below the threshold. Distances of unit
embeddings are ‖a - b‖² in [0, 4]; the published grids cover that range (Huang et al., 2007, LFW
view 2; thresholds and rules as in the official code of Deng et al., 2019).
"""

# N pairs, F folds, T thresholds, G genuine and I impostor pairs of the training folds.

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels
from .verification import accepted_at, checked_pairs

N_FOLDS = 10
ACCURACY_GRID = np.arange(0, 4, 0.01)
FAR_GRID = np.arange(0, 4, 0.001)
# sorted genuine (G,) and impostor (I,) distances of the training folds → threshold
Chooser = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


@dataclass(frozen=True, eq=False)
class FoldDecisions:
    """What the thresholds of the other folds decide.

    Attributes:
        thresholds: (F,) of each fold, chosen without it.
        accepted: (N,) whether a pair's distance is below its fold's threshold.
        same: (N,) whether the pair is genuine.
        fold: (N,) number 0 … F - 1 of the pair's fold.
    """

    thresholds: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the decision is right."""
        return self.accepted == self.same

    @property
    def accuracies(self) -> tuple[float, ...]:
        """(F,) the right share of each fold."""
        return _shares(self.correct, self.fold)

    @property
    def accuracy(self) -> float:
        """The mean of the folds' accuracies, rounded once."""
        return _mean(self.accuracies)

    @property
    def tar(self) -> float:
        """The accepted share of all genuine pairs, each judged by its fold's threshold."""
        return float(self.accepted[self.same].mean())

    @property
    def far(self) -> float:
        """The accepted share of all impostor pairs likewise."""
        return float(self.accepted[~self.same].mean())

    @property
    def mean_tar(self) -> float:
        """The mean over folds of each fold's TAR, as published.

        Raises:
            ValidationError: a fold holds no genuine pair.
        """
        return _mean(self._rates(self.same, "genuine"))

    @property
    def mean_far(self) -> float:
        """The mean over folds of each fold's FAR, as published.

        Raises:
            ValidationError: a fold holds no impostor pair.
        """
        return _mean(self._rates(~self.same, "impostor"))

    def _rates(self, rows: NDArray[np.bool_], kind: str) -> tuple[float, ...]:
        present = np.unique(self.fold[rows])
        if len(present) < len(self.thresholds):
            missing = next(f for f in range(len(self.thresholds)) if f not in present)
            raise ValidationError(
                f"fold {missing} holds no {kind} pair, so a mean over folds does not exist",
                "leave out the published protocol, or mend the list of pairs",
            )
        return _shares(self.accepted[rows], self.fold[rows])


def contiguous_folds(n: int, n_folds: int = N_FOLDS) -> NDArray[np.int64]:
    """The fold of each of n pairs (N,): blocks in order, the first n mod F one pair longer.

    Raises:
        ValidationError: fewer pairs than folds.

    Example:
        >>> contiguous_folds(7, 3).tolist()
        [0, 0, 0, 1, 1, 2, 2]
    """
    if n < n_folds:
        raise ValidationError(f"expected at least {n_folds} pairs, one per fold, got {n}")
    return np.repeat(np.arange(n_folds), [len(b) for b in np.array_split(np.arange(n), n_folds)])


def decide(
    distances: ArrayLike, same: ArrayLike, folds: ArrayLike, choose: Chooser
) -> FoldDecisions:
    """The decision on every pair, by the threshold that the other folds give.

    Args:
        distances: (N,) finite.
        same: (N,) True where the pair is genuine.
        folds: (N,) any numbers; equal ones are one fold.
        choose: one of this module's rules.

    Raises:
        ValidationError: bad rows, a single fold, or no genuine or no impostor pair outside one.
    """
    values, genuine = checked_pairs(distances, same, "distances")
    numbers = checked_labels(folds, "folds")
    check_same_length(values, numbers, "distances and folds")
    names, fold = np.unique(numbers, return_inverse=True)
    if len(names) < 2:
        raise ValidationError(f"expected pairs in at least two folds, got {len(names)}")
    thresholds = np.empty(len(names))
    order = np.argsort(values, kind="stable")
    ordered, kinds, places = values[order], genuine[order], fold[order]
    for number in range(len(names)):
        train = places != number
        sides = ordered[train & kinds], ordered[train & ~kinds]
        for side, kind in zip(sides, ("genuine", "impostor"), strict=True):
            if not len(side):
                raise ValidationError(
                    f"no {kind} pair lies outside fold {names[number]}", "mend the list of pairs"
                )
        thresholds[number] = choose(*sides)
    return FoldDecisions(thresholds, values < thresholds[fold], genuine, fold)


def grid_threshold(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """The first of 0.00, 0.01 … 3.99 with the best training accuracy: the 10-fold protocol."""
    return float(ACCURACY_GRID[_n_correct(genuine, impostor, ACCURACY_GRID).argmax()])


def exact_threshold(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """The threshold with the best training accuracy of all real numbers.

    Every way of cutting the training distances is tried, each at the middle of its gap (below
    all: at the smallest distance; above all: infinity); of equally good cuts the first counts.
    """
    distinct = np.unique(np.concatenate([genuine, impostor]))
    middles = (distinct[:-1] + distinct[1:]) / 2
    # between neighbouring floats there is no middle
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])
    cuts = np.concatenate([distinct[:1], middles, [np.inf]])
    return float(cuts[_n_correct(genuine, impostor, cuts).argmax()])


def far_threshold(target: float) -> Chooser:
    """The rule: the largest threshold whose FAR on the training folds is at most the target."""

    def choose(_genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
        return float(impostor[accepted_at(target, len(impostor))])

    return choose


def published_far_threshold(target: float) -> Chooser:
    """The published rule: interpolated on the grid 0.000, 0.001 … 3.999.

    Linear between the last threshold whose training FAR is below the target and the first that
    reaches it; 0 where none does, which accepts nothing.
    """

    def choose(_genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
        far = np.searchsorted(impostor, FAR_GRID, side="left") / len(impostor)
        if far[-1] < target:
            return 0.0
        upper = int(np.searchsorted(far, target, side="left"))
        lower = upper - 1  # there is one: nothing is below a distance of 0
        share = (target - far[lower]) / (far[upper] - far[lower])
        return float(FAR_GRID[lower] + share * (FAR_GRID[upper] - FAR_GRID[lower]))

    accepted_at(target, 1)  # refuses what is no rate
    return choose


def _n_correct(
    genuine: NDArray[np.float64], impostor: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """How many pairs (T,) each threshold judges rightly; both sides sorted."""
    accepted = np.searchsorted(genuine, thresholds, side="left")
    return accepted + len(impostor) - np.searchsorted(impostor, thresholds, side="left")


def _shares(hits: NDArray[np.bool_], fold: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((np.bincount(fold, hits) / np.bincount(fold)).tolist())


def _mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values)
