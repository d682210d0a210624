"""Scores of rankings of two classes. Pure functions of NumPy arrays."""

# N items, T tasks.

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The chance that an item of class 1 scores higher than one of class 0, ties counting half.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,), higher = more likely 1.

    Raises:
        ValidationError: bad rows, other labels, or one class only.

    Example:
        >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    truth, values = checked_labels(labels), checked_values(scores, "scores")
    check_same_length(truth, values, "labels and scores")
    n_right = int(truth.sum())
    if truth.max() > 1 or not 0 < n_right < len(truth):
        raise ValidationError(f"labels: expected 0 and 1, both of them, got {np.unique(truth)}")
    ranks = rankdata(values)
    below = ranks[truth == 1].sum() - n_right * (n_right + 1) / 2
    return float(below / (n_right * (len(truth) - n_right)))


def rmse(wanted: ArrayLike, predicted: ArrayLike) -> float:
    """The root of the mean squared difference.

    Raises:
        ValidationError: NaN, empty or mismatched rows.

    Example:
        >>> rmse([1.0, 2.0], [1.0, 4.0])
        1.4142135623730951
    """
    truth, guess = checked_values(wanted, "wanted"), checked_values(predicted, "predicted")
    check_same_length(truth, guess, "wanted and predicted")
    difference: NDArray[np.float64] = truth - guess
    return float(np.sqrt((difference**2).mean()))
