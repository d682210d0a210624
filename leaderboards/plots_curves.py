"""Curves of records for the page: ROC and DET from stored pairs, separability from its facts."""

# T thresholds.

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MasqueradeError
from ..core.record_store import read_predictions
from ..core.records import Record
from .plots import LARGEST, MUTED, Plot, colour, count_axis, dash, draw, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..core.metrics.verification import Roc

_FACTS = ("tau", "unique", "first_n", "unique_of_first_n")
_POINTS = 60  # of a curve: more are not seen at this size
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
_DET_EDGES = (0.0005, 0.97)


@dataclass(frozen=True, eq=False)
class Curve:
    """What a record gives to be drawn.

    Attributes:
        benchmark: whose curves these are.
        name: of the subject.
        data: a `Roc`, or the facts of a face data set.
    """

    benchmark: str
    name: str
    data: Any


def read_curve(record: Record, results: Path) -> Curve | None:
    """What a record gives to be drawn.

    Args:
        record: of any benchmark.
        results: the results folder, where predictions are.

    Returns:
        None of a benchmark without curves, and where the predictions are not there or do not hold:
        the check lists those.
    """
    claim = record.claim
    if claim.benchmark.name not in BENCHMARKS:
        return None
    try:
        data = _READERS[claim.benchmark.name](record, results)
    except MasqueradeError:
        return None
    return None if data is None else Curve(claim.benchmark.name, named(claim.subject.name), data)


def curve_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """The plots of some curves of one benchmark, at most `SERIES`, in one another's frame."""
    return _DRAWERS[curves[0].benchmark](curves) if curves else ()


def _pairs(record: Record, results: Path) -> "Roc | None":
    if record.claim.predictions is None:
        return None
    frame = read_predictions(record, results)
    if not {"distance", "same"} <= set(frame):
        return None
    from ..core.metrics.verification import roc

    return roc(-frame["distance"].to_numpy(np.float64), frame["same"].to_numpy(bool))


def _separability(record: Record, results: Path) -> "Mapping[str, NDArray[np.float64]] | None":  # noqa: ARG001 - the facts have it
    facts = record.claim.facts.get("separability")
    if not isinstance(facts, Mapping):
        return None
    curves = {name: _numbers(facts.get(name)) for name in _FACTS}
    same = all(len(curves[x]) == len(curves[y]) > 0 for x, y in (_FACTS[:2], _FACTS[2:]))
    return curves if same and curves["first_n"].max() > 0 else None


def _numbers(values: Any) -> NDArray[np.float64]:  # noqa: ANN401 - what a stranger's record holds
    """The values of a list of numbers; empty where it is none."""
    listed = isinstance(values, tuple | list) and all(
        type(v) in (int, float) and abs(v) < LARGEST for v in values
    )
    return np.asarray(values if listed else [], dtype=np.float64)


def _verification_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    series = _series(curves)
    sizes = {(curve.data.n_genuine, curve.data.n_impostor) for curve in curves}
    pairs = " or ".join(f"{g:,} genuine and {i:,} impostor pairs" for g, i in sorted(sizes))
    least = min(1 / curve.data.n_impostor for curve in curves)
    return (
        Plot(
            draw(lambda axes: _roc(axes, curves, least), words="ROC curves: TAR against FAR"),
            "ROC",
            f"True accept rate against false accept rate, of {pairs}. Up and left is better.",
            series,
        ),
        Plot(
            draw(lambda axes: _det(axes, curves), words="DET curves: FRR against FAR"),
            "DET",
            "False reject rate against false accept rate, both on the scale of the normal "
            "distribution. Down and left is better.",
            series,
        ),
    )


def _dataset_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    series = _series(curves)
    return (
        Plot(
            draw(lambda axes: _by_bound(axes, curves), words="unique share against cosine bound"),
            "Separability by bound",
            "Share of identities whose cosine with every earlier one is at most the bound. "
            "Up is better.",
            series,
        ),
        Plot(
            draw(lambda axes: _by_count(axes, curves), words="unique against all identities"),
            "Separability by number",
            "How many among the first n identities differ from all earlier ones. The grey line "
            "is all of them.",
            series,
        ),
    )  # fmt: skip


_READERS: Mapping[str, Callable[[Record, Path], Any]] = {
    "verification": _pairs, "face-dataset": _separability,
}  # fmt: skip
_DRAWERS: Mapping[str, Callable[[Sequence[Curve]], tuple[Plot, ...]]] = {
    "verification": _verification_plots, "face-dataset": _dataset_plots,
}  # fmt: skip
BENCHMARKS = tuple(_READERS)


def _series(curves: Sequence[Curve]) -> tuple[tuple[str, str], ...]:
    return tuple((f"c{place}", curve.name) for place, curve in enumerate(curves))


def _line(axes: "Axes", place: int, x: Any, y: Any, **how: Any) -> None:  # noqa: ANN401 - array-like
    axes.plot(x, y, color=colour(place), linestyle=dash(place), lw=1.6, **how)


def _roc(axes: "Axes", curves: Sequence[Curve], least: float) -> None:
    axes.set_xscale("log")
    lowest = 1.0
    for place, curve in reversed(list(enumerate(curves))):
        far, tar = thinned(curve.data.far, curve.data.tar, least)
        lowest = min(lowest, float(tar[0]))
        _line(axes, place, far, tar, drawstyle="steps-post")
    axes.set(xlim=(least, 1), ylim=(max(0.0, min(lowest - 0.02, 0.9)), 1.005),
             xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    axes.grid(visible=True)


def thinned(
    far: NDArray[np.float64], tar: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The TAR reached at some FARs, evenly apart on a logarithmic axis."""
    at = np.geomspace(least, 1, _POINTS)
    return at, tar[np.searchsorted(far, at * (1 + 1e-9), side="right") - 1]


def _det(axes: "Axes", curves: Sequence[Curve]) -> None:
    from scipy.special import ndtri

    low, high = _DET_EDGES
    for place, curve in reversed(list(enumerate(curves))):
        far, frr = curve.data.far, curve.data.frr
        inside = (far >= low) & (far <= high) & (frr >= low) & (frr <= high)
        kept = np.flatnonzero(inside)
        if len(kept) > _POINTS:
            kept = kept[np.linspace(0, len(kept) - 1, _POINTS).astype(int)]
        _line(axes, place, ndtri(far[kept]), ndtri(frr[kept]))
    ticks = np.array(_DET_TICKS)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(ticks), [f"{100 * tick:g} %" for tick in ticks])
    edges = ndtri(_DET_EDGES)
    axes.set(xlim=edges, ylim=edges,
             xlabel="false accept rate (FAR)", ylabel="false reject rate (FRR)")  # fmt: skip
    axes.grid(visible=True)


def _by_bound(axes: "Axes", curves: Sequence[Curve]) -> None:
    for place, curve in reversed(list(enumerate(curves))):
        facts = curve.data
        _line(axes, place, facts["tau"], facts["unique"] / facts["first_n"].max())
    axes.set(ylim=(0, 1.01), xlabel="cosine bound τ", ylabel="unique share")
    axes.grid(visible=True)


def _by_count(axes: "Axes", curves: Sequence[Curve]) -> None:
    most = max(curve.data["first_n"].max() for curve in curves)
    axes.plot([0, most], [0, most], color=MUTED, lw=0.8)
    for place, curve in reversed(list(enumerate(curves))):
        _line(axes, place, [0, *curve.data["first_n"]], [0, *curve.data["unique_of_first_n"]])
    count_axis(axes)
    axes.set(xlim=(0, most), ylim=(0, most * 1.01), xlabel="first n identities", ylabel="unique")
    axes.yaxis.set_major_formatter(axes.xaxis.get_major_formatter())
    axes.grid(visible=True)
