"""How near pictures come to real identities, and what nearness real strangers have."""

# N pictures, M real identities, D width.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .cosines import rounding_margin, unit_rows

NOBODY = -1  # of a picture whose person is not among the real identities
_ROWS = 1024
_CALIBRATED = 2048  # pictures or identities that give a threshold: two million pairs and more


@dataclass(frozen=True, eq=False)
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


class RealIdentities:
    """Real people, by the mean feature of each, that pictures are compared with.

    Pictures are compared, not their identities' centres: a mean hides what single pictures show.

    Args:
        centres: (M, D) mean features.

    Raises:
        ValidationError: a bad row, or none.
    """

    def __init__(self, centres: ArrayLike) -> None:
        self._unit = unit_rows(np.asarray(centres), "real_centres")
        if not len(self._unit):
            raise ValidationError(f"real_centres: expected some, got {self._unit.shape}")
        self._margin = rounding_margin(self._unit.shape[1])

    def __len__(self) -> int:
        return len(self._unit)

    def nearest(self, features: ArrayLike, own: ArrayLike | None = None) -> Leakage:
        """Each picture's largest cosine with a real identity.

        Args:
            features: (N, D).
            own: (N,) the real identity that each picture shows, which does not count; -1 = nobody
                among them. None = nobody for all.

        Raises:
            ValidationError: bad rows, unequal widths, or nobody else to compare with.
        """
        pictures, places = self._checked(features, own)
        cosine = np.empty(len(pictures), dtype=np.float32)
        nearest = np.empty(len(pictures), dtype=np.int64)
        for start in range(0, len(pictures), _ROWS):
            block = slice(start, start + _ROWS)
            products = self._others(pictures[block], places[block])
            nearest[block] = products.argmax(axis=1)
            cosine[block] = products.max(axis=1)
        if not np.isfinite(cosine).all():
            raise ValidationError("leakage: the only real identity is the picture's own")
        return Leakage(cosine, nearest)

    def strangers(self) -> Leakage:
        """Each real identity's own largest cosine with another one.

        Raises:
            ValidationError: there is only one.
        """
        return self.nearest(self._unit, np.arange(len(self)))

    def picture_threshold(self, features: ArrayLike, own: ArrayLike | None, far: float) -> float:
        """The cosine that at most the share `far` of comparisons with other people reach.

        Of many pictures and identities some of each are compared, at even distances.

        Args:
            features: (N, D) of real pictures.
            own: (N,) the real identity that each shows, or -1; None = nobody among them for all.
            far: false accept rate of one comparison.

        Raises:
            ValidationError: bad rows, or too few comparisons for that rate.
        """
        pictures, places = self._checked(features, own)
        rows, columns = _some(len(pictures)), _some(len(self))
        cosines = self._others(pictures[rows], places[rows])[:, columns]
        return threshold_at_far(cosines[np.isfinite(cosines)], far) - self._margin

    def pair_threshold(self, far: float) -> float:
        """The cosine that at most the share `far` of pairs of real identities reach.

        Raises:
            ValidationError: too few pairs for that rate.
        """
        some = self._unit[_some(len(self))]
        between = (some @ some.T)[np.triu_indices(len(some), 1)]
        if not between.size:
            raise ValidationError("a threshold needs two real identities, got 1")
        # it is the cosine of a pair, which other products may round to the other side of it
        return threshold_at_far(between, far) - self._margin

    def _checked(
        self, features: ArrayLike, own: ArrayLike | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        pictures = unit_rows(np.asarray(features), "features")
        if pictures.shape[1] != self._unit.shape[1]:
            raise ValidationError(
                f"leakage: expected features and real centres of one width, got shapes "
                f"{pictures.shape} and {self._unit.shape}",
                "take both with the same recognition net",
            )
        places = np.full(len(pictures), NOBODY) if own is None else np.asarray(own, np.int64)
        check_same_length(pictures, places, "features and own identities")
        return pictures, places

    def _others(self, pictures: NDArray[np.float32], own: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines (n, M); those with a picture's own identity are -inf."""
        products = pictures @ self._unit.T
        mine = np.flatnonzero(own >= 0)
        products[mine, own[mine]] = -np.inf
        return products


def _some(n: int) -> slice:
    """At most `_CALIBRATED` of n rows, at even distances."""
    step = -(-n // _CALIBRATED)
    return slice(None, None, max(step, 1))


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


def identity_places(labels: ArrayLike, classes: ArrayLike) -> NDArray[np.int64]:
    """Where each label stands among the labels of the centres: (N,); -1 = not there.

    Example:
        >>> identity_places([7, 2, 5], [2, 7]).tolist()
        [1, 0, -1]
    """
    wanted, known = checked_labels(labels), checked_labels(classes, "classes")
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    found = order[place]
    return np.where(known[found] == wanted, found, NOBODY)
