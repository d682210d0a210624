"""Graph files: what they hold, in every format, prepared as the published results are."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.errors import DataError
from masquerade.core.graphs.batch import GraphBatch
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.graph import Graph
from masquerade.modalities.graph.features import one_hot_degrees, row_normalized, standardized
from masquerade.modalities.graph.source import GraphSource, node_task

sys.path.insert(0, str(Path(__file__).parent))
from graph_files import (  # noqa: E402
    TRIANGLE,
    planetoid_parts,
    write_gin,
    write_ogb,
    write_planetoid,
    write_tu,
)

TWO = [(3, TRIANGLE, 1), (2, [(0, 1)], -1)]


def pairs(source: GraphSource, index: int = 0) -> set[tuple[int, int]]:
    """The directed edges between different nodes of one graph."""
    tensors = source.read(index).content.tensors
    both = torch.stack([tensors["edges/column"], tensors["edges/row"]]).T.tolist()
    loops = sum(a == b for a, b in both)
    assert loops == len(tensors["x"])
    return {(a, b) for a, b in both if a != b}


def both_ways(edges: list[tuple[int, int]]) -> set[tuple[int, int]]:
    return {(a, b) for a, b in edges} | {(b, a) for a, b in edges}


def test_tu_folder(tmp_path: Path) -> None:
    source = resolve_data(str(write_tu(tmp_path / "TOY", TWO, node_labels=[0, 2, 0, 1, 1])))
    assert isinstance(source, GraphSource)
    assert source.keys == ["000000", "000001"]
    assert source.classes == ("-1", "1")
    assert source.labels.tolist() == [1, 0]
    assert pairs(source) == both_ways(TRIANGLE)
    assert pairs(source, 1) == {(0, 1), (1, 0)}
    assert torch.equal(source.read(0).content.tensors["x"], torch.eye(3)[[0, 2, 0]])
    assert source.facts()["edges"] == 4


def test_graphs_without_node_labels_have_their_degrees(tmp_path: Path) -> None:
    wanted = torch.eye(3)[[2, 2, 2]]
    for path in (
        write_tu(tmp_path / "TOY", TWO), write_gin(tmp_path / "toy.txt", TWO),
    ):  # fmt: skip
        source = resolve_data(str(path))
        assert torch.equal(source.read(0).content.tensors["x"], wanted)
    assert one_hot_degrees(np.zeros(1000, np.int64), 2).shape == (2, 401)


def test_gin_text_is_the_tu_folder(tmp_path: Path) -> None:
    tags = [0, 2, 0, 1, 1]
    text = resolve_data(str(write_gin(tmp_path / "toy.txt", TWO, tags)))
    folder = resolve_data(str(write_tu(tmp_path / "TOY", TWO, node_labels=tags)))
    assert text.fingerprint() == folder.fingerprint()
    assert text.labels.tolist() == folder.labels.tolist()


def test_gin_attributes_after_the_neighbours_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "toy.txt"
    path.write_text("1\n2 0\n0 1 1 0.5 -3\n1 1 0 0.25 7\n")
    assert pairs(resolve_data(str(path))) == {(0, 1), (1, 0)}


def test_published_folds_lie_beside_the_text(tmp_path: Path) -> None:
    write_gin(tmp_path / "toy.txt", TWO)
    folder = tmp_path / "10fold_idx" / "toy"
    folder.mkdir(parents=True)
    for part, row in (("train", 1), ("test", 0)):
        (folder / f"{part}_idx-1.txt").write_text(f"{row}\n")
    ((train, test),) = resolve_data(str(tmp_path / "toy.txt")).folds
    assert (train.tolist(), test.tolist()) == ([1], [0])
    (folder / "test_idx-1.txt").write_text("1\n")
    with pytest.raises(DataError, match="fold 1: train and test overlap"):
        resolve_data(str(tmp_path / "toy.txt"))


def test_planetoid_files(tmp_path: Path) -> None:
    source = resolve_data(str(write_planetoid(tmp_path / "raw")))
    parts = planetoid_parts()
    x = source.read(0).content.tensors["x"]
    assert x.shape == (606, 12)
    known = parts["allx"].toarray()
    np.testing.assert_allclose(x[:600].sum(1), (known.sum(1) > 0).astype(float), atol=1e-6)
    np.testing.assert_array_equal(x[:600] > 0, known > 0)
    # the i-th row of tx belongs to the i-th line of the index
    np.testing.assert_array_equal(x[604] > 0, parts["tx"].toarray()[0] > 0)
    labels, splits = node_task(source)
    assert labels[604] == parts["ty"][0].argmax()
    assert (labels[603], float(x[603].sum())) == (-1, 0.0)
    assert splits["train"].tolist() == list(range(40))
    assert splits["val"].tolist() == list(range(40, 540))
    assert splits["test"].tolist() == [600, 601, 602, 604, 605]
    assert (source.n_loops, source.n_repeats) == (1, 1)


def test_one_of_several_planetoid_sets_is_named(tmp_path: Path) -> None:
    write_planetoid(tmp_path, "one")
    assert len(resolve_data(str(tmp_path))) == 1
    write_planetoid(tmp_path, "two")
    assert resolve_data(f"{tmp_path}#two").name.endswith("two")
    with pytest.raises(DataError, match="several graphs; choose one: .*#one, .*#two"):
        resolve_data(str(tmp_path))
    with pytest.raises(DataError, match="no graph 'three'"):
        resolve_data(f"{tmp_path}#three")


@pytest.mark.parametrize("packed", [True, False])
def test_ogb_folder(tmp_path: Path, packed: bool) -> None:
    source = resolve_data(str(write_ogb(tmp_path / "arxiv", packed=packed)))
    assert pairs(source) == both_ways([(i, i + 1) for i in range(11)])
    x = source.read(0).content.tensors["x"]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(0, correction=0), [1, 1, 0], atol=1e-5)
    labels, splits = node_task(source)
    assert [len(splits[name]) for name in ("train", "val", "test")] == [6, 3, 3]
    assert labels.tolist() == [0, 1] * 6


def test_npz_dense_and_sparse_are_the_same_graph(tmp_path: Path) -> None:
    x = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 0]], np.float32)
    task = {"y": np.array([0, 1, -1]), "train": [0], "val": [1], "test": [1]}
    np.savez(tmp_path / "dense.npz", x=x, edges=np.array([[0, 1], [1, 2]]), **task)
    np.savez(
        tmp_path / "sparse.npz", x_data=np.array([1.0, 2.0]), x_indices=np.array([0, 1]),
        x_indptr=np.array([0, 1, 2, 2]), x_shape=np.array([3, 3]),
        edges=np.array([[1, 0], [1, 2], [2, 1]]), **task,
    )  # fmt: skip
    dense, sparse = (resolve_data(str(tmp_path / f"{n}.npz")) for n in ("dense", "sparse"))
    assert dense.fingerprint() == sparse.fingerprint()
    assert pairs(dense) == both_ways([(0, 1), (1, 2)])
    normalized = Graph(Graph.Config(normalize_rows=True, sparse_below=1.0))
    for source in (dense, sparse):
        prepared = normalized.prepare(source.read(0), None)
        assert torch.equal(prepared["x"], torch.diag(torch.tensor([1.0, 1.0, 0.0])))
    assert torch.equal(prepared["sparse/values"], torch.ones(2))


def test_npz_of_several_graphs(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "two.npz", x=np.eye(5), edges=np.array([[0, 1], [3, 4]]),
        sizes=np.array([3, 2]), labels=np.array([7, 9]),
    )  # fmt: skip
    source = resolve_data(str(tmp_path / "two.npz"))
    assert (len(source), source.classes, source.labels.tolist()) == (2, ("7", "9"), [0, 1])
    assert pairs(source, 1) == {(0, 1), (1, 0)}


def test_a_fingerprint_sees_features_edges_labels_and_splits(tmp_path: Path) -> None:
    base = {"x": np.eye(3), "edges": np.array([[0, 1]]), "y": np.array([0, 1, 1]),
            "train": [0], "val": [1], "test": [2]}  # fmt: skip
    changes = [
        {}, {"x": 2 * np.eye(3)}, {"edges": np.array([[0, 2]])}, {"y": np.array([1, 1, 0])},
        {"test": [1]},
    ]  # fmt: skip
    found = set()
    for number, change in enumerate(changes):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **{**base, **change})
        found.add(resolve_data(str(path)).fingerprint())
    assert len(found) == len(changes)


def test_preparation_of_features() -> None:
    from scipy.sparse import csr_matrix

    rows = row_normalized(csr_matrix(np.array([[1.0, 3.0], [0.0, 0.0]], np.float32)))
    np.testing.assert_allclose(rows.toarray(), [[0.25, 0.75], [0, 0]])
    np.testing.assert_allclose(
        standardized(np.array([[1, 5], [3, 5]], np.float32)), [[-1, 0], [1, 0]]
    )


def test_workers_get_the_same_graphs(tmp_path: Path) -> None:
    import pickle

    source = resolve_data(str(write_tu(tmp_path / "TOY", TWO)))
    copy = pickle.loads(pickle.dumps(source))
    assert copy.fingerprint() == source.fingerprint()


def test_the_adapter_joins_graphs_and_draws_them(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    from masquerade.core.draws import Draws
    from masquerade.core.step import StepContext
    from masquerade.methods.graph.graphmae import GraphMAE

    source = resolve_data(
        str(write_tu(tmp_path / "TOY", [(8, TRIANGLE, 0), (90, [(0, 5)], 1)] * 2))
    )
    graph = Graph(Graph.Config())
    samples = [source.read(i) for i in range(4)]
    batch = graph.collate(samples, [graph.prepare(s, None) for s in samples])
    assert isinstance(batch, GraphBatch)
    assert batch.labels.tolist() == [0, 1, 0, 1]
    assert graph.raw(batch)["x"].shape == (4, source.n_features)
    assert float(graph.raw(batch)["x"][1].sum()) == 90
    model = GraphMAE(GraphMAE.Config(in_dim=source.n_features, dim=8, heads=2))
    for part in (batch, batch.rows(0, 1)):  # more nodes than a picture holds, and few
        output = model(part, Draws(0, part.ids), StepContext())
        hidden = output.mask.as_bool()
        path = graph.draw(part, model.reconstruction(part, output), hidden, tmp_path / "it")
        picture = Pillow.open(path)
        assert picture.size[0] > 2 * picture.size[1]
        assert len(set(picture.convert("RGB").getdata())) > 10


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("planetoid#cora", (2708, 5278, 1433)), ("planetoid#citeseer", (3327, 4552, 3703)),
        ("planetoid/cora.npz", (2708, 5278, 1433)), ("tu/MUTAG", (3371, 3721, 7)),
        ("tu/PROTEINS", (43471, 81044, 3)), ("gin/IMDB-BINARY.txt", (19773, 96531, 136)),
        ("gin/IMDB-MULTI.txt", (19502, 98903, 89)),
    ],
)  # fmt: skip
def test_real_sets_have_their_published_sizes(
    shared: Path, name: str, facts: tuple[int, int, int]
) -> None:
    source = resolve_data(str(shared / "data" / "graphs" / name))
    found = source.facts()
    assert (found["nodes"], found["edges"], found["features"]) == facts


@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_raw_planetoid_files_are_the_clean_arrays(shared: Path, name: str) -> None:
    folder = shared / "data" / "graphs" / "planetoid"
    raw, clean = resolve_data(f"{folder}#{name}"), resolve_data(str(folder / f"{name}.npz"))
    assert pairs(raw) == pairs(clean)
    np.testing.assert_array_equal(raw.table.node_labels, clean.table.node_labels)
    normalized = Graph(Graph.Config(normalize_rows=True))
    ours, theirs = (normalized.prepare(s.read(0), None)["x"] for s in (raw, clean))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(raw.table.splits[split], clean.table.splits[split])
