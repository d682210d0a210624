"""Batch norm of rows: against float64, with its running statistics and gradients."""

import pytest
import torch

from masquerade.core.points.row_norm import RowNorm


@pytest.mark.parametrize("rows", [2, 7, 20_000])
def test_row_norm_equals_batch_norm_in_float64(rows):
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 5, generator=generator) * 0.3 + 2
    ours, theirs = RowNorm(5), torch.nn.BatchNorm1d(5).double()
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.linspace(0.5, 2, 5))
            norm.bias.copy_(torch.linspace(-1, 1, 5))
    slope = torch.randn(rows, 5, generator=generator)
    one, other = x.clone().requires_grad_(), x.double().requires_grad_()
    first, second = ours(one), theirs(other)
    first.backward(slope)
    second.backward(slope.double())
    torch.testing.assert_close(first.double(), second, rtol=0, atol=5e-6)
    torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-5)
    for name in ("weight", "bias"):
        found, wanted = (getattr(norm, name).grad for norm in (ours, theirs))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)
    for (name, found), wanted in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(
        ours.eval()(x).double(), theirs.eval()(x.double()), atol=5e-6, rtol=0
    )


def test_one_row_has_no_statistics():
    with pytest.raises(ValueError, match="two rows"):
        RowNorm(3)(torch.zeros(1, 3))
