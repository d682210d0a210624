"""Markdown, CSV and frames: the same bytes for the same records, nothing missing shown as zero."""

import csv
import io
import random
from pathlib import Path

import pandas as pd
import pytest

from masquerade.core.record_store import read_records, write_record
from masquerade.leaderboards.building import build_board
from masquerade.leaderboards.definitions import reference_definition
from masquerade.leaderboards.standings import PUBLISHED, Board
from masquerade.leaderboards.texts import csv_text, markdown

from .simulated import a_store, class_rows, simulate, store

HOSTILE = "=cmd|'/c x'!A1 <script>alert(1)</script> | `a` [b](c)\n# head"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    a_store(tmp_path)
    store(tmp_path, simulate("probe", "good", class_rows(0.7, runs=3), seeds=(0, 1, 2)))
    return build_board("representation", tmp_path)


def test_the_same_records_give_the_same_bytes_in_any_order(board: Board, tmp_path: Path) -> None:
    """Stored anew in another order, by another process's rights and times."""
    records = read_records(tmp_path)
    other = tmp_path / "other"
    random.Random(1).shuffle(records)
    for record in records:
        frame = pd.read_parquet(tmp_path / "predictions" / f"{record.claim.predictions}.parquet")
        write_record(record, other, frame)
    again = build_board("representation", other)
    assert markdown(again) == markdown(board)
    assert csv_text(again) == csv_text(board)
    assert csv_text(again, tidy=True) == csv_text(board, tidy=True)


def test_texts_do_not_say_where_the_folder_lies(tmp_path: Path) -> None:
    """A note about a record is the same on every machine."""
    said = []
    for place in ("a", "b"):
        thief = simulate("knn", "thief", class_rows(0.8, seed=1))
        store(tmp_path / place, simulate("knn", "m", class_rows(0.8, seed=1)), thief)
        board = build_board("representation", tmp_path / place)
        said.append(markdown(board))
    assert said[0] == said[1]
    assert "(a copy)" in said[0]
    assert str(tmp_path) not in said[0]


def test_markdown_shows_ranks_intervals_missing_and_published(board: Board) -> None:
    text = markdown(board)
    lines = text.splitlines()
    good = next(line for line in lines if line.startswith("| 1 | good"))
    assert "[0." in good.replace("\\", "")
    fair = next(line for line in lines if "| fair |" in line)
    assert "| – |" in fair  # was never probed
    assert " 0.0000 " not in fair
    assert f"({PUBLISHED})" in text.replace("\\", "")
    assert "Source: as each row says" in text
    assert text.endswith("\n")
    assert "\r" not in text


def test_csv_has_missing_cells_empty_and_numbers_in_full(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(board))))
    own = {row["subject"]: row for row in rows if row["published"] == "False"}
    assert own["fair"]["probe-accuracy"] == own["fair"]["probe-accuracy_low"] == ""
    table = board.tables[0]
    good = next(row for row in table.rows if row.subject == "good")
    assert float(own["good"]["knn-accuracy"]) == good.cells["knn-accuracy"].value
    assert own["good"]["rank"] == "1"
    assert own["chance"]["rank"] == ""
    published = [row for row in rows if row["published"] == "True"]
    assert published
    assert all(row["source"] for row in published)
    assert all(row["rank"] == "" for row in published)


def test_frames_hold_the_board(board: Board) -> None:
    frame = board.frame()
    own = frame[~frame["published"]].set_index("subject")
    assert own.loc["good", "rank"] == 1
    assert pd.isna(own.loc["fair", "probe-accuracy"])
    assert own.loc["random:mae", "baseline"]
    tidy = board.frame(tidy=True)
    cells = tidy[(tidy["subject"] == "fair") & (tidy["metric"] == "accuracy")]
    assert set(cells["state"]) == {"value", "missing"}
    assert pd.isna(cells[cells["state"] == "missing"]["value"]).all()
    assert len(tidy) == sum(
        len(table.rows) * len(table.columns) for table in (*board.tables, *board.references)
    )
    assert frame.columns.tolist()[:3] == ["board", "table", "subject"]


def test_texts_of_strangers_stay_texts(tmp_path: Path) -> None:
    store(tmp_path, simulate("knn", HOSTILE, class_rows(0.8)))
    board = build_board("representation", tmp_path)
    text = markdown(board)
    (line,) = [line for line in text.splitlines() if "alert" in line]
    assert "<script>" not in line
    assert line.count(" | ") == 2 + len(board.tables[0].columns)  # no cell more
    assert "\n# head" not in text
    (row,) = [r for r in csv.DictReader(io.StringIO(csv_text(board))) if r["published"] == "False"]
    assert row["subject"].startswith("'=cmd")
    assert "\n" not in row["subject"]


@pytest.mark.parametrize(
    ("slug", "card"),
    [("vec2face-recognisers", "vec2face"), ("vec2face-harder-sets", "vec2face")],
)
def test_published_numbers_are_exactly_the_cards(shared: Path, slug: str, card: str) -> None:
    path = shared / "methods" / f"{card}.md"
    if not path.is_file():
        pytest.skip(f"no cards at {path.parent}")
    text = path.read_text("utf-8").replace("*", "")
    for row in reference_definition(slug).rows:
        values = [f"{value:.2f}" for value in row.values]
        assert " | ".join(values) in text or "/".join(values) in text, row.name


def test_published_trunks_are_exactly_the_cards(shared: Path) -> None:
    names = {"MAE": "mae", "SimMIM": "simmim", "CAE": "cae", "ColorMAE": "colormae", "HPM": "hpm",
             "SparK": "spark", "MultiMAE": "multimae", "MaskAlign": "maskalign",
             "ConvMAE": "mr-mae"}  # fmt: skip
    for row in reference_definition("imagenet-trunks").rows:
        path = shared / "methods" / f"{names[row.name.replace('-', ' ').split()[0]]}.md"
        if not path.is_file():
            pytest.skip(f"no cards at {path.parent}")
        section = path.read_text("utf-8").partition("## 6.")[2].partition("## 7.")[0]
        lines = [line for line in section.splitlines() if "from memory" not in line]
        for value in row.values:
            if value == value:  # noqa: PLR0124 - a number
                assert f"{value:g}" in "\n".join(lines) or f"{value:.1f}" in "\n".join(lines)
