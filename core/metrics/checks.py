"""What every metric asks of its input: refuse NaN, empty, wrong shape, naming the first bad row."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError

_MEND = "look at what produced it; a metric never skips a row"


def checked_labels(labels: ArrayLike, name: str = "labels") -> NDArray[np.int64]:
    """Class indices as (N,) int64.

    Raises:
        ValidationError: not one row of whole numbers >= 0, or empty; names the first bad row.
    """
    array = np.asarray(labels)
    _check_filled(array, name, 1)
    if array.dtype.kind not in "iu":
        raise ValidationError(f"{name}: expected whole numbers, got {array.dtype}", _MEND)
    if (array < 0).any():
        row = int(np.argmax(array < 0))
        raise ValidationError(f"{name}[{row}]: expected a class >= 0, got {array[row]}", _MEND)
    return array.astype(np.int64)


def checked_values(values: ArrayLike, name: str = "values", ndim: int = 1) -> NDArray[np.float64]:
    """Finite numbers as float64 of `ndim` dimensions.

    Raises:
        ValidationError: NaN or infinity, empty, or another shape; names the first bad row.
    """
    array = np.asarray(values)
    _check_filled(array, name, ndim)
    if array.dtype.kind not in "fiub":
        raise ValidationError(f"{name}: expected numbers, got {array.dtype}", _MEND)
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValidationError(f"{name}[{row}]: expected finite numbers, got {array[row]}", _MEND)
    return array.astype(np.float64)


def check_same_length(first: NDArray, second: NDArray, names: str) -> None:
    """Refuse two arrays that do not describe the same rows.

    Raises:
        ValidationError: their lengths differ.
    """
    if len(first) != len(second):
        raise ValidationError(
            f"{names}: expected equal lengths, got {len(first)} and {len(second)}", _MEND
        )


def _check_filled(array: NDArray, name: str, ndim: int) -> None:
    if array.ndim != ndim:
        raise ValidationError(
            f"{name}: expected {ndim} dimension(s), got shape {array.shape}", _MEND
        )
    if array.size == 0:
        raise ValidationError(f"{name}: expected at least one row, got shape {array.shape}", _MEND)
