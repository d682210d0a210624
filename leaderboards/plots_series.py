"""What lines of several records in one plot have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .plots import colour, dash

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 60  # of a curve: more are not seen at this size
_DOT = 5  # points across


@dataclass(frozen=True, eq=False)
class Curve:
    """What a record gives to be drawn.

    Attributes:
        benchmark: whose curves these are.
        name: of the subject.
        data: what the benchmark's plots are drawn from.
    """

    benchmark: str
    name: str
    data: Any


def series(curves: Sequence[Curve]) -> tuple[tuple[str, str], ...]:
    """The legend: (class of the colour, name) of each."""
    return tuple((f"c{place}", curve.name) for place, curve in enumerate(curves))


def lines(curves: Sequence[Curve]) -> list[tuple[int, Any]]:
    """Place and data of each, the first one last: it lies above the others."""
    return [(place, curve.data) for place, curve in reversed(list(enumerate(curves)))]


def line(axes: "Axes", place: int, x: Any, y: Any, **how: Any) -> None:  # noqa: ANN401 - array-like
    """Draw one."""
    axes.plot(x, y, color=colour(place), linestyle=dash(place), lw=1.6, **how)


def dots(axes: "Axes", place: int, x: Any, y: Any) -> None:  # noqa: ANN401 - array-like
    """Mark the points of a line of which nothing between them is known."""
    for across, up in zip(x, y, strict=True):
        axes.plot([across] * 2, [up] * 2, color=colour(place), lw=_DOT, solid_capstyle="round")
