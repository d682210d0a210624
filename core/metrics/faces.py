"""What a data set of labelled faces is worth: separability, consistency, leakage, d'.

Pure functions of NumPy arrays. Features are raw, one per picture, of one recognition net; a net
other than the generator's own is the fair choice.
"""

# N pictures, K identities, M real identities, D width.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .cosines import NOTHING, earlier_tiles, exact_cosine, rounding_margin, unit_rows

_ROWS = 1024


@dataclass(frozen=True)
class Separability:
    """How many identities differ from all earlier ones.

    Attributes:
        n: numbers of first identities looked at.
        unique: how many among them are unique.
    """

    n: tuple[int, ...]
    unique: tuple[int, ...]

    @property
    def share(self) -> float:
        """The unique share of all identities."""
        return self.unique[-1] / self.n[-1]


def unique_identities(centres: NDArray[np.float32], tau: float = 0.4) -> NDArray[np.bool_]:
    """Whether each identity's cosine with every earlier one is <= tau: (K,).

    The earlier ones count even where they are not unique themselves, so the order matters
    (official code of Vec2Face). Decided exactly; see `cosines`.

    Args:
        centres: (K, D) float32 mean raw features.
        tau: the official bound is 0.4.

    Raises:
        ValidationError: a bad row.
    """
    unit = unit_rows(centres, "centres")
    margin = rounding_margin(centres.shape[1])
    unique = np.ones(len(unit), dtype=bool)
    for rows, earlier, tile in earlier_tiles(unit):
        largest = tile.max(axis=1)
        unique[rows] &= largest <= tau + margin
        for row in np.flatnonzero(unique[rows] & (largest >= tau - margin)):
            near = np.flatnonzero(tile[row] >= tau - margin)
            vector, others = centres[rows][row], centres[earlier][near]
            unique[rows.start + row] = all(exact_cosine(vector, other) <= tau for other in others)
    return unique


def separability(centres: NDArray[np.float32], tau: float = 0.4, step: int = 1000) -> Separability:
    """The unique count among the first n identities, n in steps (Wu et al., 2025).

    Example:
        >>> separability(np.float32([[1, 0], [0, 1], [1, 0.1]]), step=2)
        Separability(n=(2, 3), unique=(2, 2))
    """
    counts = np.cumsum(unique_identities(centres, tau))
    ends = [*range(step, len(counts), step), len(counts)]
    return Separability(tuple(ends), tuple(int(counts[end - 1]) for end in ends))


def identity_centres(
    features: ArrayLike, identities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The mean raw feature of each identity, in the order of first appearance.

    Returns:
        Labels (K,) and centres (K, D).

    Raises:
        ValidationError: bad rows.
    """
    values, labels = checked_values(features, "features", 2), checked_labels(identities)
    check_same_length(values, labels, "features and identities")
    names, first, place = np.unique(labels, return_index=True, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, place, values)
    means = sums / np.bincount(place)[:, None]
    order = np.argsort(first)
    return names[order], means[order].astype(np.float32)


def consistency(features: ArrayLike, identities: ArrayLike) -> NDArray[np.float64]:
    """The cosine of each picture's feature with its own identity's centre: (N,).

    The picture itself counts in the centre, so few pictures per identity give higher values.
    Close to 1: no variation; low: identity lost.

    Raises:
        ValidationError: bad rows.
    """
    labels, centres = identity_centres(features, identities)
    own = np.argsort(labels)[np.searchsorted(np.sort(labels), np.asarray(identities))]
    unit = unit_rows(np.asarray(features), "features").astype(np.float64)
    return np.einsum("nd,nd->n", unit, unit_rows(centres, "centres")[own].astype(np.float64))


def pair_scores(
    features: ArrayLike, identities: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cosines of all N (N - 1) / 2 pairs: (genuine, impostor), for a few thousand pictures.

    Raises:
        ValidationError: bad rows.
    """
    labels = checked_labels(identities)
    unit = unit_rows(np.asarray(features), "features")
    check_same_length(unit, labels, "features and identities")
    genuine, impostor = [], []
    for rows, earlier, tile in earlier_tiles(unit):
        pair = tile > NOTHING
        same = labels[rows][:, None] == labels[earlier][None, :]
        genuine.append(tile[pair & same])
        impostor.append(tile[pair & ~same])
    return np.concatenate(genuine), np.concatenate(impostor)


def d_prime(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """|μg - μi| / √((σg² + σi²) / 2), with population variances.

    Raises:
        ValidationError: bad rows, or both sets of scores constant.

    Example:
        >>> d_prime([3, 5], [0, 2])
        3.0
    """
    g, i = checked_values(genuine, "genuine"), checked_values(impostor, "impostor")
    spread = np.sqrt((g.var() + i.var()) / 2)
    if spread == 0:
        raise ValidationError(
            "d': all genuine and all impostor scores are equal", "give more pairs"
        )
    return float(abs(g.mean() - i.mean()) / spread)


def threshold_at_far(impostor: ArrayLike, far: float) -> float:
    """The smallest score t for which at most the share `far` of impostors scores >= t.

    Args:
        impostor: cosines between real strangers.
        far: false accept rate; at least 10 scores must lie above the threshold it asks for.

    Raises:
        ValidationError: bad rows, or too few scores for that rate.

    Example:
        >>> threshold_at_far(np.arange(100) / 100, 0.1)
        0.9
    """
    scores = np.sort(checked_values(impostor, "impostor"))
    allowed = int(far * len(scores) + 1e-9)
    if not 0 < far < 1 or allowed < 10:
        raise ValidationError(
            f"a threshold at FAR {far} needs FAR in (0, 1) and at least {10 / max(far, 1e-12):.0f} "
            f"impostor scores, got {len(scores)}",
            "calibrate at a higher FAR or with more real pairs",
        )
    thresholds = np.unique(scores)
    accepted = len(scores) - np.searchsorted(scores, thresholds)
    enough = thresholds[accepted <= allowed]
    return float(enough[0] if len(enough) else np.nextafter(scores[-1], np.inf))


@dataclass(frozen=True)
class Leakage:
    """How near pictures come to real identities.

    Attributes:
        cosine: (N,) float32, of each picture with the nearest real identity.
        nearest: (N,) int64, which one.
    """

    cosine: NDArray[np.float32]
    nearest: NDArray[np.int64]

    def share(self, threshold: float) -> float:
        """The share of pictures whose cosine is >= the threshold."""
        return float((self.cosine >= threshold).mean())

    def worst(self, n: int) -> NDArray[np.int64]:
        """The n pictures that come nearest, nearest first."""
        return np.argsort(-self.cosine, kind="stable")[:n]


def leakage(features: ArrayLike, real_centres: ArrayLike) -> Leakage:
    """The largest cosine of each picture's feature with the centres of real identities.

    Pictures are compared, not their identities' centres: a mean hides what single pictures show.

    Args:
        features: (N, D) raw.
        real_centres: (M, D) mean raw features, of the generator's training identities.

    Raises:
        ValidationError: bad rows or unequal widths.
    """
    pictures = unit_rows(np.asarray(features), "features")
    real = unit_rows(np.asarray(real_centres), "real_centres")
    if pictures.shape[1] != real.shape[1] or not len(real):
        raise ValidationError(
            f"leakage: expected features and at least one real centre of one width, got shapes "
            f"{pictures.shape} and {real.shape}",
            "take both with the same recognition net",
        )
    cosine = np.empty(len(pictures), dtype=np.float32)
    nearest = np.empty(len(pictures), dtype=np.int64)
    for start in range(0, len(pictures), _ROWS):
        products = pictures[start : start + _ROWS] @ real.T
        nearest[start : start + _ROWS] = products.argmax(axis=1)
        cosine[start : start + _ROWS] = products.max(axis=1)
    return Leakage(cosine, nearest)
