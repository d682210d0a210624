"""Class numbers of the labels that people write beside their samples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError

_LARGEST = 10_000_000


def label_values(
    name: str, keys: Sequence[str], given: Sequence[int | str | None]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Label values and class names: numbers stand for themselves, names are sorted.

    Args:
        name: of the source, for messages.
        keys: of the samples.
        given: a number, a name or nothing for each; the same for all.

    Returns:
        (N,) int64 and the classes; None and () where nothing is given.

    Raises:
        DataError: some have none, kinds are mixed, or a number is out of range.
    """
    if all(label is None for label in given):
        return None, ()
    kinds = {type(label) for label in given}
    if len(kinds) > 1:
        odd = next(i for i, label in enumerate(given) if type(label) is not type(given[0]))
        raise DataError(
            f"{name}: the labels of {keys[0]!r} and {keys[odd]!r} are of different kinds",
            "give every sample a label of one kind (number or name), or none",
        )
    if kinds == {str}:
        classes = tuple(sorted({str(label) for label in given}))
        number = {c: i for i, c in enumerate(classes)}
        return np.array([number[str(v)] for v in given], dtype=np.int64), classes
    numbers = [int(v) for v in given if v is not None]
    if min(numbers) < 0 or max(numbers) > _LARGEST:
        raise DataError(
            f"{name}: labels go from {min(numbers)} to {max(numbers)}", "count them from 0"
        )
    return np.array(numbers, dtype=np.int64), tuple(str(i) for i in range(max(numbers) + 1))
