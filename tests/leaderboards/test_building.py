"""Boards of simulated records: rows, ranks, ties, flags, and what is not a number."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masquerade.core.errors import UsageError
from masquerade.leaderboards.building import build_board, build_boards
from masquerade.leaderboards.cache import FILE
from masquerade.leaderboards.definitions import board_slugs
from masquerade.leaderboards.standings import Board, Row, Table

from .simulated import a_store, class_rows, pair_rows, simulate, store


def the_table(board: Board) -> Table:
    (table,) = board.tables
    return table


def rows_of(board: Board) -> dict[str, Row]:
    return {row.subject: row for row in the_table(board).rows}


def test_models_are_ranked_and_baselines_marked(tmp_path: Path) -> None:
    records = a_store(tmp_path)
    table = the_table(build_board("representation", tmp_path))
    assert [row.subject for row in table.rows] == ["good", "fair", "random:mae", "raw", "chance"]
    assert table.title == "toy"
    assert table.main is not None
    assert table.main.benchmark == "knn"  # nobody was probed: the first column with values
    ranks = [row.cells[table.main.key].rank for row in table.rows]
    assert [rank and (rank.best, rank.worst, rank.of) for rank in ranks] == [
        (1, 1, 2), (2, 2, 2), None, None, None,
    ]  # fmt: skip
    assert ranks[0].how == "paired"
    good = table.rows[0]
    cell = good.cells[table.main.key]
    assert cell.value == records["good"].main.value
    assert (cell.low, cell.high) == records["good"].main.interval
    assert cell.records == (records["good"].id,)
    assert (good.size, good.size_of, good.modality, good.date) == (
        1000, "parameters", "image", "2026-01-01",
    )  # fmt: skip
    assert [row.baseline for row in table.rows] == [False, False, True, True, True]
    assert good.level == 3


def test_values_that_cannot_be_told_apart_are_ties(tmp_path: Path) -> None:
    same = [simulate("knn", f"m{i}", class_rows(0.8, seed=i)) for i in range(3)]
    store(tmp_path, *same, simulate("knn", "far", class_rows(0.3, seed=9)))
    rows = rows_of(build_board("representation", tmp_path))
    key = "knn-accuracy"
    for name in ("m0", "m1", "m2"):
        rank = rows[name].cells[key].rank
        assert (rank.best, rank.worst, rank.tied) == (1, 3, True)
        assert rank.text == "=1 (1–3)"
    assert rows["far"].cells[key].rank.text == "4"


def test_same_items_tell_apart_what_intervals_cannot(tmp_path: Path) -> None:
    """Paired comparison: 30 items more right out of 200, all others the same."""
    low = class_rows(0.6, seed=1)
    high = low.copy()
    wrong = np.flatnonzero(low["predicted"] != low["label"])[:16]
    high.loc[wrong, "predicted"] = high.loc[wrong, "label"]
    records = store(tmp_path, simulate("knn", "low", low), simulate("knn", "high", high))
    first, second = (record.main.interval for record in records)
    assert first[1] > second[0]  # the intervals overlap
    rows = rows_of(build_board("representation", tmp_path))
    assert rows["high"].cells["knn-accuracy"].rank.text == "1"
    assert rows["low"].cells["knn-accuracy"].rank.text == "2"


def test_a_model_below_its_untrained_net_is_flagged(tmp_path: Path) -> None:
    store(
        tmp_path,
        simulate("knn", "bad", class_rows(0.4, seed=1)),
        simulate("knn", "fine", class_rows(0.8, seed=2)),
        simulate("knn", "random:mae", class_rows(0.5, seed=3), kind="random"),
    )
    rows = rows_of(build_board("representation", tmp_path))
    assert "is not above that of an untrained net" in rows["bad"].below_random
    assert "random:mae" in rows["bad"].below_random
    assert rows["fine"].below_random == rows["random:mae"].below_random == ""


def test_the_yardstick_is_the_untrained_net_of_the_same_method(tmp_path: Path) -> None:
    made = [("mine", 0.6, "model", "mae"), ("random:mae", 0.4, "random", "mae"),
            ("random:big", 0.9, "random", "big"), ("other", 0.6, "model", "vec")]  # fmt: skip
    store(tmp_path, *(
        simulate("knn", name, class_rows(skill, seed=place), kind=kind, subject={"method": method})
        for place, (name, skill, kind, method) in enumerate(made)
    ))  # fmt: skip
    rows = rows_of(build_board("representation", tmp_path))
    assert rows["mine"].below_random == ""
    assert "random:big" in rows["other"].below_random


def test_missing_and_unsupported_cells_are_no_numbers(tmp_path: Path) -> None:
    facts = {"unsupported": {"tar_at_far_1e-3": {"n_impostor": 120, "needed": 10000}}}
    store(
        tmp_path,
        simulate("knn", "one", class_rows(0.8, seed=1)),
        simulate("probe", "other", class_rows(0.7, seed=2, runs=3), seeds=(0, 1, 2)),
        simulate("verification", "face", pair_rows(0.6), facts=facts),
    )
    rows = rows_of(build_board("representation", tmp_path))
    assert rows["one"].cells["probe-accuracy"].state == "missing"
    assert rows["one"].cells["probe-accuracy"].value is None
    assert rows["other"].cells["probe-accuracy"].rank.text == "1"
    face = rows_of(build_board("face-verification", tmp_path))["face"]
    cell = face.cells["verification-tar_at_far_1e-3"]
    assert cell.state == "unsupported"
    assert cell.value is None
    assert "n_impostor 120, needed 10000" in cell.why
    assert face.cells["verification-accuracy"].rank.text == "1"


def test_other_settings_are_another_column(tmp_path: Path) -> None:
    store(
        tmp_path,
        simulate("knn", "a", class_rows(0.8, seed=1)),
        simulate("knn", "b", class_rows(0.7, seed=2)),
        simulate("knn", "a", class_rows(0.9, seed=3), settings={"k": 20}),
    )
    table = the_table(build_board("representation", tmp_path))
    columns = [c for c in table.columns if c.metric == "accuracy"]
    assert [(c.settings, c.main) for c in columns] == [("k=5", True), ("k=20", False)]
    (row,) = [row for row in table.rows if row.subject == "b"]
    assert row.cells[columns[1].key].state == "missing"


def test_other_seeds_are_joined_and_no_conflict(tmp_path: Path) -> None:
    made = [
        simulate("probe", "m", class_rows(0.8, seed=seed), seeds=(seed,), settings={"seed": seed})
        for seed in range(3)
    ]
    store(tmp_path, *made)
    (row,) = the_table(build_board("representation", tmp_path)).rows
    cell = row.cells["probe-accuracy"]
    metrics = [record.claim.metrics["accuracy"] for record, _ in made]
    assert cell.value == pytest.approx(np.mean([m.value for m in metrics]))
    assert cell.method == "hull"  # fewer than five
    assert cell.low == min(m.interval[0] for m in metrics)
    assert cell.high == max(m.interval[1] for m in metrics)
    assert len(cell.records) == 3
    assert cell.rank.text == "1"


def test_five_seeds_have_students_interval(tmp_path: Path) -> None:
    made = [
        simulate("probe", "m", class_rows(0.8, seed=seed), seeds=(seed,), settings={"seed": seed})
        for seed in range(5)
    ]
    store(tmp_path, *made)
    (row,) = the_table(build_board("representation", tmp_path)).rows
    cell = row.cells["probe-accuracy"]
    assert (cell.method, cell.n, cell.n_of) == ("seeds", 5, "seeds")
    assert cell.low < cell.value < cell.high


def test_contradicting_records_are_shown_and_unranked(tmp_path: Path) -> None:
    one = simulate("knn", "m", class_rows(0.8, seed=1))
    other = simulate("knn", "m", class_rows(0.8, seed=2))
    store(tmp_path, one, other, simulate("knn", "n", class_rows(0.5, seed=3)))
    rows = rows_of(build_board("representation", tmp_path))
    cell = rows["m"].cells["knn-accuracy"]
    assert cell.state == "conflict"
    assert cell.value is None
    assert all(f"{record.main.value:.4f}" in cell.why for record, _ in (one, other))
    assert rows["n"].cells["knn-accuracy"].rank.text == "1"


def test_two_machines_are_one_row_with_two_confirmations(tmp_path: Path) -> None:
    for machine in ("a", "b"):
        store(tmp_path, simulate("knn", "m", class_rows(0.8), machine=machine))
    (row,) = the_table(build_board("representation", tmp_path)).rows
    assert row.confirmations == 2
    assert len(row.records) == 1


def test_no_rank_below_level_three_or_without_predictions(tmp_path: Path) -> None:
    records = a_store(tmp_path)
    rows = rows_of(build_board("representation", tmp_path, level=2))
    assert all(cell.rank is None for row in rows.values() for cell in row.cells.values())
    assert rows["good"].cells["knn-accuracy"].value == records["good"].main.value
    (tmp_path / "predictions" / f"{records['fair'].claim.predictions}.parquet").unlink()
    rows = rows_of(build_board("representation", tmp_path))
    assert rows["fair"].cells["knn-accuracy"].rank is None
    assert "found none" in rows["fair"].cells["knn-accuracy"].why
    assert rows["fair"].level == 2
    assert rows["good"].cells["knn-accuracy"].rank.text == "1"


def test_a_second_build_reads_no_predictions_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_store(tmp_path)
    first = build_board("representation", tmp_path)
    assert (tmp_path / FILE).is_file()
    for name in ("building", "recomputing"):
        monkeypatch.setattr(
            f"masquerade.leaderboards.{name}.read_predictions",
            lambda *_: pytest.fail("predictions were read again"),
        )
    assert build_board("representation", tmp_path) == first


def test_predictions_changed_after_a_build_are_found_by_the_next(tmp_path: Path) -> None:
    records = a_store(tmp_path)
    build_board("representation", tmp_path)
    path = tmp_path / "predictions" / f"{records['fair'].claim.predictions}.parquet"
    class_rows(0.99).to_parquet(path)
    board = build_board("representation", tmp_path)
    assert "fair" not in rows_of(board)
    assert any(p.severity == "refused" and p.file == str(path) for p in board.problems)


def test_a_cache_sent_along_with_a_folder_is_not_believed(tmp_path: Path) -> None:
    """Copied with all its times: the predictions are wrong, the cache says that they are right."""
    import shutil

    records = a_store(tmp_path / "theirs")
    first = build_board("representation", tmp_path / "theirs")
    cache = (tmp_path / "theirs" / FILE).read_text()
    path = tmp_path / "theirs" / "predictions" / f"{records['fair'].claim.predictions}.parquet"
    times = path.stat()
    class_rows(0.99).to_parquet(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "theirs" / FILE).write_text(cache.replace("[1,1,", "[7,7,"))
    shutil.copytree(tmp_path / "theirs", tmp_path / "ours", copy_function=shutil.copy2)
    rows = rows_of(build_board("representation", tmp_path / "ours"))
    assert "fair" in rows_of(first)
    assert "fair" not in rows
    assert rows["good"].cells["knn-accuracy"].rank.text == "1"


def test_showing_one_board_keeps_what_is_known_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_store(tmp_path)
    store(tmp_path, simulate("verification", "face", pair_rows(0.6)))
    build_boards(tmp_path)
    build_board("face-verification", tmp_path)
    monkeypatch.setattr(
        "masquerade.leaderboards.building.recomputed", lambda *_: pytest.fail("recomputed again")
    )
    build_boards(tmp_path)


def test_a_record_of_an_older_protocol_is_shown_stale(tmp_path: Path) -> None:
    record, frame = simulate("knn", "old", class_rows(0.8))
    older = record.claim.benchmark.model_copy(update={"version": "0.9.0"})
    metric = record.main.model_copy(update={"interval": (0.0, 1.0)})  # as that version had it
    changed = {"benchmark": older, "metrics": {**record.claim.metrics, "accuracy": metric}}
    claim = record.claim.model_copy(update=changed)
    store(tmp_path, (record.model_copy(update={"claim": claim}), frame))
    cell = rows_of(build_board("representation", tmp_path))["old"].cells["knn-accuracy"]
    assert (cell.state, cell.value, cell.rank) == ("stale", record.main.value, None)
    store(tmp_path, (record, frame))  # scored again: the old one no longer counts
    cell = rows_of(build_board("representation", tmp_path))["old"].cells["knn-accuracy"]
    assert (cell.state, cell.rank.text) == ("value", "1")


def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path) -> None:
    a_store(tmp_path)
    first = build_board("representation", tmp_path)
    for text in ("", "[]", "{", '{"format":"masquerade-boards/1"}'):
        (tmp_path / FILE).write_text(text)
        assert build_board("representation", tmp_path) == first


def test_every_shipped_board_builds_with_its_published_rows_apart(tmp_path: Path) -> None:
    a_store(tmp_path)
    boards = build_boards(tmp_path)
    assert [board.slug for board in boards] == list(board_slugs())
    assert [board.slug for board in boards if board.tables] == ["representation"]
    for board in boards:
        for table in board.references:
            assert table.published
            assert table.source
            for row in table.rows:
                assert row.published
                assert row.source
                assert all(cell.rank is None for cell in row.cells.values())
        keys = [table.key for table in (*board.tables, *board.references)]
        keys += [row.key for table in (*board.tables, *board.references) for row in table.rows]
        assert len(keys) == len(set(keys))


def test_synthesized_sets_without_audit_have_no_rank(tmp_path: Path) -> None:
    facts = {"images": 100, "identities": 10, "synthetic": True, "audit": None}
    made = simulate(
        "verification", "audited", pair_rows(0.6, seed=1), subject={**facts, "audit": "1"}
    )
    other = simulate("verification", "bare", pair_rows(0.5, seed=2), subject=facts)
    store(tmp_path, made, other)
    rows = rows_of(build_board("face-verification", tmp_path))
    assert rows["audited"].cells["verification-accuracy"].rank.text == "1"
    assert rows["bare"].cells["verification-accuracy"].rank is None
    assert "audit" in rows["bare"].cells["verification-accuracy"].why
    assert (rows["bare"].size, rows["bare"].size_of) == (100, "images")


def test_a_board_of_ones_own_is_one_file(tmp_path: Path) -> None:
    a_store(tmp_path / "results")
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nsummary = "kNN only."\nmodality = "image"\n[[columns]]\n'
        'benchmark = "knn"\nmetric = "accuracy"\nlabel = "kNN"\ndefinition = "Share."\n'
        'unit = "fraction"\ndirection = "higher"\nmain = true\n'
    )
    board = build_board(str(tmp_path / "mine.toml"), tmp_path / "results")
    assert (board.slug, len(the_table(board).columns)) == ("mine", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = 1", "bad.toml: setting 'title'.*mend it there"),
        ("=", "is no TOML"),
        ('title = "t"\nsummary = "s"\nmodality = "i"\ncolumns = []', "at least 1"),
    ],
)
def test_a_wrong_definition_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        build_board(str(tmp_path / "bad.toml"), tmp_path)


def test_an_unknown_board_or_folder_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'retrieval'"):
        build_board("retreival", tmp_path)
    with pytest.raises(UsageError, match="there is no results folder"):
        build_board("retrieval", tmp_path / "nowhere")


def test_rows_are_frozen(tmp_path: Path) -> None:
    a_store(tmp_path)
    row = the_table(build_board("representation", tmp_path)).rows[0]
    assert replace(row, subject="x") != row
    with pytest.raises(AttributeError):
        row.subject = "x"  # type: ignore[misc]
