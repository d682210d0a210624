"""Batch norm over many rows, exact to float32 on the CPU too.

torch's kernel for rows (M, C) on a CPU adds them up one after the other: over 65,536 rows its
output was off by 9e-5 (torch 2.13). `Tensor.sum` adds in blocks, and this is off by 1e-6.
"""

# M rows, C channels.

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RowNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` of rows (M, C), with the same state.

    Example:
        >>> RowNorm(2)(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).detach().round(decimals=2)
        tensor([[-1.,  0.],
                [ 1.,  0.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """(M, C) → (M, C)."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        if len(x) < 2:
            raise ValueError(f"batch norm needs at least two rows, got {len(x)}")
        y, mean, variance = _Normalize.apply(x, self.weight, self.bias, self.eps)
        self._track(mean, variance * len(x) / (len(x) - 1))
        return y

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None  # noqa: S101 - they are kept
        assert self.running_var is not None  # noqa: S101
        assert self.num_batches_tracked is not None  # noqa: S101
        assert self.momentum is not None  # noqa: S101
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype, x = x.dtype, _wide(x)
        mean = x.sum(0) / len(x)
        centred = x - mean
        variance = centred.square().sum(0) / len(x)
        inverse = (variance + eps).rsqrt()
        normed = centred.mul_(inverse)
        ctx.save_for_backward(normed, weight, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias, normed, weight).to(dtype), mean, variance

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401 - torch's
        gradient: Tensor,
        _mean: Tensor,
        _variance: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        normed, weight, inverse = ctx.saved_tensors
        dtype, gradient = gradient.dtype, _wide(gradient)
        of_bias = gradient.sum(0)
        of_weight = (gradient * normed).sum(0)
        n = len(gradient)
        inner = torch.addcmul(gradient - of_bias / n, normed, of_weight, value=-1 / n)
        return inner.mul_(weight * inverse).to(dtype), of_weight, of_bias, None


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
