"""ROC and DET for the page: of stored pairs, or of the counts that template protocols store."""

# T thresholds.

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.record_store import read_predictions
from ..core.records import Record
from .plots import Plot, draw
from .plots_series import POINTS, Curve, dots, line, lines, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
_WIDE_TICKS = (1e-6, 1e-4, 0.01, 0.2, 0.8)  # where the axis goes further down
_LOW, _HIGH = 0.0005, 0.97  # ends of the DET's axes
_ROOM = 0.8  # below the lowest point of an axis


@dataclass(frozen=True, eq=False)
class Rates:
    """What thresholds accept.

    Attributes:
        far: (T,) false accept rates, never falling.
        tar: (T,) true accept rates.
        n_genuine: pairs behind them.
        n_impostor: likewise.
        few: only these thresholds are known.
    """

    far: NDArray[np.float64]
    tar: NDArray[np.float64]
    n_genuine: int
    n_impostor: int
    few: bool = False


def rates_of_pairs(record: Record, results: Path) -> Rates | None:
    """All thresholds of stored pairs; None where none are stored."""
    if record.claim.predictions is None:
        return None
    frame = read_predictions(record, results)
    if not {"distance", "same"} <= set(frame):
        return None
    from ..core.metrics.verification import roc

    curve = roc(-frame["distance"].to_numpy(np.float64), frame["same"].to_numpy(bool))
    return Rates(curve.far, curve.tar, curve.n_genuine, curve.n_impostor)


def rates_of_counts(record: Record, results: Path) -> Rates | None:
    """The thresholds whose counts are stored, those with enough impostors behind them."""
    if record.claim.predictions is None:
        return None
    from ..benchmarks.template_verification import people_counts

    frame = read_predictions(record, results)
    named = frame[frame["rate"].isin(record.claim.metrics)]
    found = [people_counts(rows) for _, rows in named.groupby("rate")]
    points = sorted((counts.far, counts.tar) for counts in found if counts.far > 0)
    if not points:
        return None
    far, tar = np.array(points).T
    return Rates(far, tar, found[0].n_genuine, found[0].n_impostor, few=True)


def rates_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """ROC and DET."""
    few = any(curve.data.few for curve in curves)
    sizes = {(curve.data.n_genuine, curve.data.n_impostor) for curve in curves}
    pairs = " or ".join(f"{g:,} genuine and {i:,} impostor pairs" for g, i in sorted(sizes))
    known = " Dots are the thresholds whose counts are stored." if few else ""
    what = " of templates" if few else ""
    return (
        Plot(
            draw(lambda axes: _roc(axes, curves), words=f"ROC curves{what}: TAR against FAR"),
            f"ROC{what}",
            f"True accept rate against false accept rate, of {pairs}. Up and left is better."
            + known,
            series(curves),
        ),
        Plot(
            draw(lambda axes: _det(axes, curves), words=f"DET curves{what}: FRR against FAR"),
            f"DET{what}",
            "False reject rate against false accept rate, both on the scale of the normal "
            f"distribution. Down and left is better.{known}",
            series(curves),
        ),
    )


def thinned(
    far: NDArray[np.float64], tar: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The TAR reached at some FARs, evenly apart on a logarithmic axis."""
    at = np.geomspace(least, 1, POINTS)
    return at, tar[np.searchsorted(far, at * (1 + 1e-9), side="right") - 1]


def _roc(axes: "Axes", curves: Sequence[Curve]) -> None:
    axes.set_xscale("log")
    least, lowest = 1.0, 1.0
    for place, rates in lines(curves):
        if rates.few:
            far, tar = rates.far, rates.tar
            dots(axes, place, far, tar)
            line(axes, place, far, tar)
        else:
            far, tar = thinned(rates.far, rates.tar, 1 / rates.n_impostor)
            line(axes, place, far, tar, drawstyle="steps-post")
        least = min(least, _ROOM * float(far[0]) if rates.few else float(far[0]))
        lowest = min(lowest, float(tar[0]))
    axes.set(xlim=(least, 1), ylim=(max(0.0, min(lowest - 0.02, 0.9)), 1.005),
             xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    axes.grid(visible=True)


def _det(axes: "Axes", curves: Sequence[Curve]) -> None:
    from scipy.special import ndtri

    least = min([_LOW, *(_ROOM * float(c.data.far[0]) for c in curves if c.data.few)])
    for place, rates in lines(curves):
        far, frr = rates.far, 1 - rates.tar
        kept = np.flatnonzero((far >= least) & (far <= _HIGH) & (frr >= _LOW) & (frr <= _HIGH))
        if len(kept) > POINTS:
            kept = kept[np.linspace(0, len(kept) - 1, POINTS).astype(int)]
        across, up = ndtri(far[kept]), ndtri(frr[kept])
        if rates.few:
            dots(axes, place, across, up)
        line(axes, place, across, up)
    wide = _WIDE_TICKS if least < _LOW else _TICKS
    for axis, ticks in ((axes.xaxis, wide), (axes.yaxis, _TICKS)):
        axis.set_ticks(ndtri(ticks), [f"{100 * tick:g} %" for tick in ticks])
    axes.set(xlim=ndtri((least, _HIGH)), ylim=ndtri((_LOW, _HIGH)),
             xlabel="false accept rate (FAR)", ylabel="false reject rate (FRR)")  # fmt: skip
    axes.grid(visible=True)
