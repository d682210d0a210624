"""Features of labelled faces: centres, consistency, the scores of all pairs, d' and AUC.

Pure functions of NumPy arrays. Features are raw, one per picture, of one recognition net; a net
other than the generator's own is the fair choice.
"""

# N pictures, K identities, D width.

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .cosines import NOTHING, earlier_tiles, unit_rows


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


def auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """The share of (genuine, impostor) score pairs in the right order; equal ones count half.

    The area under the ROC (Mann and Whitney, 1947).

    Raises:
        ValidationError: bad rows.

    Example:
        >>> auc([2, 1], [0, 1])
        0.875
    """
    return float(placements(genuine, impostor).mean())


def placements(scores: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """The share of other scores that each score exceeds, equal ones counting half: (N,).

    Raises:
        ValidationError: bad rows.
    """
    values, rest = checked_values(scores, "scores"), np.sort(checked_values(others, "others"))
    below = np.searchsorted(rest, values, side="left")
    up_to = np.searchsorted(rest, values, side="right")
    return (below + up_to) / (2 * len(rest))
