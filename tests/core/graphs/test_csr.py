"""Sparse products against dense ones: values, gradients, empty rows, equal pairs, order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.graphs.attention import edge_softmax
from masquerade.core.graphs.csr import Csr, product


@st.composite
def patterns(draw):
    """(pattern, rows and columns of its entries), some rows empty, some pairs twice."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    pairs = draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)),
                          min_size=1, max_size=20))  # fmt: skip
    row, column = torch.tensor(pairs).T
    return Csr.from_pairs(row, column, (rows, columns))


def dense_of(pattern: Csr, values: torch.Tensor) -> torch.Tensor:
    table = torch.zeros(pattern.shape, dtype=values.dtype)
    return table.index_put((pattern.row, pattern.column), values, accumulate=True)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@settings(deadline=None, max_examples=60)
@given(patterns())
def test_a_pattern_is_sorted_both_ways(pattern: Csr) -> None:
    rows, columns = pattern.shape
    assert torch.equal(pattern.row_counts(), torch.bincount(pattern.row, minlength=rows))
    assert torch.equal(pattern.column_counts(), torch.bincount(pattern.column, minlength=columns))
    assert bool((pattern.row.diff() >= 0).all())
    assert bool((pattern.column[pattern.order].diff() >= 0).all())
    assert torch.equal(pattern.row[pattern.order], pattern.row_by_column)
    assert torch.equal(pattern.order.sort().values, torch.arange(len(pattern)))
    renamed = Csr.named(pattern.tensors("edges/"), "edges/")
    assert all(torch.equal(getattr(renamed, f), getattr(pattern, f)) for f in ("ptr", "column"))


@settings(deadline=None, max_examples=60)
@given(patterns(), st.integers(1, 3))
def test_a_product_is_the_dense_one(pattern: Csr, width: int) -> None:
    values, table = random(len(pattern)), random(pattern.shape[1], width)
    torch.testing.assert_close(product(pattern, table, values), dense_of(pattern, values) @ table)
    ones = torch.ones_like(values)
    torch.testing.assert_close(product(pattern, table), dense_of(pattern, ones) @ table)


@settings(deadline=None, max_examples=20)
@given(patterns())
def test_gradients_are_those_of_finite_differences(pattern: Csr) -> None:
    values = random(len(pattern)).requires_grad_()
    table = random(pattern.shape[1], 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda t, v: product(pattern, t, v), (table, values))
    assert torch.autograd.gradcheck(lambda t: product(pattern, t), (table,))
    # away from the kink of the leaky ReLU, where there is no derivative
    source = (3 * random(pattern.shape[1]).sign() + random(pattern.shape[1])).requires_grad_()
    target = random(pattern.shape[0]).requires_grad_()
    raw = source[pattern.column] + target[pattern.row]
    if bool((raw.abs() > 1e-3).all()):
        check = torch.autograd.gradcheck(lambda s, t: edge_softmax(s, t, pattern), (source, target))
        assert check


def test_half_precision_inputs_give_float32() -> None:
    pattern = Csr.from_pairs(torch.tensor([0, 0]), torch.tensor([0, 1]), (1, 2))
    found = product(pattern, torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2))
    assert found.dtype == torch.float32


def test_equal_input_gives_equal_bits_in_any_order_of_the_edges() -> None:
    n, width = 50, 16
    pairs = torch.randint(n, (2, 400), generator=torch.Generator().manual_seed(1))
    table = random(n, width).float()
    turned = pairs[:, torch.randperm(400)]
    first, second = (product(Csr.from_pairs(*p, (n, n)), table) for p in (pairs, turned))
    assert torch.equal(first, second)


@pytest.mark.parametrize("size", [1.0, 80.0, 1e4])
def test_attention_adds_up_to_one_whatever_the_scores(size: float) -> None:
    n = 20
    every = torch.arange(n)
    pairs = torch.randint(n, (2, 60), generator=torch.Generator().manual_seed(2))
    edges = Csr.from_pairs(*torch.cat([pairs, every.expand(2, -1)], dim=1), (n, n))
    weights = edge_softmax(size * random(n).float(), size * random(n).float(), edges)
    assert bool(torch.isfinite(weights).all())
    torch.testing.assert_close(edges.row_sums(weights), torch.ones(n))
