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
import pandas as pd
import pytest

from masquerade.core.metrics.verification import roc, tar_at_far
from masquerade.core.record_store import PREDICTIONS
from masquerade.core.records import Record
from masquerade.leaderboards.building import build_board
from masquerade.leaderboards.page_figures import Figures
from masquerade.leaderboards.plots import colour, draw, intervals, named
from masquerade.leaderboards.plots_curves import curve_plots, read_curve
from masquerade.leaderboards.plots_rates import thinned

from .simulated import (
    identification_rows,
    pair_rows,
    retrieval_rows,
    simulate,
    store,
    template_rows,
)

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


PLOTS = {
    "verification": (pair_rows, ["ROC", "DET"]),
    "template-verification": (template_rows, ["ROC of templates", "DET of templates"]),
    "identification": (
        identification_rows, ["Identification by rank (CMC)", "Open-set identification"],
    ),
    "retrieval": (retrieval_rows, ["Recall at k", "Hit rate at k"]),
}  # fmt: skip


@pytest.mark.parametrize("slug", PLOTS)
def test_each_kind_of_curve_stands_on_its_board(tmp_path: Path, slug: str) -> None:
    """From stored predictions through the built board to the plots of table and record."""
    rows, titles = PLOTS[slug]
    for name, skill in (("good", 0.8), ("fair", 0.6)):
        store(tmp_path, simulate(slug, name, rows(skill)))
    board = build_board("retrieval" if slug == "retrieval" else "face-verification", tmp_path)
    figures = Figures(tmp_path)
    plots = figures.of_table(board, board.tables[0])
    assert [plot.title for plot in plots[1:]] == titles
    assert [[name for _, name in plot.series] for plot in plots[1:]] == [["good", "fair"]] * 2
    own = figures.of_records()
    assert [[plot.title for plot in each] for each in own.values()] == [titles] * 2
    for plot in plots:
        assert len(plot.svg) < SMALL
        assert {e.get("class") for e in elements(plot.svg)} >= {"l c0", "l rule"}


def curve_of(tmp_path: Path, slug: str) -> tuple[Record, Any]:
    (record,) = store(tmp_path, simulate(slug, "m", PLOTS[slug][0](0.7)))
    curve = read_curve(record, tmp_path)
    assert curve is not None
    return record, curve.data


def test_curves_of_searches_pass_through_the_metrics(tmp_path: Path) -> None:
    record, people = curve_of(tmp_path, "identification")
    metrics = {name: metric.value for name, metric in record.claim.metrics.items()}
    for k in (1, 5, 10):
        assert people.found[k - 1] == pytest.approx(metrics[f"rank_{k}"], abs=1e-12)
    _, tpir = thinned(people.fpir, people.tpir, 0.1)
    assert tpir[0] == pytest.approx(metrics["tpir_at_fpir_1e-1"], abs=1e-12)
    assert (people.n_mated, people.n_strangers) == (200, 200)
    record, lists = curve_of(tmp_path, "retrieval")
    metrics = {name: metric.value for name, metric in record.claim.metrics.items()}
    for k in (1, 5, 10, 100):
        assert lists.recall[k - 1] == pytest.approx(metrics[f"recall_at_{k}"], abs=1e-12)
        assert lists.hit_rate[k - 1] == pytest.approx(metrics[f"hit_rate_at_{k}"], abs=1e-12)


def test_searches_without_strangers_have_no_open_set(tmp_path: Path) -> None:
    rows = identification_rows(0.7)
    (record,) = store(tmp_path, simulate("identification", "m", rows[rows["mated"]]))
    curve = read_curve(record, tmp_path)
    assert curve is not None
    assert [plot.title for plot in curve_plots([curve])] == ["Identification by rank (CMC)"]


def test_points_of_templates_are_those_with_enough_impostors(tmp_path: Path) -> None:
    rows = template_rows(0.7)
    rare = rows[rows["rate"] == "eer"].assign(rate="tar_at_far_1e-6", accepted_impostor=0)
    made = simulate("template-verification", "m", pd.concat([rows, rare], ignore_index=True))
    (record,) = store(tmp_path, made)
    curve = read_curve(record, tmp_path)
    assert curve is not None and curve.data.few
    tar = record.claim.metrics["tar_at_far_1e-1"].value
    place = int(np.argmin(np.abs(curve.data.tar - tar)))
    assert curve.data.tar[place] == tar
    assert curve.data.far[place] == pytest.approx(0.1, abs=0.02)
    assert len(curve.data.far) == 2 and curve.data.far.min() > 0


def test_curves_of_one_plot_are_of_one_task(tmp_path: Path) -> None:
    """Three more pictures enrolled are another task: never in one plot with the others."""
    rows = [identification_rows(skill) for skill in (0.8, 0.7, 0.6)]
    for number, name in enumerate(("good", "fair", "other")):
        settings = {"enrolled_pictures": 3} if name == "other" else {}
        store(tmp_path, simulate("identification", name, rows[number], settings=settings))
    board = build_board("face-verification", tmp_path)
    _, cmc, _ = Figures(tmp_path).of_table(board, board.tables[0])
    assert [name for _, name in cmc.series] == ["good", "fair"]


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
