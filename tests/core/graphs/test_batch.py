"""Disjoint unions: what is joined comes apart again, and nothing crosses between graphs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import UsageError
from masquerade.core.graphs.batch import GraphBatch, as_graphs, pool_graphs, thinned, union
from masquerade.core.graphs.csr import Csr, product
from masquerade.core.tokens import Batch


def graph(n: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(n, (2, 3 * n), generator=generator)
    both = torch.cat([pairs, pairs.flip(0), torch.arange(n).expand(2, -1)], dim=1)
    edges = Csr.from_pairs(*torch.unique(both, dim=1), (n, n))
    return {"x": torch.rand(n, 4, generator=generator), **edges.tensors("edges/")}


def batch_of(sizes: list[int]) -> GraphBatch:
    inputs = union([graph(n, seed) for seed, n in enumerate(sizes)])
    return GraphBatch(inputs, ids=torch.arange(len(sizes)), labels=torch.arange(len(sizes)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.data())
def test_rows_of_a_union_are_its_graphs(sizes: list[int], data: st.DataObject) -> None:
    batch = batch_of(sizes)
    assert (len(batch), batch.n_nodes) == (len(sizes), sum(sizes))
    start = data.draw(st.integers(0, len(sizes) - 1))
    stop = data.draw(st.integers(start + 1, len(sizes) + 2))  # as a slice: what there is
    part = batch.rows(start, stop)
    wanted = union([graph(n, seed) for seed, n in enumerate(sizes)][start:stop])
    assert part.inputs.keys() == wanted.keys()
    assert all(torch.equal(part[name], wanted[name]) for name in wanted)
    assert part.ids.tolist() == part.labels.tolist() == list(range(len(sizes)))[start:stop]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=4))
def test_graphs_of_a_union_do_not_see_each_other(sizes: list[int]) -> None:
    batch = batch_of(sizes)
    together = product(batch.edges, batch["x"])
    parts = [batch.rows(i, i + 1) for i in range(len(sizes))]
    apart = torch.cat([product(part.edges, part["x"]) for part in parts])
    assert torch.equal(together, apart)


def test_a_union_is_what_sorting_all_pairs_gives() -> None:
    edges = batch_of([3, 1, 5]).edges
    again = Csr.from_pairs(edges.row, edges.column, edges.shape)
    for name in ("ptr", "column", "row", "column_ptr", "order", "row_by_column"):
        assert torch.equal(getattr(edges, name), getattr(again, name)), name


@pytest.mark.parametrize("how", ["mean", "max", "sum"])
def test_pooling_is_per_graph(how: str) -> None:
    batch = batch_of([3, 1, 5])
    found = pool_graphs(batch["x"], batch.graph_ptr, how)
    for number, part in enumerate(batch["x"].split([3, 1, 5])):
        value = getattr(part, how)(0)
        torch.testing.assert_close(found[number], value.values if how == "max" else value)


def test_thinned_edges_keep_every_node_reachable_from_itself() -> None:
    edges = batch_of([6, 4]).edges
    none = thinned(edges, torch.zeros(len(edges), dtype=torch.bool))
    assert torch.equal(none.row, torch.arange(10))
    assert torch.equal(none.column, torch.arange(10))
    everything = thinned(edges, torch.ones(len(edges), dtype=torch.bool))
    assert (
        len(everything) == len(edges) + 10
    )  # each self-loop is there twice, as in the paper's code
    loops = everything.row == everything.column
    assert int(loops.sum()) == 20


def test_nodes_of_another_kind_are_refused() -> None:
    batch = batch_of([2, 3])
    batch.check_features(4)
    with pytest.raises(UsageError, match="have 4 features, the network reads 5 features"):
        batch.check_features(5)
    with pytest.raises(UsageError, match="have 4 features, the network reads kinds of atoms"):
        batch.check_features(0)
    atoms = GraphBatch({"x": torch.zeros(3, 2, dtype=torch.int64)}, ids=torch.arange(1))
    atoms.check_features(0)
    with pytest.raises(UsageError, match="have kinds of atoms, the network reads 4 features"):
        atoms.check_features(4)


def test_devices_and_other_batches() -> None:
    batch = batch_of([2, 3])
    assert isinstance(batch.to("cpu"), GraphBatch)
    assert as_graphs(batch) is batch
    with pytest.raises(TypeError, match="expected a GraphBatch, got Batch"):
        as_graphs(Batch({"x": torch.ones(1)}, ids=torch.arange(1)))
