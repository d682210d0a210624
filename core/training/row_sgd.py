"""SGD whose sparse gradients move their own rows only, as partial sampling of classes needs."""

# R rows, K of them with a gradient, D width.

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class RowSgd(torch.optim.SGD):
    """SGD with momentum and weight decay; rows that a sparse gradient does not name stay put.

    For dense gradients it is torch's SGD. For a sparse one, the rows that it names get
    v = momentum·v + (g + wd·p), p -= lr·v, and all others keep both weight and velocity: a class
    that was not sampled neither decays nor drifts (An et al., 2022, Partial FC).

    Example:
        >>> table = torch.nn.Embedding(3, 1, sparse=True)
        >>> _ = torch.nn.init.ones_(table.weight)
        >>> table(torch.tensor([1])).sum().backward()
        >>> RowSgd(table.parameters(), lr=0.5).step()
        >>> table.weight.flatten().tolist()
        [1.0, 0.5, 1.0]
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._update_rows(parameter, group)
                    parameter.grad = None  # torch's own step passes it by
        return super().step(closure)

    def _update_rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None  # noqa: S101 - the caller looked
        gradient = parameter.grad.coalesce()
        rows = gradient.indices()[0]
        state = self.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"]
        change = gradient.values() + group["weight_decay"] * parameter[rows]
        moved = group["momentum"] * velocity[rows] + change
        velocity[rows] = moved
        parameter[rows] -= group["lr"] * moved
