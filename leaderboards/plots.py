"""Plots for the page: matplotlib draws off-screen, and the SVG is made small and of the page.

What is left of the SVG are paths and text in the page's own font. Colours are classes, so that the
page's style sheet decides them, by day and by night; there is no style attribute, which the page's
content security policy would refuse. The same data give the same bytes.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .page_filters import compact
from .standings import Cell, Column, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST = 1e100  # a record may hold larger numbers, an axis may not
SERIES = 6  # colours and dashes that are told apart
_WIDTH, _HEIGHT = 400, 300  # points; the page shows them at about that size, also on a phone
_LINE, _HEAD = 19, 62  # points of an interval's line, and of all above and below the lines
_POINTS_PER_INCH = 72
_NAME = 26  # characters of a subject's name in a plot
_MOST = 16  # intervals in a plot
_SALT = "masquerade"
_SVG = "{http://www.w3.org/2000/svg}"
# stand-ins that the SVG's clean-up turns into classes
INK, MUTED, RULE = "#010101", "#020202", "#030303"
_COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule"} | {
    f"#0a0a{place:02x}": f"c{place}" for place in range(SERIES)
}
_KEPT = ("stroke-width", "stroke-dasharray", "stroke-linecap", "text-anchor", "opacity")
_DASHES = ("-", (0, (6, 2)), (0, (1, 1.6)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (9, 2)))


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with its words.

    Attributes:
        svg: the element, safe to be put into the page as it is.
        title: above it.
        caption: below it: what a reader without eyes must know, too.
        series: (class of the colour, name) of each line, where there are several.
    """

    svg: str
    title: str
    caption: str
    series: tuple[tuple[str, str], ...] = ()


def colour(place: int) -> str:
    """The stand-in for the colour of a series."""
    return f"#0a0a{place % SERIES:02x}"


def dash(place: int) -> str | tuple[float, tuple[float, ...]]:
    """The line style of a series: colours alone do not tell lines apart for everybody."""
    return _DASHES[place % SERIES]  # type: ignore[return-value]


def intervals(table: Table) -> Plot | None:
    """The best rows by the main column and the baselines, each with its interval.

    Returns:
        None where fewer than two rows have a value.
    """
    column = table.main
    if column is None:
        return None
    rows = [row for row in table.rows if _can_be_drawn(row.cells[column.key])]
    best = [row for row in rows if not row.baseline]
    chosen = (best[:_MOST] + [row for row in rows if row.baseline])[: _MOST + 4]
    if len(chosen) < 2:  # noqa: PLR2004 - one value is no comparison
        return None
    left_out = sum(row.cells[column.key].state == "value" for row in table.rows) - len(chosen)
    return Plot(
        svg=draw(
            lambda axes: _intervals(axes, chosen, column),
            height=_HEAD + _LINE * len(chosen),
            words=f"{column.label} of {len(chosen)} subjects with 95 % intervals",
        ),
        title=f"{column.label} with 95 % intervals",
        caption=f"{column.direction.capitalize()} is better; baselines are grey."
        + (f" {left_out} more in the table." if left_out else ""),
    )


def _can_be_drawn(cell: Cell) -> bool:
    ends = (cell.value, cell.low, cell.high)
    return cell.state == "value" and all(end is None or abs(end) < LARGEST for end in ends)


def _intervals(axes: "Axes", rows: Sequence[Row], column: Column) -> None:
    for place, row in enumerate(rows):
        cell, ink = row.cells[column.key], MUTED if row.baseline else colour(0)
        if cell.low is not None and cell.high is not None:
            axes.plot([cell.low, cell.high], [place, place], color=ink, lw=2.2, alpha=0.55,
                      solid_capstyle="butt")  # fmt: skip
        if cell.value is not None:
            axes.plot([cell.value] * 2, [place] * 2, color=ink, lw=7, solid_capstyle="round")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([named(row.subject) for row in rows])
    axes.set_xlabel(named(column.label))
    axes.grid(visible=True, axis="x")


def named(subject: str) -> str:
    """A subject's name as a plot can hold it: one short line of characters that are drawn."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in subject).split())
    return plain if len(plain) <= _NAME else plain[: _NAME - 1] + "…"


def count_axis(axes: "Axes") -> None:
    """Let the horizontal axis count: 5 k, 10 k."""
    axes.xaxis.set_major_formatter(lambda value, _place: compact(round(value)))


def draw(plot: Callable[["Axes"], None], *, words: str, height: int = _HEIGHT) -> str:
    """The SVG of a plot.

    Args:
        plot: draws into axes; with no colours but `INK`, `MUTED`, `RULE` and `colour(n)`.
        words: what a screen reader says of it.
        height: in points.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = BytesIO()
    # not the user's own style: the same records give the same page on every machine
    style: Any = {**mpl.rcParamsDefault, **_STYLE}
    del style["backend"]  # asking for it, or setting it, would start one
    with mpl.rc_context(style), warnings.catch_warnings():
        # a glyph that matplotlib's font lacks is drawn by the browser, with a font that has it
        warnings.filterwarnings("ignore", message="Glyph")
        size = (_WIDTH / _POINTS_PER_INCH, height / _POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        plot(axes)
        # not figure.savefig, which draws everything twice
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _own(buffer.getvalue().decode(), words)


_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": _SALT, "font.size": 10.5, "text.parse_math": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "axes.linewidth": 0.8,
    "axes.facecolor": "none", "figure.facecolor": "none", "text.color": INK,
    "xtick.color": MUTED, "xtick.labelcolor": INK, "xtick.major.size": 0, "xtick.minor.size": 0,
    "ytick.color": MUTED, "ytick.labelcolor": INK, "ytick.major.size": 0, "ytick.minor.size": 0,
    "grid.color": RULE, "grid.linewidth": 0.8,
}  # fmt: skip


def _own(svg: str, words: str) -> str:
    """An SVG of matplotlib reduced to what the page needs."""
    tree = ElementTree.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago
    shapes = [
        shape
        for element in tree.iter()
        if element.tag in {f"{_SVG}path", f"{_SVG}text"} and (shape := _shape(element))
    ]
    head = (
        f'<svg class="plot" role="img" viewBox="{tree.get("viewBox")}" '
        f'aria-label="{_escaped(words)}">'
    )
    return head + "".join(shapes) + "</svg>"


def _shape(element: ElementTree.Element) -> str:
    pairs = [item.split(":", 1) for item in (element.get("style") or "").split(";") if ":" in item]
    style = {name.strip(): value.strip() for name, value in pairs}
    given = {name: style[name] for name in _KEPT if name in style}
    if element.tag == f"{_SVG}text":
        place = {name: _short(element.get(name) or "0") for name in ("x", "y")}
        turn = element.get("transform") or ""
        if not turn.startswith(("rotate(-0 ", "rotate(0 ")) and turn:
            given["transform"] = _short(turn)
        ink = _COLOURS.get(style.get("fill", INK), "ink")
        return (
            f"<text{_attributes({**place, **given, 'class': ink})}>{_escaped(element.text)}</text>"
        )
    stroke, fill = _COLOURS.get(style.get("stroke", "")), _COLOURS.get(style.get("fill", ""))
    if not (stroke or fill):  # backgrounds: the page has its own
        return ""
    if stroke:
        given["class"] = f"l {stroke}"
    else:
        given["class"] = f"f {fill}"
    return f"<path{_attributes({'d': _path(element.get('d') or ''), **given})}/>"


def _attributes(values: dict[str, str]) -> str:
    return "".join(f' {name}="{_escaped(value)}"' for name, value in values.items())


def _path(commands: str) -> str:
    return _short(" ".join(commands.split()))


def _short(text: str) -> str:
    """Coordinates to a tenth of a point, which nobody sees."""
    return re.sub(r"-?\d+\.\d+", lambda found: f"{round(float(found[0]), 1):g}", text)


def _escaped(text: str | None) -> str:
    from markupsafe import escape

    return str(escape(text or ""))
