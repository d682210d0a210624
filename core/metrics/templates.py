"""Templates: several pictures of one person as one vector (IJB protocols). Pure NumPy functions."""

# K pictures, R rows of a template list, T templates, D width.

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values


@dataclass(frozen=True, eq=False)
class Pooling:
    """How much each picture counts in each template: score / pictures of the same medium.

    So a template is the sum over its media of the mean over a medium's pictures of
    score × embedding; the pictures of one video weigh as much as one photograph.

    Attributes:
        weights: (T, K) scipy sparse array in CSC form.
    """

    weights: Any

    @classmethod
    def of(
        cls,
        picture: ArrayLike,
        template: ArrayLike,
        media: ArrayLike,
        score: ArrayLike,
        shape: tuple[int, int],
    ) -> "Pooling":
        """The weights of a template list.

        Args:
            picture: (R,) which of the K pictures.
            template: (R,) which of the T templates.
            media: (R,) the medium, a number that means something inside a template only.
            score: (R,) the detector's, at least 0.
            shape: (T, K).

        Raises:
            ValidationError: bad rows, lengths that differ, or a score below 0.
        """
        from scipy.sparse import csc_array

        rows = [checked_labels(v, n) for v, n in ((picture, "picture"), (template, "template"))]
        medium, scores = checked_labels(media, "media"), checked_values(score, "score")
        for other in (rows[1], medium, scores):
            check_same_length(rows[0], other, "rows of the template list")
        if (scores < 0).any():
            row = int(np.argmax(scores < 0))
            raise ValidationError(f"score[{row}]: expected at least 0, got {scores[row]}")
        groups, count = np.unique(
            np.stack([rows[1], medium], axis=1), axis=0, return_inverse=True, return_counts=True
        )[1:]
        weights = csc_array((scores / count[groups.ravel()], (rows[1], rows[0])), shape=shape)
        return cls(weights)

    def pooled(
        self, blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]
    ) -> NDArray[np.float64]:
        """The templates (T, D), not of unit length.

        Args:
            blocks: numbers of pictures (n,) and their raw embeddings (n, D); all pictures, each
                once, in any order.
        """
        sums: NDArray[np.float64] | None = None
        for pictures, values in blocks:
            part = self.weights[:, pictures] @ values.astype(np.float64)
            sums = part if sums is None else sums + part
        if sums is None:
            raise ValidationError("templates: expected at least one picture, got none")
        return sums


def unit_templates(sums: NDArray[np.float64], names: Iterable[str]) -> NDArray[np.float32]:
    """The templates (T, D) brought to unit length.

    Raises:
        ValidationError: one is zero or not finite; names it.
    """
    lengths = np.linalg.norm(sums, axis=1)
    bad = ~(np.isfinite(lengths) & (lengths > 0))
    if bad.any():
        name = list(names)[int(np.argmax(bad))]
        raise ValidationError(
            f"template {name}: expected a finite vector that is not zero, got length "
            f"{lengths[int(np.argmax(bad))]}",
            "none of its pictures has a usable embedding or score: leave the template out",
        )
    return (sums / lengths[:, None]).astype(np.float32)
