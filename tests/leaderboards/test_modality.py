"""The board of videos: records of one modality, by protocols that all share."""

from pathlib import Path

from masquerade.leaderboards.building import build_board
from masquerade.leaderboards.definitions import board_definition

from .simulated import Made, class_rows, simulate, store


def a_row(name: str, data: str, modality: str, kind: str = "model") -> Made:
    rows = class_rows(0.9, seed=len(name))
    return simulate("knn", name, rows, data=data, modality=modality, kind=kind)


def test_a_board_of_one_modality_leaves_out_the_others_data(tmp_path: Path) -> None:
    """Chance prepares no input, and stands where the others on its data do."""
    store(
        tmp_path,
        a_row("clips-model", "actions", "video"),
        a_row("picture-model", "photos", "image"),
        a_row("of-videos", "actions", "", "chance"),
        a_row("of-pictures", "photos", "", "chance"),
    )
    board = build_board("video", tmp_path)
    assert {table.title: {row.subject for row in table.rows} for table in board.tables} == {
        "actions": {"clips-model", "of-videos"}
    }
    assert {row.modality for row in board.tables[0].rows} == {"video"}
    everywhere = build_board("representation", tmp_path)
    assert {table.title for table in everywhere.tables} == {"actions", "photos"}


def test_published_actions_are_those_of_the_model_zoos(tmp_path: Path) -> None:
    """Best first; what a row was not published for is missing, not zero."""
    assert board_definition("video").references == ("video-actions",)
    (table,) = build_board("video", tmp_path).references
    columns = [column.label for column in table.columns]
    rows = {row.subject: [row.cells[c.key].value for c in table.columns] for row in table.rows}
    assert columns[:2] == ["K400 top-1", "K400 top-5"]
    assert rows["VideoMAE V2 ViT-g, on K400"][:3] == [87.2, 97.4, None]
    assert rows["VideoMAE ViT-B, 3200 epochs of UCF101"][5] == 91.3
    ranked = [row.cells[table.columns[0].key].value for row in table.rows]
    known = [value for value in ranked if value is not None]
    assert ranked[: len(known)] == known == sorted(known, reverse=True)
