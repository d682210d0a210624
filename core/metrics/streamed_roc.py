"""TAR@FAR and EER of any number of pairs in constant memory, exactly, by reading the scores twice.

Scores are float32. Their bits, turned so that they sort like the numbers, are counted twice: first
by the upper 18 bits, which tells between which scores a wanted threshold lies, then inside those
cells by the lower 14. What `verification.roc` says of the same scores is said here too.
"""

# C cells of the upper bits, W cells that are looked into, F rates.

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ValidationError
from .verification import Roc, TarAtFar, accepted_at

Block = tuple[NDArray[np.float32], NDArray[np.bool_]]  # scores and whether each pair is genuine
_LOW_BITS = 14
_CELLS = 1 << (32 - _LOW_BITS)
_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True)
class StreamedRates:
    """Error rates of a stream of pairs.

    Attributes:
        equal: where FAR and FRR are closest; of equally close points the highest threshold.
        points: the ROC's point nearest to each FAR asked for; of equally near ones the larger TAR.
        curve: the ROC at thresholds 0.2 % apart.
    """

    equal: TarAtFar
    points: tuple[TarAtFar, ...]
    curve: Roc

    @property
    def eer(self) -> float:
        """The equal error rate: the mean of FAR and FRR where they are closest."""
        return (self.equal.far + 1 - self.equal.tar) / 2


def streamed_rates(read: Callable[[], Iterable[Block]], fars: Sequence[float]) -> StreamedRates:
    """The error rates of pairs that are read in blocks, twice.

    Args:
        read: gives all blocks anew at each call.
        fars: the false accept rates wanted, each in (0, 1).

    Raises:
        ValidationError: a score is not finite, a kind of pair is missing, or a rate is outside
            (0, 1).
    """
    coarse = np.zeros((2, _CELLS), dtype=np.int64)
    n_read = 0
    for scores, same in read():
        keys = _sortable(scores, n_read) >> np.uint32(_LOW_BITS)
        for kind in (0, 1):
            np.add.at(coarse[kind], keys[same == bool(kind)], 1)
        n_read += len(scores)
    n_impostor, n_genuine = (int(n) for n in coarse.sum(axis=1))
    if not n_impostor or not n_genuine:
        raise ValidationError(
            f"expected genuine and impostor pairs, got {n_genuine} genuine and {n_impostor} "
            "impostor ones",
            "name a list with both",
        )
    targets = [accepted_at(far, n_impostor) for far in fars]
    curve = _looked_into(read, coarse, _wanted_cells(coarse, targets))
    return StreamedRates(
        equal=curve.equal(),
        points=tuple(
            curve.nearest(far, allowed) for far, allowed in zip(fars, targets, strict=True)
        ),
        curve=_coarse_roc(coarse),
    )


def _coarse_roc(coarse: NDArray[np.int64]) -> Roc:
    """The ROC at the lower ends of the cells that hold a score."""
    some = np.flatnonzero(coarse.sum(axis=0))[::-1]
    ends = np.array([_number(int(cell) << _LOW_BITS) for cell in some])
    impostor, genuine = np.cumsum(coarse[:, some], axis=1)
    return Roc(
        thresholds=np.append(np.inf, ends),
        accepted_genuine=np.append(0, genuine),
        accepted_impostor=np.append(0, impostor),
    )


def _sortable(scores: NDArray[np.float32], first: int) -> NDArray[np.uint32]:
    """Whole numbers that sort like the scores; -0 is 0."""
    if not np.isfinite(scores).all():
        row = int(np.argmin(np.isfinite(scores)))
        raise ValidationError(
            f"scores[{first + row}]: expected a finite number, got {scores[row]}",
            "look at what produced it; a metric never skips a row",
        )
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(key: int) -> float:
    """The score of a sortable whole number."""
    bits = np.uint32(key)
    return float((bits ^ _SIGN if bits & _SIGN else ~bits).view(np.float32))


def _wanted_cells(coarse: NDArray[np.int64], targets: Sequence[int]) -> NDArray[np.int64]:
    """The cells whose scores decide something, rising.

    For each target the cell of the impostor after it and the next lower one with an impostor; for
    the EER those around the first threshold, from above, with FAR >= FRR.
    """
    impostors, genuine = coarse
    above = np.cumsum(impostors[::-1])[::-1]  # in this cell or higher
    filled = np.flatnonzero(impostors)
    wanted = set()
    for allowed in targets:
        cell = int(np.flatnonzero(above > allowed)[-1])
        lower = filled[filled < cell]
        wanted |= {cell, *lower[-1:].tolist()}
    far = above / impostors.sum()
    frr = 1 - np.cumsum(genuine[::-1])[::-1] / genuine.sum()
    cross = int(np.flatnonzero(far >= frr)[-1])
    some = np.flatnonzero(impostors + genuine)
    wanted |= {cross, *some[some < cross][-1:].tolist(), *some[some > cross][:1].tolist()}
    return np.array(sorted(wanted), dtype=np.int64)


def _looked_into(
    read: Callable[[], Iterable[Block]], coarse: NDArray[np.int64], cells: NDArray[np.int64]
) -> "_Curve":
    """The part of the ROC that lies inside some cells: the second reading."""
    fine = np.zeros((2, len(cells) << _LOW_BITS), dtype=np.int64)
    for scores, same in read():
        keys = _sortable(scores, 0)
        cell = (keys >> np.uint32(_LOW_BITS)).astype(np.int64)
        place = np.searchsorted(cells, cell)
        inside = cells[np.minimum(place, len(cells) - 1)] == cell
        low = (keys & np.uint32((1 << _LOW_BITS) - 1)).astype(np.int64)
        codes = place * (1 << _LOW_BITS) + low
        for kind in (0, 1):
            np.add.at(fine[kind], codes[inside & (same == bool(kind))], 1)
    return _Curve.of(coarse, cells, fine.reshape(2, len(cells), 1 << _LOW_BITS))


@dataclass(frozen=True, eq=False)
class _Curve:
    """Thresholds at the scores in some cells: a pair is accepted when its score is above.

    Attributes:
        keys: sortable scores that occur there, falling.
        genuine: genuine pairs above each of them, and those at or above it (2, T).
        impostor: impostor pairs likewise.
        totals: all genuine and all impostor pairs.
    """

    keys: NDArray[np.int64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]
    totals: tuple[int, int]

    @classmethod
    def of(
        cls, coarse: NDArray[np.int64], cells: NDArray[np.int64], fine: NDArray[np.int64]
    ) -> "_Curve":
        higher = np.cumsum(coarse[:, ::-1], axis=1)[:, ::-1] - coarse  # in higher cells
        at_or_above = np.cumsum(fine[:, :, ::-1], axis=2)[:, :, ::-1] + higher[:, cells, None]
        keys = (cells[:, None] << _LOW_BITS) + np.arange(1 << _LOW_BITS)
        some = fine.sum(axis=0) > 0
        counts = np.stack([at_or_above - fine, at_or_above])[:, :, some][:, :, ::-1]
        totals = coarse.sum(axis=1)
        return cls(keys[some][::-1], counts[:, 1], counts[:, 0], (int(totals[1]), int(totals[0])))

    def equal(self) -> TarAtFar:
        """The point where FAR and FRR are closest; of equally close ones the highest."""
        n_genuine, n_impostor = self.totals
        # above the score, then at it: two neighbouring thresholds, both points of the curve
        impostor, genuine = self.impostor.T.ravel(), self.genuine.T.ravel()
        gaps = np.abs(impostor / n_impostor - (1 - genuine / n_genuine))
        best = int(np.argmin(gaps))
        score = np.float32(_number(int(self.keys[best // 2])))
        return TarAtFar(
            target=float(impostor[best] / n_impostor),
            threshold=float(score if best % 2 == 0 else np.nextafter(score, np.float32(-np.inf))),
            accepted_genuine=int(genuine[best]),
            accepted_impostor=int(impostor[best]),
            n_genuine=n_genuine,
            n_impostor=n_impostor,
        )

    def nearest(self, far: float, allowed: int) -> TarAtFar:
        """The point nearest to a FAR, which lets through at most `allowed` impostors."""
        n_genuine, n_impostor = self.totals
        # accepted is what lies above an impostor's score: any higher threshold accepts no more
        # genuine pairs at the same FAR
        ends = np.flatnonzero(self.impostor[1] > self.impostor[0])
        first = int(ends[np.argmax(self.impostor[1][ends] > allowed)])
        points = [(self.keys[first], self.genuine[0][first], self.impostor[0][first])]
        lower = ends[self.keys[ends] < self.keys[first]]
        if len(lower):
            after = int(lower[0])
            points.append((self.keys[after], self.genuine[0][after], self.impostor[0][after]))
        else:
            points.append((None, n_genuine, n_impostor))
        gaps = [abs(int(accepted) / n_impostor - far) for *_, accepted in points]
        key, genuine, impostor = points[1] if gaps[1] <= gaps[0] else points[0]
        return TarAtFar(
            target=far,
            threshold=-np.inf if key is None else _number(int(key)),
            accepted_genuine=int(genuine),
            accepted_impostor=int(impostor),
            n_genuine=n_genuine,
            n_impostor=n_impostor,
        )
