"""Scores of class predictions. Pure functions of NumPy arrays."""

# N items, C classes.

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values


def correct(labels: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """1.0 where an item's predicted class is its label, else 0.0: (N,).

    Raises:
        ValidationError: bad rows; see `checks`.
    """
    truth, guess = checked_labels(labels), checked_labels(predicted, "predicted")
    check_same_length(truth, guess, "labels and predicted")
    return (truth == guess).astype(np.float64)


def accuracy(labels: ArrayLike, predicted: ArrayLike) -> float:
    """The share of items whose predicted class is their label.

    Example:
        >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0])
        0.75
    """
    return float(correct(labels, predicted).mean())


def mean_class_accuracy(labels: ArrayLike, predicted: ArrayLike) -> float:
    """The mean over the classes that occur of each class's accuracy ("balanced accuracy").

    Example:
        >>> mean_class_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
        0.5
    """
    hits, truth = correct(labels, predicted), checked_labels(labels)
    return float(np.mean([hits[truth == label].mean() for label in np.unique(truth)]))


def top_k_accuracy(labels: ArrayLike, scores: ArrayLike, k: int) -> float:
    """The share of items whose label has one of the k highest scores.

    A tie counts against the item: each other class with the *same* score as the label is taken
    to rank before it, so constant scores earn nothing.

    Args:
        labels: (N,) class indices below C.
        scores: (N, C), higher = more likely.
        k: 1 … C.

    Raises:
        ValidationError: bad rows, a label without a score, or k out of range.

    Example:
        >>> top_k_accuracy([2, 0], [[0.1, 0.5, 0.4], [0.2, 0.5, 0.3]], k=2)
        0.5
    """
    truth, table = checked_labels(labels), checked_values(scores, "scores", 2)
    check_same_length(truth, table, "labels and scores")
    if not 1 <= k <= table.shape[1]:
        raise ValidationError(f"k: expected 1 … {table.shape[1]} (the classes), got {k}")
    if (truth >= table.shape[1]).any():
        row = int(np.argmax(truth >= table.shape[1]))
        raise ValidationError(
            f"labels[{row}]: expected a class below {table.shape[1]}, got {truth[row]}"
        )
    own = np.take_along_axis(table, truth[:, None], axis=1)
    return float(((table >= own).sum(axis=1) <= k).mean())
