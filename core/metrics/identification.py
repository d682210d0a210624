"""1:N identification: closed-set rates by rank, open-set rates at a false-positive rate.

Terms of ISO/IEC 19795-1 and of NIST's FRTE: a *mated* search has its identity in the gallery, a
*non-mated* one has not. Pure functions of NumPy arrays.
"""

# N mated searches, M non-mated searches.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .intervals import Interval, Method, effective_number, joint_freedom, share_interval
from .verification import accepted_at


def identified(rank: ArrayLike, k: int) -> NDArray[np.float64]:
    """1.0 where a mated search finds its identity among the first k, else 0.0: (N,).

    The mean over k is the cumulative match characteristic.

    Args:
        rank: (N,) place of the mate among the gallery's identities, 1 = first; 0 = not returned.
        k: 1 or more.

    Raises:
        ValidationError: bad rows, or k below 1.

    Example:
        >>> identified([1, 3, 0], 3).tolist()
        [1.0, 1.0, 0.0]
    """
    if k < 1:
        raise ValidationError(f"k: expected at least 1, got {k}", "count from the first identity")
    ranks = checked_labels(rank, "rank")
    return ((ranks >= 1) & (ranks <= k)).astype(np.float64)


@dataclass(frozen=True)
class OpenSet:
    """What an open-set threshold does.

    Attributes:
        threshold: a search is positive where its best score is *above* it.
        fpir: share of non-mated searches that are positive; never above the target.
        accepted: (N,) 1.0 where a mated search is positive and its mate is first.
    """

    threshold: float
    fpir: float
    accepted: NDArray[np.float64]

    @property
    def tpir(self) -> float:
        """The share of mated searches that are positive and right."""
        return float(self.accepted.mean())


def open_set(rank: ArrayLike, score: ArrayLike, stranger: ArrayLike, fpir: float) -> OpenSet:
    """True-positive identifications at the lowest threshold whose FPIR is at most the target.

    Args:
        rank: (N,) place of each mated search's mate, 1 = first; 0 = not returned.
        score: (N,) each mated search's best score.
        stranger: (M,) each non-mated search's best score.
        fpir: target false-positive identification rate, in (0, 1).

    Raises:
        ValidationError: bad rows, or a target outside (0, 1).

    Example:
        >>> found = open_set([1, 1, 2], [0.9, 0.4, 0.8], np.arange(10) / 10, 0.3)
        >>> found.threshold, found.fpir, round(found.tpir, 3)
        (0.6, 0.3, 0.333)
    """
    ranks, scores = checked_labels(rank, "rank"), checked_values(score, "score")
    check_same_length(ranks, scores, "rank and score")
    strangers = np.sort(checked_values(stranger, "stranger"))
    threshold = float(strangers[len(strangers) - 1 - accepted_at(fpir, len(strangers))])
    return OpenSet(
        threshold=threshold,
        fpir=float((strangers > threshold).mean()),
        accepted=((ranks == 1) & (scores > threshold)).astype(np.float64),
    )


def price_of_strangers(
    rank: ArrayLike, score: ArrayLike, stranger: ArrayLike, fpir: float
) -> float:
    """The TPIR that a little more FPIR buys: the slope at a FPIR, as `exchange_rate` has it.

    Args:
        rank: (N,) as for `open_set`.
        score: (N,) likewise.
        stranger: (M,) likewise.
        fpir: about which.

    Raises:
        ValidationError: bad rows, or a target outside (0, 1).
    """
    low, high = (open_set(rank, score, stranger, end) for end in (fpir / 2, min(2 * fpir, 0.999)))
    least = max(low.fpir, 1 / (2 * np.size(stranger)))
    if high.fpir <= least:
        return 0.0
    return (high.tpir - low.tpir) / float(np.log(high.fpir / least)) / fpir


def open_set_interval(
    rank: ArrayLike,
    score: ArrayLike,
    stranger: ArrayLike,
    fpir: float,
    *,
    owner: ArrayLike,
    stranger_owner: ArrayLike,
    seed: int = 0,
) -> tuple[Interval, Method]:
    """The 95 % interval of TPIR at a FPIR over people, whose threshold the strangers have set.

    The gallery stays as it is; people who search it are resampled, strangers with the others. A
    stranger pulls TPIR down by the price of her false positives.

    Args:
        rank: (N,) as for `open_set`.
        score: (N,) likewise.
        stranger: (M,) likewise.
        fpir: likewise.
        owner: (N,) whose mated search it is.
        stranger_owner: (M,) whose non-mated search it is.
        seed: of the resampling; the same seed, the same interval.

    Raises:
        ValidationError: bad rows, or a target outside (0, 1).
    """
    found = open_set(rank, score, stranger, fpir)
    whose, who = checked_labels(owner, "owner"), checked_labels(stranger_owner, "stranger_owner")
    check_same_length(found.accepted, whose, "rank and owner")
    strangers = checked_values(stranger, "stranger")
    check_same_length(strangers, who, "stranger and stranger_owner")
    positive = (strangers > found.threshold).astype(np.float64)
    mated = np.bincount(whose, found.accepted - found.tpir) / len(whose)
    others = np.bincount(who, positive - found.fpir) / len(who)
    rate = price_of_strangers(rank, score, stranger, fpir)
    sizes, right = np.bincount(whose), np.bincount(whose, found.accepted)
    own, price = mated[sizes > 0], -rate * others[np.bincount(who) > 0]
    groups, errors = effective_number(sizes), effective_number(np.bincount(who, positive))
    return share_interval(
        found.tpir, np.concatenate([own, price]), groups=groups,
        outcomes=min(map(effective_number, (right, sizes - right))),
        freedom=joint_freedom((float(own @ own), groups), (float(price @ price), errors)),
        seed=seed,
    )  # fmt: skip
