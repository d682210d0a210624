"""Plots of searches for the page: rank curves and open sets of people, recall of ranked lists."""

# K depths, Q queries, T thresholds.

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.record_store import read_predictions
from ..core.records import Record
from .plots import Plot, draw
from .plots_rates import thinned
from .plots_series import POINTS, Curve, line, lines, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class People:
    """Searches for people.

    Attributes:
        found: (K,) share of mated probes found among the first 1 … K.
        fpir: (T,) share of strangers above each threshold, never falling; None without strangers.
        tpir: (T,) share of mated probes found first and above it.
        n_mated: probes of enrolled people.
        n_strangers: of others.
    """

    found: NDArray[np.float64]
    fpir: NDArray[np.float64] | None
    tpir: NDArray[np.float64]
    n_mated: int
    n_strangers: int


@dataclass(frozen=True, eq=False)
class Lists:
    """Ranked lists.

    Attributes:
        recall: (K,) mean share of relevant items among the first 1 … K.
        hit_rate: (K,) share of queries with one among them.
        n_queries: how many.
    """

    recall: NDArray[np.float64]
    hit_rate: NDArray[np.float64]
    n_queries: int


def people_searched(record: Record, results: Path) -> People | None:
    """The searches of `identification`; None where none are stored."""
    if record.claim.predictions is None:
        return None
    from ..benchmarks.identification import DEPTH

    frame = read_predictions(record, results)
    mated = frame["mated"].to_numpy(bool)
    rank, score = frame["rank"].to_numpy(np.int64), frame["score"].to_numpy(np.float64)
    strangers = np.sort(score[~mated])[::-1]
    n_mated = int(mated.sum())
    # at the score of the T-th stranger so many of them pass that only those above it may be taken
    first = np.sort(score[mated & (rank == 1)])
    above = len(first) - np.searchsorted(first, strangers, side="right")
    passed = np.searchsorted(-strangers, -strangers, side="left")
    fpir = np.append(passed, len(strangers)) / max(len(strangers), 1)
    return People(
        found=_shares(rank[mated], DEPTH, np.full(n_mated, 1 / n_mated)),
        fpir=fpir if len(strangers) else None,
        tpir=np.append(above, len(first)) / n_mated,
        n_mated=n_mated, n_strangers=len(strangers),
    )  # fmt: skip


def lists_ranked(record: Record, results: Path) -> Lists | None:
    """The ranked lists of `retrieval`; None where none are stored."""
    if record.claim.predictions is None:
        return None
    from ..benchmarks.retrieval import DEPTH, queries_of

    frame = read_predictions(record, results)
    n_queries = len(queries_of(frame))
    rank = frame["rank"].to_numpy(np.int64)
    weight = 1 / frame["relevant"].to_numpy(np.float64) / n_queries
    best = frame.groupby("row")["rank"].min().to_numpy(np.int64)
    return Lists(
        _shares(rank, DEPTH, weight),
        _shares(best, DEPTH, np.full(n_queries, 1 / n_queries)),
        n_queries,
    )


def people_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """Rank curves (CMC), and where there are strangers the open set."""
    n_mated = " or ".join(f"{n:,}" for n in sorted({curve.data.n_mated for curve in curves}))
    plots = [
        Plot(
            draw(lambda axes: _cmc(axes, curves), words="CMC curves: found within rank k"),
            "Identification by rank (CMC)",
            f"Share of {n_mated} probes of enrolled people that find them among the first k. "
            "Up is better.",
            series(curves),
        )
    ]
    open_ = [curve for curve in curves if curve.data.fpir is not None]
    if len(open_) == len(curves):
        strangers = sorted({curve.data.n_strangers for curve in open_})
        n_strangers = " or ".join(f"{n:,}" for n in strangers)
        plots.append(Plot(
            draw(lambda axes: _open(axes, open_), words="open-set curves: TPIR against FPIR"),
            "Open-set identification",
            f"Share of probes of enrolled people found first and above the threshold, against the "
            f"share of {n_strangers} strangers above it. Up and left is better.",
            series(open_),
        ))  # fmt: skip
    return tuple(plots)


def lists_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """Recall and hit rate by depth."""
    n_queries = " or ".join(f"{n:,}" for n in sorted({curve.data.n_queries for curve in curves}))
    return (
        Plot(
            draw(lambda axes: _by_depth(axes, [(p, d.recall) for p, d in lines(curves)], "recall"),
                 words="recall at k"),
            "Recall at k",
            f"Share of all relevant items among the first k, mean of {n_queries} queries. "
            "Up is better.",
            series(curves),
        ),
        Plot(
            draw(lambda axes: _by_depth(axes, [(p, d.hit_rate) for p, d in lines(curves)],
                                        "hit rate"), words="hit rate at k"),
            "Hit rate at k",
            f"Share of {n_queries} queries with a relevant item among the first k: what metric "
            "learning calls recall at k. Up is better.",
            series(curves),
        ),
    )  # fmt: skip


def _shares(
    rank: NDArray[np.int64], depth: int, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The summed weights (depth,) of ranks 1 … k; rank 0 is not found."""
    found = (rank > 0) & (rank <= depth)
    return np.cumsum(np.bincount(rank[found], weight[found], depth + 1)[1:])


def _cmc(axes: "Axes", curves: Sequence[Curve]) -> None:
    for place, people in lines(curves):
        line(axes, place, np.arange(1, len(people.found) + 1), people.found)
    most = max(len(curve.data.found) for curve in curves)
    lowest = min(float(curve.data.found[0]) for curve in curves)
    axes.set(xlim=(1, most), ylim=(_floor(lowest), 1.005), xlabel="k", ylabel="found")
    axes.set_xticks([1, 5, 10, 15, 20] if most == 20 else [1, most])  # noqa: PLR2004 - IJB's depth
    axes.grid(visible=True)


def _open(axes: "Axes", curves: Sequence[Curve]) -> None:
    axes.set_xscale("log")
    least, lowest = 1.0, 1.0
    for place, people in lines(curves):
        fpir, tpir = thinned(people.fpir, people.tpir, 1 / people.n_strangers)
        line(axes, place, fpir, tpir, drawstyle="steps-post")
        least, lowest = min(least, float(fpir[0])), min(lowest, float(tpir[0]))
    axes.set(xlim=(least, 1), ylim=(_floor(lowest), 1.005),
             xlabel="false positive identification rate (FPIR)",
             ylabel="true positive rate (TPIR)")  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    axes.grid(visible=True)


def _by_depth(axes: "Axes", shares: Sequence[tuple[int, NDArray[np.float64]]], label: str) -> None:
    axes.set_xscale("log")
    for place, share in shares:
        at = np.unique(np.geomspace(1, len(share), POINTS).round().astype(int))
        line(axes, place, at, share[at - 1])
    lowest = min(float(share[0]) for _, share in shares)
    axes.set(xlim=(1, max(len(share) for _, share in shares)), ylim=(_floor(lowest), 1.005),
             xlabel="k", ylabel=label)  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    axes.grid(visible=True)


def _floor(lowest: float) -> float:
    return max(0.0, min(lowest - 0.02, 0.9))
