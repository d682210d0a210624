"""Verification: distances of pairs, ROC, EER, TAR@FAR. Pure functions of NumPy arrays.

A score says how alike the two sides of a pair are; a pair is accepted when its score is *above*
the threshold, never when it equals it. FAR is the accepted share of impostor pairs, TAR that of
genuine pairs. Where a protocol compares distances, the score is minus the distance.
"""

# N pairs, K embeddings, D width, T thresholds.

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .intervals import Interval, exact_interval

MIN_ACCEPTED = 10  # impostors that a FAR must let through before its TAR may rank
_BLOCK = 4096  # pairs compared at once
_WHOLE = 1e-9  # 0.29 · 100 is 29, not 28.999999999999996
Rule = Literal["exact", "nearest"]


@dataclass(frozen=True, eq=False)
class Roc:
    """What every threshold accepts.

    Attributes:
        thresholds: (T,) float64, falling: the distinct scores, then -infinity, which accepts all.
        accepted_genuine: (T,) int64 genuine pairs whose score is above the threshold.
        accepted_impostor: (T,) int64 impostor pairs likewise.
    """

    thresholds: NDArray[np.float64]
    accepted_genuine: NDArray[np.int64]
    accepted_impostor: NDArray[np.int64]

    @property
    def n_genuine(self) -> int:
        """All genuine pairs."""
        return int(self.accepted_genuine[-1])

    @property
    def n_impostor(self) -> int:
        """All impostor pairs."""
        return int(self.accepted_impostor[-1])

    @cached_property
    def tar(self) -> NDArray[np.float64]:
        """(T,) true accept rates, never falling, from 0 to 1."""
        return self.accepted_genuine / self.n_genuine

    @cached_property
    def far(self) -> NDArray[np.float64]:
        """(T,) false accept rates, never falling, from 0 to 1."""
        return self.accepted_impostor / self.n_impostor

    @property
    def frr(self) -> NDArray[np.float64]:
        """(T,) false reject rates, 1 - TAR: with FAR, the DET curve."""
        return 1 - self.tar


@dataclass(frozen=True)
class TarAtFar:
    """A point of a ROC.

    Attributes:
        target: the FAR asked for.
        threshold: a pair is accepted when its score is above it.
        accepted_genuine: of the genuine pairs.
        accepted_impostor: of the impostor pairs.
        n_genuine: all genuine pairs.
        n_impostor: all impostor pairs.
    """

    target: float
    threshold: float
    accepted_genuine: int
    accepted_impostor: int
    n_genuine: int
    n_impostor: int

    @property
    def tar(self) -> float:
        """The accepted share of genuine pairs."""
        return self.accepted_genuine / self.n_genuine

    @property
    def far(self) -> float:
        """The accepted share of impostor pairs: what the threshold really gives."""
        return self.accepted_impostor / self.n_impostor

    @property
    def supported(self) -> bool:
        """Whether there are impostor pairs enough for this FAR."""
        return supports(self.target, self.n_impostor)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of TAR by Clopper and Pearson, the pairs taken as independent."""
        return exact_interval(self.accepted_genuine, self.n_genuine)


def checked_pairs(
    scores: ArrayLike, same: ArrayLike, name: str = "scores"
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (N,) and whether each pair is genuine (N,), both kinds present.

    Raises:
        ValidationError: NaN or infinity, empty, lengths differ, a flag that is neither 0 nor 1,
            or one kind of pair is missing.
    """
    values = checked_values(scores, name)
    flags = np.asarray(same)
    genuine = checked_labels(flags.astype(np.int64) if flags.dtype.kind == "b" else flags, "same")
    check_same_length(values, genuine, f"{name} and same")
    if genuine.max() > 1:
        row = int(np.argmax(genuine > 1))
        raise ValidationError(f"same[{row}]: expected 0 or 1, got {genuine[row]}")
    n_genuine = int(genuine.sum())
    if n_genuine in (0, len(genuine)):
        raise ValidationError(
            f"expected genuine and impostor pairs, got {n_genuine} genuine and "
            f"{len(genuine) - n_genuine} impostor ones",
            "accepting everything (or nothing) would be right every time: name a list with both",
        )
    return values, genuine.astype(bool)


def unit_embeddings(rows: ArrayLike, names: Sequence[str] | None = None) -> NDArray[np.float64]:
    """Embeddings (K, D) divided by their lengths, in float64.

    Args:
        rows: K embeddings of one width.
        names: of the embeddings, for messages.

    Raises:
        ValidationError: widths differ, or an embedding is zero or not finite; names the first.

    Example:
        >>> unit_embeddings([[3, 4]]).tolist()
        [[0.6, 0.8]]
    """
    try:
        values = np.asarray(rows, dtype=np.float64)
    except ValueError as error:  # NumPy's word for rows of different lengths
        raise ValidationError(
            f"embeddings: expected one width, got rows of different lengths ({error})"
        ) from error
    if values.ndim != 2 or not values.size:
        raise ValidationError(f"embeddings: expected shape (rows, width), got {values.shape}")
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    bad = ~(np.isfinite(norms) & (norms > 0))[:, 0]
    if bad.any():
        row = int(np.argmax(bad))
        what = "zero" if norms[row, 0] == 0 else "not finite"
        raise ValidationError(
            f"the embedding of {row if names is None else names[row]} is {what}",
            "look at the model: an embedding needs a direction",
        )
    return values / norms


def squared_distances(
    unit: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """‖a - b‖² (N,) of pairs of unit embeddings (K, D), in [0, 4]; 0 for equal ones.

    Example:
        >>> squared_distances(np.eye(2), np.array([0, 0]), np.array([0, 1])).tolist()
        [0.0, 2.0]
    """
    distances = np.empty(len(first))
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        gaps = unit[first[block]] - unit[second[block]]
        distances[block] = np.einsum("nd,nd->n", gaps, gaps)
    return distances


def roc(scores: ArrayLike, same: ArrayLike) -> Roc:
    """The counts accepted at every threshold that makes a difference.

    Args:
        scores: (N,), higher = more alike.
        same: (N,) True where the pair is genuine.

    Raises:
        ValidationError: as for `checked_pairs`.

    Example:
        >>> curve = roc([0.9, 0.4, 0.6, 0.1], [True, True, False, False])
        >>> curve.far.tolist(), curve.tar.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    values, genuine = checked_pairs(scores, same)
    order = np.argsort(-values, kind="stable")
    falling, hits = values[order], np.cumsum(genuine[order])
    # the last row of each run of equal scores: a threshold below it accepts the whole run
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    accepted = np.concatenate([[0], hits[ends]])
    return Roc(
        thresholds=np.append(falling[ends], -np.inf),
        accepted_genuine=accepted,
        accepted_impostor=np.concatenate([[0], ends + 1]) - accepted,
    )


def eer(curve: Roc) -> float:
    """The equal error rate: the mean of FAR and FRR where they are closest, not interpolated.

    Of equally close thresholds the highest one counts.

    Example:
        >>> eer(roc([0.9, 0.8, 0.7, 0.2, 0.1, 0.0, 0.0, 0.3], [1, 1, 1, 1, 0, 0, 0, 0]))
        0.25
    """
    best = eer_point(curve)
    return float((curve.far[best] + curve.frr[best]) / 2)


def eer_point(curve: Roc) -> int:
    """The place on a ROC where FAR and FRR are closest; of equally close ones the first."""
    return int(np.argmin(np.abs(curve.far - curve.frr)))


def exchange_rate(curve: Roc, far: float) -> float:
    """The TAR that a little more FAR buys: the slope of the ROC at a FAR.

    Between half and twice that FAR, TAR is taken to rise with the logarithm of FAR.

    Args:
        curve: the ROC.
        far: about which; not below that of a single impostor pair.

    Example:
        >>> curve = roc([0.9, 0.7, 0.5, 0.8, 0.6, 0.4], [1, 1, 1, 0, 0, 0])
        >>> round(exchange_rate(curve, 0.4), 3)  # (3/3 - 1/3) / ln((2/3) / (1/6)) / 0.4
        1.202
    """
    about = max(far, 1 / curve.n_impostor)
    low, high = np.searchsorted(curve.far, [about / 2, 2 * about], side="right") - 1
    least = max(float(curve.far[low]), 1 / (2 * curve.n_impostor))
    if curve.far[high] <= least:
        return 0.0
    risen = float(curve.tar[high] - curve.tar[low])
    return risen / float(np.log(curve.far[high] / least)) / about


def tar_at_far(curve: Roc, target: float, rule: Rule = "exact") -> TarAtFar:
    """The TAR at a FAR.

    Args:
        curve: the ROC.
        target: the false accept rate wanted, in (0, 1).
        rule: "exact" takes the largest TAR whose FAR is at most the target; "nearest" takes the
            FAR nearest to the target, above it or below, and of equal ones the larger TAR (the
            published protocol of IJB 1:1).

    Raises:
        ValidationError: the target is not in (0, 1).

    Example:
        >>> curve = roc([0.9, 0.4, 0.6, 0.1], [True, True, False, False])
        >>> tar_at_far(curve, 0.3).tar, tar_at_far(curve, 0.3, "nearest").tar
        (0.5, 1.0)
    """
    allowed = accepted_at(target, curve.n_impostor)
    if rule == "exact":
        place = int(np.searchsorted(curve.accepted_impostor, allowed, side="right")) - 1
    else:
        gap = np.abs(curve.far - target)
        place = int(np.flatnonzero(gap == gap.min())[-1])  # TAR never falls along the curve
    return TarAtFar(
        target=target,
        threshold=float(curve.thresholds[place]),
        accepted_genuine=int(curve.accepted_genuine[place]),
        accepted_impostor=int(curve.accepted_impostor[place]),
        n_genuine=curve.n_genuine,
        n_impostor=curve.n_impostor,
    )


def accepted_at(target: float, n_impostor: int) -> int:
    """How many of n impostor pairs a FAR lets through at most.

    Raises:
        ValidationError: the target is not in (0, 1).

    Example:
        >>> accepted_at(0.29, 100), accepted_at(1e-3, 2700)
        (29, 2)
    """
    if not 0 < target < 1:
        raise ValidationError(f"FAR: expected a rate in (0, 1), got {target}")
    return int(target * n_impostor + _WHOLE)


def supports(target: float, n_impostor: int) -> bool:
    """Whether n impostor pairs are enough for a figure at a FAR: at least 10 must pass it.

    Example:
        >>> supports(1e-3, 3000), supports(1e-3, 10_000)
        (False, True)
    """
    return accepted_at(target, n_impostor) >= MIN_ACCEPTED
