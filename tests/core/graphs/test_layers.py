"""Graph layers against torch-geometric's, and against themselves by other ways."""

import pytest
import torch
from torch import nn

from masquerade.core.extras import installed
from masquerade.core.graphs.csr import Csr
from masquerade.core.graphs.features import SparseRows, as_dense, dropped, projected, replaced_rows
from masquerade.core.graphs.gat import GATLayer
from masquerade.core.graphs.gcn import GCNLayer
from masquerade.core.graphs.gin import GINLayer
from masquerade.core.graphs.molecule import BOND_KINDS, BondLayer, MoleculeTrunk
from masquerade.core.graphs.trunk import GraphTrunk, LayerSettings, NodeDecoder, decoder_layer

N = 12


def edges_of(n: int = N, seed: int = 0) -> Csr:
    """Undirected random edges and a self-loop per node."""
    pairs = torch.randint(n, (2, 2 * n), generator=torch.Generator().manual_seed(seed))
    every = torch.arange(n).expand(2, -1)
    both = torch.cat([pairs, pairs.flip(0), every], dim=1)
    return Csr.from_pairs(*torch.unique(both, dim=1), (n, n))


def features(d: int, n: int = N, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def bag_of_words(d: int = 30, n: int = N) -> SparseRows:
    """Rows with three words each."""
    generator = torch.Generator().manual_seed(3)
    column = torch.cat([torch.randperm(d, generator=generator)[:3] for _ in range(n)])
    row = torch.arange(n).repeat_interleave(3)
    pattern = Csr.from_pairs(row, column, (n, d))
    return SparseRows(pattern, torch.rand(3 * n, generator=generator))


def close(ours: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not installed("torch_geometric"), reason="torch-geometric is not installed")
@pytest.mark.parametrize(("in_dim", "head_dim", "heads"), [(7, 5, 3), (4, 20, 2), (4, 20, 1)])
def test_attention_equals_torch_geometric(in_dim: int, head_dim: int, heads: int) -> None:
    from torch_geometric.nn import GATConv

    torch.manual_seed(0)
    ours = GATLayer(in_dim, head_dim, heads)
    other = GATConv(in_dim, head_dim, heads, add_self_loops=False)
    with torch.no_grad():
        other.lin.weight.copy_(ours.project.weight)
        other.att_src.copy_(ours.attend_source)
        other.att_dst.copy_(ours.attend_target)
        other.bias.copy_(ours.bias.normal_())
    edges, x = edges_of(), features(in_dim).requires_grad_()
    found = ours(x, edges)
    wanted = other(x, torch.stack([edges.column, edges.row]))
    close(found, wanted)
    weight = torch.randn_like(found)
    mine = torch.autograd.grad((found * weight).sum(), [x, *ours.parameters()])
    theirs = torch.autograd.grad(
        (wanted * weight).sum(),
        [x, other.att_src, other.att_dst, other.bias, other.lin.weight],
    )
    names = ["x", *(name for name, _ in ours.named_parameters())]
    by_name = dict(zip(names, mine, strict=True))
    for name, gradient in zip(
        ("x", "attend_source", "attend_target", "bias", "project.weight"), theirs, strict=True
    ):
        close(by_name[name], gradient)


@pytest.mark.skipif(not installed("torch_geometric"), reason="torch-geometric is not installed")
def test_isomorphism_layer_equals_torch_geometric() -> None:
    from torch_geometric.nn import GINConv

    torch.manual_seed(0)
    ours = GINLayer(6, 8, 4, drop=0.0, inner_norm=None, inner_activation=nn.ReLU())
    other = GINConv(nn.Sequential(ours.hidden, nn.ReLU(), ours.out))
    edges, x = edges_of(), features(6)
    close(ours(x, edges), other(x, torch.stack([edges.column, edges.row])))


@pytest.mark.parametrize("in_dim", [4, 20])
def test_convolution_is_the_formula(in_dim: int) -> None:
    torch.manual_seed(0)
    layer, edges, x = GCNLayer(in_dim, 8, drop=0.0, shortcut=True), edges_of(), features(in_dim)
    table = torch.zeros(N, N).index_put((edges.row, edges.column), torch.ones(len(edges)))
    into, out_of = table.sum(1), table.sum(0)
    wanted = (table @ (x / out_of.sqrt()[:, None])) @ layer.linear.weight.T + layer.linear.bias
    close(layer(x, edges), wanted / into.sqrt()[:, None] + layer.shortcut(x))


def layers() -> list[nn.Module]:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(8)
    return [
        GATLayer(6, 4, 2, shortcut=True, norm=nn.LayerNorm(8), activation=nn.PReLU()),
        GATLayer(6, 20, 1),
        GCNLayer(6, 8, drop=0.0, norm=norm, activation=nn.ReLU()),
        GINLayer(6, 8, 8, drop=0.0, inner_norm=norm, inner_activation=nn.PReLU()),
        GINLayer(6, 8, 8, drop=0.0, inner_norm=None, inner_activation=nn.ReLU(), norm=norm),
        NodeDecoder("mlp", 6, 9).eval(),
        NodeDecoder("linear", 6, 9),
    ]


@pytest.mark.parametrize("number", range(7))
def test_asking_for_some_rows_gives_the_same_as_all_of_them(number: int) -> None:
    layer, edges, x = layers()[number], edges_of(), features(6)
    rows = torch.tensor([7, 0, 3])
    close(layer(x, edges, rows), layer(x, edges)[rows])


def test_bonds_are_summed_as_if_each_had_an_embedding_of_its_own() -> None:
    torch.manual_seed(0)
    layer, edges, x = BondLayer(5, 3), edges_of(), features(5)
    kinds = torch.randint(6, (len(edges),))
    ways = torch.randint(3, (len(edges),))
    bonds = torch.zeros(N, BOND_KINDS)
    for row, kind, way in zip(edges.row.tolist(), kinds.tolist(), ways.tolist(), strict=True):
        bonds[row, kind] += 1
        bonds[row, 6 + way] += 1
    messages = x[edges.column] + layer.bond_type(kinds) + layer.bond_direction(ways)
    wanted = layer.mlp(torch.zeros(N, 5).index_add(0, edges.row, messages))
    close(layer(x, edges, bonds), wanted)
    close(layer(x, edges, bonds, torch.tensor([2])), wanted[2:3])


def test_a_sparse_table_is_the_dense_one() -> None:
    table = bag_of_words()
    dense = as_dense(table)
    ids, other = torch.tensor([4, 1]), features(30, 2)
    changed = replaced_rows(table, ids, other)
    wanted = replaced_rows(dense, ids, other)
    close(as_dense(changed), wanted)
    weights = [features(30, 6), features(30, 3)]
    for ours, theirs in zip(projected(changed, weights), projected(wanted, weights), strict=True):
        close(ours, theirs)
    assert dropped(table, 0.5, training=False).values is not None
    torch.manual_seed(0)
    kept = as_dense(dropped(changed, 0.5, training=True))
    both = (kept == 0) | torch.isclose(kept, 2 * wanted)
    assert bool(both.all())
    assert 0.3 < float((kept != 0).sum() / (wanted != 0).sum()) < 0.7


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("width", [8, 30])
def test_attention_reads_sparse_features_like_dense_ones(shortcut: bool, width: int) -> None:
    torch.manual_seed(0)
    layer, edges = GATLayer(30, width // 2, 2, shortcut=shortcut), edges_of()
    table = replaced_rows(bag_of_words(), torch.tensor([5]), features(30, 1).requires_grad_())
    dense = as_dense(table)
    close(layer(table, edges), layer(dense, edges))
    ours = torch.autograd.grad(layer(table, edges).square().sum(), [layer.project.weight])
    theirs = torch.autograd.grad(layer(dense, edges).square().sum(), [layer.project.weight])
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["gat", "gin", "gcn"])
def test_a_trunk_of_each_family_learns(family: str) -> None:
    settings = LayerSettings(dim=8, heads=2, feat_drop=0.0, attn_drop=0.0, norm="batch")
    torch.manual_seed(0)
    trunk, head = GraphTrunk(family, 6, 2, settings), decoder_layer(family, 6, settings)
    edges, x = edges_of(), features(6)
    parameters = [*trunk.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    losses = []
    for _ in range(60):
        loss = (head(trunk.encode(x, edges), edges) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in parameters)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_molecule_trunk_reads_types_chirality_and_bonds() -> None:
    torch.manual_seed(0)
    trunk, edges = MoleculeTrunk(8, 2, 0.0).eval(), edges_of(4)
    atoms, bonds = torch.tensor([[5, 0], [6, 0], [7, 1], [5, 0]]), torch.ones(4, BOND_KINDS)
    codes = trunk.encode(atoms, edges, bonds)
    for change in (
        (atoms.clone().fill_(1), bonds),
        (atoms, bonds.clone().index_fill_(1, torch.tensor([2]), 3.0)),
    ):
        assert not torch.allclose(trunk.encode(change[0], edges, change[1]), codes)
