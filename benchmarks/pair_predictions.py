"""Distances of pairs of faces: how every benchmark of pairs gets them, and what it reads of them.

A picture's embedding is f(x) + f(mirrored x), raw vectors summed, then brought to unit length; a
pair's distance is ‖a - b‖².
"""

# N pairs, D width.

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.metrics.pair_folds import FoldDecisions, decide
from ..core.metrics.pair_intervals import PairGroups
from ..core.metrics.verification import squared_distances, unit_embeddings

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..modalities.image.faces.pair_alignment import AlignedPairs
    from .pair_data import PairTask
    from .subjects import Subject

_MIN_KIND = 10  # pairs of either kind that an origin needs for figures of its own


@dataclass(frozen=True, eq=False)
class PairPredictions:
    """The columns of stored predictions, and what is computed of them once.

    Attributes:
        frame: a row per pair: `same`, `fold`, `origin`, `group_a`, `group_b` and `distance`.
    """

    frame: "DataFrame"

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """(N,)."""
        return self.column("distance")

    def column(self, name: str) -> NDArray[np.float64]:
        """(N,) of another column of distances."""
        return self.frame[name].to_numpy(np.float64)

    @cached_property
    def same(self) -> NDArray[np.bool_]:
        """(N,) whether a pair is genuine."""
        return self.frame["same"].to_numpy(bool)

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """(N,)."""
        return self.frame["fold"].to_numpy(np.int64)

    @cached_property
    def groups(self) -> PairGroups:
        """Whose pictures the pairs compare."""
        return PairGroups.of(self.frame["group_a"], self.frame["group_b"])

    @property
    def n_genuine(self) -> int:
        """How many pairs are genuine."""
        return int(self.same.sum())

    @property
    def n_impostor(self) -> int:
        """How many are not."""
        return len(self.same) - self.n_genuine

    def decisions(
        self, choose: Callable[[NDArray, NDArray], float], column: str = "distance"
    ) -> FoldDecisions:
        """What the thresholds of the other folds decide."""
        return decide(self.column(column), self.same, self.fold, choose)

    def by_origin(self) -> Iterator[tuple[str, "PairPredictions"]]:
        """The pairs of each origin, where there are several; those with too few are left out."""
        names = sorted(set(self.frame["origin"]))
        for name in names if len(names) > 1 else ():
            own = PairPredictions(self.frame[self.frame["origin"] == name])
            if min(own.n_genuine, own.n_impostor) >= _MIN_KIND:
                yield name, own


def predict(
    subject: "Subject", data: "PairTask", max_missing: float
) -> tuple["DataFrame", "AlignedPairs"]:
    """A row per pair whose two pictures are there, and the aligned pictures.

    Args:
        subject: embeds the pictures; chance sees nothing, so all of its distances are equal.
        data: the pairs.
        max_missing: share of them that may lack a picture.

    Raises:
        DataError: more pairs lack a picture, or a whole kind of pair does.
        ValidationError: an embedding is zero or not finite; names the picture.
    """
    from .face_subjects import template_read_by

    aligned = data.aligned(template_read_by(subject))
    _check_missing(data, aligned, max_missing)
    return _frame(data, aligned, _distances(subject, aligned)), aligned


def facts_of_pairs(
    data: "PairTask", aligned: "AlignedPairs", pairs: PairPredictions
) -> dict[str, Any]:
    """What a reader of a record must know of the pairs behind it."""
    return {
        "pairs": {
            "genuine": pairs.n_genuine,
            "impostor": pairs.n_impostor,
            "left_out": len(data.pairs) - len(aligned.rows),
        },
        # without what follows the colon: paths of a machine do not belong to a claim
        "missing_pictures": {key: why.partition(":")[0] for key, why in aligned.missing},
        "alignment": data.alignment,
        "interval_over": data.groups()[1],
        "groups": pairs.groups.n,
    }


def _check_missing(data: "PairTask", aligned: "AlignedPairs", max_missing: float) -> None:
    from ..modalities.image.faces.pair_alignment import mend_of

    n_listed = len(data.pairs)
    n_missing = n_listed - len(aligned.rows)
    if n_missing > max_missing * n_listed:
        key, why = aligned.missing[0]
        raise DataError(
            f"{data.name}: {n_missing} of {n_listed} pairs lack a picture (the first, {key}: "
            f"{why}), at most {max_missing:.0%} may",
            f"{mend_of(why)}, or allow more with --set max_missing=0.5",
        )
    same = data.pairs.same[aligned.rows]
    if same.all() or not same.any():
        raise DataError(
            f"{data.name}: only {'genuine' if same.all() else 'impostor'} pairs are left once "
            f"{n_missing} that lack a picture are left out"
        )


def _distances(subject: "Subject", aligned: "AlignedPairs") -> NDArray[np.float64]:
    from .face_subjects import flip_sum

    if subject.kind == "chance":
        return np.zeros(len(aligned.rows))
    unit = unit_embeddings(flip_sum(subject, aligned.source), aligned.source.keys)
    return squared_distances(unit, aligned.first, aligned.second)


def _frame(
    data: "PairTask", aligned: "AlignedPairs", distances: NDArray[np.float64]
) -> "DataFrame":
    import pandas as pd

    pairs, rows = data.pairs, aligned.rows
    groups, _ = data.groups()
    first, second = pairs.first[rows], pairs.second[rows]
    return pd.DataFrame({
        "a": [pairs.source.keys[row] for row in first],
        "b": [pairs.source.keys[row] for row in second],
        "origin": [pairs.origin[row] for row in rows],
        "same": pairs.same[rows],
        "fold": pairs.fold[rows],
        "group_a": groups[first],
        "group_b": groups[second],
        "distance": distances,
    })  # fmt: skip
