"""Bad graphs: each said in one sentence that names the file, what was found and the mend."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.benchmarks.graph_classification import open_data as open_graphs
from masquerade.benchmarks.node_classification import open_data as open_nodes
from masquerade.benchmarks.subjects import Extraction
from masquerade.core.errors import DataError
from masquerade.modalities.catalogue import resolve_data

sys.path.insert(0, str(Path(__file__).parent))
from graph_files import (  # noqa: E402
    TRIANGLE,
    write_gin,
    write_ogb,
    write_planetoid,
    write_tu,
)


def write_npz(path: Path, **arrays: object) -> Path:
    base = {"x": np.eye(3, dtype=np.float32), "edges": np.array([[0, 1], [1, 2]])}
    np.savez(path, **{k: v for k, v in {**base, **arrays}.items() if v is not None})
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        resolve_data(str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert str(path.name).split("#")[0] in text
    assert caught.value.remedy
    return text


def test_an_edge_to_a_node_that_is_not_there(tmp_path: Path) -> None:
    text = refusal(write_npz(tmp_path / "g.npz", edges=np.array([[0, 1], [1, 7]])))
    assert "edge 1 goes from node 1 to node 7, expected nodes 0 … 2; remove the edge" in text
    text = refusal(write_npz(tmp_path / "h.npz", edges=np.array([[0, -1]])))
    assert "to node -1" in text
    text = refusal(write_tu(tmp_path / "TU", [(3, [(0, 5)], 0)]))
    assert "goes from node 0 to node 5" in text
    path = tmp_path / "gin.txt"
    path.write_text("1\n2 0\n0 1 1\n0 1 4\n")
    assert "line 4: expected neighbours 0 … 1 of the same graph, got 4" in refusal(path)


def test_an_edge_between_two_graphs(tmp_path: Path) -> None:
    text = refusal(write_npz(tmp_path / "g.npz", sizes=np.array([2, 1])))
    assert "edge 1 goes from graph 0 to graph 1" in text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite(tmp_path: Path, value: float) -> None:
    x = np.eye(3, dtype=np.float32)
    x[2, 0] = value
    assert "node 2 has a feature that is not finite" in refusal(write_npz(tmp_path / "g.npz", x=x))
    sparse = write_npz(
        tmp_path / "s.npz", x=None, x_data=np.array([1.0, value]), x_indices=np.array([0, 1]),
        x_indptr=np.array([0, 1, 2, 2]), x_shape=np.array([3, 3]),
    )  # fmt: skip
    assert "node 1 has a feature that is not finite" in refusal(sparse)


def test_an_empty_graph(tmp_path: Path) -> None:
    text = refusal(write_npz(tmp_path / "g.npz", sizes=np.array([3, 0])))
    assert "graph 1 has no nodes; leave it out of the file" in text
    none = np.empty((0, 3), np.float32)
    text = refusal(write_npz(tmp_path / "h.npz", x=none, edges=np.empty((0, 2), np.int64)))
    assert "graph 0 has no nodes" in text
    path = tmp_path / "gin.txt"
    path.write_text("1\n0 1\n")
    assert "line 2: expected a graph of at least one node" in refusal(path)
    path.write_text("0\n1 1\n0 0\n")
    assert "line 1: expected at least one graph" in refusal(path)


def test_isolated_nodes_are_borne(tmp_path: Path) -> None:
    source = resolve_data(str(write_npz(tmp_path / "g.npz", edges=np.array([[0, 1]]))))
    assert source.facts()["edges"] == 1
    alone = resolve_data(str(write_npz(tmp_path / "h.npz", edges=np.empty((0, 2), np.int64))))
    tensors = alone.read(0).content.tensors
    assert tensors["edges/row"].tolist() == tensors["edges/column"].tolist() == [0, 1, 2]


def test_self_loops_and_repeated_edges_become_one_each(tmp_path: Path) -> None:
    edges = [(0, 0), (1, 1), (0, 1), (0, 1)]
    source = resolve_data(str(write_tu(tmp_path / "TU", [(3, edges, 0)])))
    tensors = source.read(0).content.tensors
    found = list(zip(tensors["edges/row"].tolist(), tensors["edges/column"].tolist(), strict=True))
    assert found == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]
    facts = source.facts()
    assert (facts["self-loops in the file"], facts["repeated edges"]) == (4, 2)
    listed_once = write_npz(tmp_path / "g.npz", edges=np.array([[0, 1], [1, 2], [0, 1], [1, 0]]))
    facts = resolve_data(str(listed_once)).facts()
    assert (facts["edges"], facts["repeated edges"]) == (2, 1)


def test_one_way_edges_where_both_are_expected(tmp_path: Path) -> None:
    folder = write_tu(tmp_path / "TU", [(3, TRIANGLE, 0)], both_ways=False)
    text = refusal(folder)
    assert "the edge 0 → 1 has no counterpart 1 → 0 (3 of 3 edges are one-way)" in text
    assert "add '#undirected' to the path" in text
    assert resolve_data(f"{folder}#undirected").facts()["edges"] == 3
    path = tmp_path / "gin.txt"
    path.write_text("1\n2 0\n0 1 1\n0 0\n")
    assert "the edge 1 → 0 has no counterpart" in refusal(path)
    assert resolve_data(f"{path}#undirected").facts()["edges"] == 1
    graph = {node: [node + 1] for node in range(605)} | {605: []}
    assert "one-way" in refusal(write_planetoid(tmp_path / "raw", graph=graph))


def test_labels_that_are_missing(tmp_path: Path) -> None:
    folder = write_tu(tmp_path / "TU", [(3, TRIANGLE, 0)] * 2, graph_labels=False)
    assert resolve_data(str(folder)).labels is None
    with pytest.raises(DataError, match="has no graph labels, and this benchmark needs them; give"):
        open_graphs(str(folder), {}, Extraction())
    with pytest.raises(DataError, match="has no node labels, and this benchmark needs them; give"):
        open_nodes(str(folder), {}, Extraction())
    (folder / "TU_graph_labels.txt").write_text("1\n")
    assert "1 lines, expected 2" in refusal(folder)

    y = np.array([0, 1, -1])
    path = write_npz(tmp_path / "g.npz", y=y, train=[0], val=[1], test=[2])
    with pytest.raises(DataError, match="node 2 of the split 'test' has no label"):
        open_nodes(str(path), {}, Extraction())
    path = write_npz(tmp_path / "h.npz", y=y, train=[0], val=[1])
    with pytest.raises(DataError, match="lacks the split 'test'"):
        open_nodes(str(path), {}, Extraction())
    path = write_npz(tmp_path / "i.npz", y=y, train=[0], val=[1], test=[9])
    assert "'test' names a node that is not there" in refusal(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": None}, "lacks the array 'x', it holds edges"),
        ({"x": np.array(["a", "b"])}, "expected a row of numbers for each node"),
        ({"x": np.array([{}], dtype=object)}, "holds pickled objects, which could run code"),
        ({"edges": np.array([[0.5, 1.0]])}, "expected whole numbers"),
        ({"sizes": np.array([2])}, "'sizes' add up to 2, 'x' has 3 nodes"),
        ({"labels": np.array([0, 1])}, "expected 1 whole numbers"),
        ({"x_data": np.ones(2), "x_indices": np.array([0, 9]), "x_indptr": np.array([0, 1, 2]),
          "x_shape": np.array([2, 3])}, "no matrix of compressed rows"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict, message: str) -> None:
    assert message in refusal(write_npz(tmp_path / "g.npz", **arrays))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("A", "1, x\n", "expected numbers only"), ("A", "1, 2, 3\n", "3 numbers, expected 2"),
        ("A", "1.5, 2\n", "line 1: expected whole numbers"),
        ("graph_indicator", "1\n3\n3\n", "line 2: graph 3"),
        ("graph_indicator", "2\n2\n2\n", "line 1: graph 2"),
        ("graph_indicator", "", "names no node"),
        ("node_labels", "0\n1\n", "2 lines, expected 3"),
        ("node_labels", "0\n-4\n1\n", "node labels from -4 to 1"),
    ],
)  # fmt: skip
def test_damaged_tu_folders(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write_tu(tmp_path / "TU", [(3, TRIANGLE, 0)], node_labels=[0, 1, 0])
    (folder / f"TU_{file}.txt").write_text(text)
    assert message in refusal(folder)


def test_a_tu_folder_without_a_part(tmp_path: Path) -> None:
    folder = write_tu(tmp_path / "TU", [(3, TRIANGLE, 0)])
    (folder / "TU_graph_indicator.txt").unlink()
    assert "cannot read" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2\n1 0\n0 0\n", "ends after line 3"),
        ("1\n1 0\n0\n", "expected whole numbers"),
        ("1\n1 0\n0 2 0\n", "a tag, a degree and as many neighbours, got 3 words"),
    ],
)
def test_damaged_gin_texts(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gin.txt"
    path.write_text(text)
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"graph": [1, 2]}, "do not fit together"),
        ({"y": "text"}, None),
        ({"ally": np.eye(2)}, "do not fit together"),
        ({"test.index": b"4\nx\n"}, "no list of node ids"),
        ({"test.index": b"600\n601\n"}, "do not fit together"),
        ({"tx": b"garbage"}, "is damaged or no pickle"),
        ({"graph": {0: ["a"]}}, "no dictionary of neighbour lists"),
    ],
)
def test_damaged_planetoid_files(tmp_path: Path, change: dict, message: str | None) -> None:
    folder = write_planetoid(tmp_path / "raw", **change)
    if message is None:  # the labels of x are those of allx, and are not read
        assert len(resolve_data(str(folder))) == 1
    else:
        with pytest.raises(DataError, match=message):
            resolve_data(str(folder))


class Runs:
    def __reduce__(self) -> tuple:
        return (print, ("it ran",))


def test_code_in_a_planetoid_file_is_refused_and_never_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_planetoid(tmp_path / "raw", graph=pickle.dumps({0: [Runs()]}, 2))
    with pytest.raises(DataError, match=r"refused .*ind.small.graph: it asks for .*no code is run"):
        resolve_data(str(folder))
    assert capsys.readouterr().out == ""


def test_damaged_ogb_folders(tmp_path: Path) -> None:
    folder = write_ogb(tmp_path / "a")
    (folder / "raw" / "edge.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="cannot read|is damaged"):
        resolve_data(str(folder))
    folder = write_ogb(tmp_path / "b", packed=False)
    (folder / "raw" / "node-label.csv").write_text("0\n")
    with pytest.raises(DataError, match="12 rows of features, 1 of labels"):
        resolve_data(str(folder))
    folder = write_ogb(tmp_path / "c", packed=False)
    (folder / "split" / "time" / "test.csv").write_text("99\n")
    with pytest.raises(DataError, match="the split 'test' names node 99"):
        resolve_data(str(folder))


def test_what_is_no_graph_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        resolve_data(str(tmp_path / "none"), "graph")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no graphs that can be read; known are a folder of"):
        resolve_data(str(tmp_path / "empty"), "graph")
    path = write_gin(tmp_path / "toy.txt", [(3, TRIANGLE, 0)])
    with pytest.raises(DataError, match="has no part 'other'"):
        resolve_data(f"{path}#other", "graph")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutated_files_never_do_worse_than_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of any file changed, cut or doubled: graphs, or our error; no other, no hang."""
    folder = tmp_path_factory.mktemp("fuzz")
    graphs = [(3, TRIANGLE, 0), (2, [(0, 1)], 1)]
    kind = data.draw(st.sampled_from(["tu", "gin", "planetoid", "npz", "ogb"]))
    made = {
        "tu": lambda: write_tu(folder / "TU", graphs, node_labels=[0, 1, 0, 2, 2]),
        "gin": lambda: write_gin(folder / "toy.txt", graphs, [0, 1, 0, 2, 2]),
        "planetoid": lambda: write_planetoid(folder / "raw"),
        "npz": lambda: write_npz(folder / "g.npz", y=np.zeros(3, np.int64), train=[0]),
        "ogb": lambda: write_ogb(folder / "ogb"),
    }[kind]()
    files = sorted(p for p in made.rglob("*") if p.is_file()) if made.is_dir() else [made]
    target = data.draw(st.sampled_from(files))
    content = bytearray(target.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1)) if content else 0
        act = data.draw(st.sampled_from(["change", "cut", "double"]))
        if act == "change" and content:
            content[place] = data.draw(st.integers(0, 255))
        elif act == "cut":
            del content[place : place + data.draw(st.integers(1, 50))]
        else:
            content[place:place] = content[place : place + 20]
    target.write_bytes(content)
    try:
        source = resolve_data(str(made), "graph")
        source.read(0)
    except DataError as error:
        assert str(error)
