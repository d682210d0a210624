"""How many identities of a face data set are apart, for the page: from a record's facts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.records import Record
from .plots import LARGEST, MUTED, Plot, count_axis, draw
from .plots_series import Curve, line, lines, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FACTS = ("tau", "unique", "first_n", "unique_of_first_n")


def separability_of(record: Record, results: Path) -> "Mapping[str, NDArray[np.float64]] | None":  # noqa: ARG001 - the facts have it
    """The curves that `face-dataset` states; None where they are none."""
    facts = record.claim.facts.get("separability")
    if not isinstance(facts, Mapping):
        return None
    curves = {name: _numbers(facts.get(name)) for name in _FACTS}
    same = all(len(curves[x]) == len(curves[y]) > 0 for x, y in (_FACTS[:2], _FACTS[2:]))
    return curves if same and curves["first_n"].max() > 0 else None


def separability_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """By the cosine bound, and by the number of identities."""
    return (
        Plot(
            draw(lambda axes: _by_bound(axes, curves), words="unique share against cosine bound"),
            "Separability by bound",
            "Share of identities whose cosine with every earlier one is at most the bound. "
            "Up is better.",
            series(curves),
        ),
        Plot(
            draw(lambda axes: _by_count(axes, curves), words="unique against all identities"),
            "Separability by number",
            "How many among the first n identities differ from all earlier ones. The grey line "
            "is all of them.",
            series(curves),
        ),
    )  # fmt: skip


def _numbers(values: Any) -> NDArray[np.float64]:  # noqa: ANN401 - what a stranger's record holds
    """The values of a list of numbers; empty where it is none."""
    listed = isinstance(values, tuple | list) and all(
        type(v) in (int, float) and abs(v) < LARGEST for v in values
    )
    return np.asarray(values if listed else [], dtype=np.float64)


def _by_bound(axes: "Axes", curves: Sequence[Curve]) -> None:
    for place, facts in lines(curves):
        line(axes, place, facts["tau"], facts["unique"] / facts["first_n"].max())
    axes.set(ylim=(0, 1.01), xlabel="cosine bound τ", ylabel="unique share")
    axes.grid(visible=True)


def _by_count(axes: "Axes", curves: Sequence[Curve]) -> None:
    most = max(curve.data["first_n"].max() for curve in curves)
    axes.plot([0, most], [0, most], color=MUTED, lw=0.8)
    for place, facts in lines(curves):
        line(axes, place, [0, *facts["first_n"]], [0, *facts["unique_of_first_n"]])
    count_axis(axes)
    axes.set(xlim=(0, most), ylim=(0, most * 1.01), xlabel="first n identities", ylabel="unique")
    axes.yaxis.set_major_formatter(axes.xaxis.get_major_formatter())
    axes.grid(visible=True)
