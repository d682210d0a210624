"""LARS (You, Gitman and Ginsburg, 2017), as MAE's linear probe uses it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lars(Optimizer):
    """Layer-wise adaptive rates: SGD whose matrices take steps in proportion to their norm.

    For parameters with more than one dimension the gradient g becomes
    q·(g + wd·p) with q = trust·|p| / |g + wd·p| (1 where a norm is 0); parameters with one
    dimension or none get neither decay nor scaling. Then v = momentum·v + g, p -= lr·v.

    Args:
        params: parameters or groups; a group's `lr_scale` is left to the caller.
        lr: learning rate.
        weight_decay: wd.
        momentum: momentum.
        trust: the trust coefficient.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2, 2))
        >>> weight.grad = torch.ones(2, 2)
        >>> Lars([weight], lr=1.0, trust=0.5).step()
        >>> weight[0, 0].item()
        0.5
    """

    def __init__(
        self,
        params: Any,  # noqa: ANN401 - torch's own union of parameters, groups and names
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust: float = 1e-3,
    ) -> None:
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "trust": trust,
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - the caller looked
        if parameter.ndim > 1:
            gradient = gradient + group["weight_decay"] * parameter
            size, change = parameter.norm(), gradient.norm()
            # where() keeps the decision on the device: no host sync
            scale = torch.where((size > 0) & (change > 0), group["trust"] * size / change, 1.0)
            gradient = gradient * scale
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"]
        velocity.mul_(group["momentum"]).add_(gradient)
        parameter.add_(velocity, alpha=-group["lr"])
