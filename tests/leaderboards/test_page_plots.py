"""Plots of the page: small, of the page's own colours, right, and safe."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from masquerade.core.metrics.verification import roc, tar_at_far
from masquerade.core.record_store import PREDICTIONS
from masquerade.leaderboards.page_figures import Figures
from masquerade.leaderboards.plots import colour, draw, intervals, named
from masquerade.leaderboards.plots_curves import curve_plots, read_curve, thinned

SMALL = 12_000  # bytes of a plot


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314 - our own plots


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg) if element.tag == "text"]


def test_intervals_stand_where_their_values_are(made: ModuleType) -> None:
    (table,) = made.every_state().tables
    plot = intervals(table)
    assert plot and len(plot.svg) < SMALL
    names = texts(plot.svg)
    assert [n for n in names if n in {row.subject for row in table.rows}] == [
        row.subject for row in table.rows
    ]
    # thick dots, top to bottom: their places are a linear map of the values
    dots = [e for e in elements(plot.svg) if e.get("stroke-width") == "7"]
    places = [float(re.findall(r"[\d.]+", e.get("d") or "")[0]) for e in dots]
    values = [row.cells["accuracy"].value or 0 for row in table.rows]
    slope, start = np.polyfit(values, places, 1)
    assert slope > 100
    assert np.abs(np.array(values) * slope + start - places).max() < 0.2
    baselines = [e for e in dots if "muted" in (e.get("class") or "")]
    assert len(baselines) == 3


def test_single_row_makes_no_plot_of_intervals(made: ModuleType) -> None:
    (table,) = made.large(1, 2).tables
    assert intervals(table) is None
    assert intervals(replace(table, columns=table.columns[1:])) is None  # no main column


def test_long_table_shows_its_best_and_says_how_many_are_left_out(made: ModuleType) -> None:
    plot = intervals(made.large(60, 2).tables[0])
    assert plot and "44 more in the table." in plot.caption


def test_value_beyond_any_axis_is_left_out_and_counted(made: ModuleType) -> None:
    table = made.every_state().tables[0]
    first = table.rows[0]
    cells = {**first.cells, "accuracy": replace(first.cells["accuracy"], value=1e308)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = intervals(replace(table, rows=(replace(first, cells=cells), *table.rows[1:])))
    assert plot and first.subject not in texts(plot.svg)
    assert "1 more in the table." in plot.caption


def test_plot_has_no_style_id_script_or_link(made: ModuleType, tmp_path: Path) -> None:
    board = made.with_curves(tmp_path)
    plots = Figures(tmp_path).of_table(board, board.tables[0])
    assert [plot.title for plot in plots] == ["10-fold accuracy with 95 % intervals", "ROC", "DET"]
    for plot in plots:
        assert len(plot.svg) < SMALL
        for element in elements(plot.svg):
            assert element.tag in {"svg", "path", "text"}
            assert not {"style", "id", "href", "onload"} & set(element.attrib)
        (svg, *_) = elements(plot.svg)
        assert svg.get("role") == "img" and svg.get("aria-label")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "$\\frac{1}", "名前 \u202e\x07", "a\nb"]
)
def test_any_name_can_be_drawn(made: ModuleType, name: str) -> None:
    table = made.every_state().tables[0]
    rows = (replace(table.rows[0], subject=name), *table.rows[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = intervals(replace(table, rows=rows))
    assert plot and named(name) in texts(plot.svg)
    assert "script" not in {element.tag for element in elements(plot.svg)}


def test_user_style_does_not_change_a_plot(made: ModuleType) -> None:
    import matplotlib as mpl

    table = made.every_state().tables[0]
    before = intervals(table)
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path"}):
        assert intervals(table) == before


def test_series_differ_by_more_than_colour() -> None:
    def plot(axes: Any) -> None:
        from masquerade.leaderboards.plots import dash

        for place in range(6):
            axes.plot([0, 1], [0, place], color=colour(place), linestyle=dash(place))

    lines = [e for e in elements(draw(plot, words="x")) if " c" in (e.get("class") or "")]
    assert len({e.get("class") for e in lines}) == 6
    assert len({e.get("stroke-dasharray") for e in lines}) == 6


def test_thinned_roc_keeps_the_tar_of_each_far() -> None:
    draws = np.random.default_rng(0)
    same = np.arange(5000) % 2 == 0
    curve = roc(draws.normal(same * 1.5, 1), same)
    far, tar = thinned(curve.far, curve.tar, 1e-3)
    expected = [tar_at_far(curve, float(f)).tar for f in far[:-1]]
    assert len(far) < 100
    assert tar[:-1].tolist() == expected and tar[-1] == 1


def test_record_without_its_predictions_has_no_curve(made: ModuleType, tmp_path: Path) -> None:
    board = made.with_curves(tmp_path)
    record = next(iter(board.records.values()))
    assert read_curve(record, tmp_path) is not None
    path = tmp_path / PREDICTIONS / f"{record.claim.predictions}.parquet"
    path.write_bytes(b"changed")
    assert read_curve(record, tmp_path) is None
    figures = Figures(tmp_path)
    plots = figures.of_table(board, board.tables[0])
    assert [len(plot.series) for plot in plots] == [0, 2, 2]
    assert len(figures.of_records()) == 2


@pytest.mark.parametrize(
    "facts",
    [
        {}, {"separability": 3}, {"separability": {"tau": "x"}},
        {"separability": {"tau": [0.1], "unique": [], "first_n": [1], "unique_of_first_n": [1]}},
        {"separability": {"tau": [0.1], "unique": [1], "first_n": [0], "unique_of_first_n": [0]}},
        {"separability": {"tau": [0.1], "unique": [1e308], "first_n": [2],
                          "unique_of_first_n": [10**400]}},
        {"separability": {"tau": [None], "unique": [1], "first_n": [2], "unique_of_first_n": [1]}},
    ],
)  # fmt: skip
def test_bad_separability_is_not_drawn(made: ModuleType, facts: Mapping[str, Any]) -> None:
    metrics = {"unique_share": made.metric(0.5, 0.1)}
    record = made.record("x", metrics, benchmark="face-dataset", facts={"a": 1, **facts})
    assert read_curve(record, Path("nowhere")) is None


def test_separability_is_drawn_from_the_facts(made: ModuleType, tmp_path: Path) -> None:
    board = made.with_sheets(tmp_path, n_sheets=0)
    (record,) = board.records.values()
    curve = read_curve(record, tmp_path)
    assert curve is not None
    plots = curve_plots([curve])
    assert [plot.title for plot in plots] == ["Separability by bound", "Separability by number"]
    assert all(len(plot.svg) < SMALL for plot in plots)
