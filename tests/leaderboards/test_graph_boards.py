"""The boards of graphs: what stands on them, ranked, and the published rows beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

from masquerade.leaderboards.building import build_board
from masquerade.leaderboards.checking import check_results
from masquerade.leaderboards.standings import Board, Table

from .simulated import class_rows, simulate, store


def node_rows(skill: float, seed: int) -> pd.DataFrame:
    rows = class_rows(skill, n=400, seed=seed)
    return rows.assign(predicted_best=rows["predicted"])


def graph_rows(skill: float, seed: int) -> pd.DataFrame:
    rows = class_rows(skill, n=400, seed=seed).drop(columns="seed")
    return rows.assign(fold=np.arange(400) % 10, c=1.0)


def molecule_rows(shift: float, seed: int) -> pd.DataFrame:
    label = np.arange(120) % 2
    score = label * shift + np.random.default_rng(seed).normal(size=120)
    return pd.DataFrame({
        "key": [f"m{i}" for i in range(120)], "task": "toxic", "label": label.astype(float),
        "score": score, "score_best": score, "seed": 0,
    })  # fmt: skip


def published(board: Board, name: str) -> tuple[Table, dict[str, float]]:
    """The published table that has a row of a name, and that row's values by column."""
    for table in board.references:
        for row in table.rows:
            if row.subject == name:
                values = {c.label: row.cells[c.key].value for c in table.columns}
                return table, values
    raise AssertionError(f"no published row '{name}'")


def test_nodes_are_ranked_by_the_last_epoch_also_after_pretraining_on_their_own_graph(
    tmp_path: Path,
) -> None:
    store(
        tmp_path,
        simulate("node-classification", "trained", node_rows(0.9, 1), training=("toy",)),
        simulate("node-classification", "random:graphmae", node_rows(0.6, 2), kind="random"),
        simulate(
            "node-classification", "named", node_rows(0.3, 3),
            settings={"recipe": "graphmae-cora", "lr": None},
        ),
    )  # fmt: skip
    assert not check_results(tmp_path).problems
    (table,) = build_board("graph-node", tmp_path).tables
    assert table.main is not None
    assert table.main.label == "accuracy"
    ranks = {row.subject: row.cells[table.main.key].rank for row in table.rows}
    assert ranks["random:graphmae"] is None
    # a recipe's name is no setting of its own: both models stand in one column
    assert [ranks[name].best for name in ("trained", "named")] == [1, 2]
    assert {column.label for column in table.columns} == {
        "accuracy", "at the best validation", "by class",
    }  # fmt: skip


def test_other_protocols_still_refuse_a_model_that_saw_its_test_data(tmp_path: Path) -> None:
    store(tmp_path, simulate("knn", "trained", class_rows(0.9), training=("toy",)))
    (problem,) = check_results(tmp_path).problems
    assert problem.kind == "contamination"


def test_whole_graphs_and_molecules_share_a_board(tmp_path: Path) -> None:
    rows = molecule_rows(2.0, 1)
    store(
        tmp_path,
        simulate(
            "graph-classification", "trained", graph_rows(0.9, 1),
            data="MUTAG", training=("MUTAG",),
        ),
        simulate("graph-classification", "raw", graph_rows(0.8, 2), data="MUTAG", kind="raw"),
        simulate("molecule-finetune", "encoder", rows, data="tox21"),
    )  # fmt: skip
    assert not check_results(tmp_path).problems
    tables = {table.title: table for table in build_board("graph-level", tmp_path).tables}
    assert set(tables) == {"MUTAG", "tox21"}
    (row,) = tables["tox21"].rows
    (column,) = tables["tox21"].columns
    assert column.label == "molecules: ROC-AUC"
    assert row.cells[column.key].value > 0.85
    assert [row.subject for row in tables["MUTAG"].rows] == ["trained", "raw"]


def test_published_rows_stand_apart_with_their_numbers(tmp_path: Path) -> None:
    _, nodes = published(build_board("graph-node", tmp_path), "GraphMAE")
    assert (nodes["Cora"], nodes["Citeseer"], nodes["ogbn-arxiv"]) == (84.2, 73.4, 71.75)
    level = build_board("graph-level", tmp_path)
    table, graphs = published(level, "MVGRL")
    assert graphs["MUTAG"] == 89.7
    assert graphs["COLLAB"] is None
    assert "GraphMAE" in table.source
    molecules = next(table for table in level.references if "Molecules" in table.title)
    for row in molecules.rows:
        *sets, average = (row.cells[column.key].value for column in molecules.columns)
        assert abs(np.mean(sets) - average) < 0.06, row.subject
