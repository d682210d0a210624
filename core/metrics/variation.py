"""How much something varies inside an identity, and between identities.

The two parts of a one-way analysis of variance: unbiased, so the number of pictures per identity
does not move them.
"""

# N pictures, P values of each, K identities.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values


@dataclass(frozen=True, eq=False)
class Variation:
    """Sums of squares by identity; of several values their mean.

    Attributes:
        inside: (K,) of an identity's pictures about their mean.
        apart: (K,) of its mean about the mean of all identities' means.
        n: (K,) its pictures.
    """

    inside: NDArray[np.float64]
    apart: NDArray[np.float64]
    n: NDArray[np.int64]

    @property
    def within(self) -> float:
        """The standard deviation inside an identity.

        Raises:
            ValidationError: no identity has two pictures.
        """
        return float(np.sqrt(self._within_variance))

    @property
    def between(self) -> float:
        """The standard deviation between identities, less what few pictures of each feign.

        Raises:
            ValidationError: fewer than two identities, or none with two pictures.
        """
        if len(self.n) < 2:
            raise ValidationError("variation between identities: expected two or more, got 1")
        feigned = self._within_variance * float((1 / self.n).mean())
        return float(np.sqrt(max(0.0, self.apart.sum() / (len(self.n) - 1) - feigned)))

    @property
    def _within_variance(self) -> float:
        freedom = int((self.n - 1).sum())
        if freedom < 1:
            raise ValidationError("variation inside identities: none has two pictures")
        return float(self.inside.sum() / freedom)


def variation(values: ArrayLike, identities: ArrayLike) -> Variation:
    """The sums of squares of values of pictures.

    Args:
        values: (N,) or (N, P).
        identities: (N,).

    Raises:
        ValidationError: bad rows, or lengths that differ.

    Example:
        >>> found = variation([0, 2, 4, 6], [0, 0, 1, 1])
        >>> found.within, round(found.between**2, 9)
        (1.4142135623730951, 7.0)
    """
    array = np.asarray(values)
    rows = checked_values(array, "values", array.ndim).reshape(len(array), -1)
    labels = checked_labels(identities, "identities")
    check_same_length(rows, labels, "values and identities")
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, place, rows)
    means /= counts[:, None]
    inside = np.zeros(len(counts))
    np.add.at(inside, place, ((rows - means[place]) ** 2).mean(axis=1))
    apart = ((means - means.mean(axis=0)) ** 2).mean(axis=1)
    return Variation(inside, apart, counts.astype(np.int64))
