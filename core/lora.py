"""Low-rank adaptation of linear layers (Hu et al., 2022, LoRA, §4.1)."""

# R rank, I inputs, O outputs.

from collections.abc import Iterable
from math import sqrt

from torch import Tensor, nn
from torch.nn import functional as F


class LoRALinear(nn.Module):
    """A linear layer with a low-rank change: y = W x + b + (α / R) B A x.

    `A` starts Kaiming-uniform and `B` at zero, so that the layer starts as its base.

    Args:
        base: the layer adapted, with its weights.
        rank: R.
        alpha: α.

    Example:
        >>> import torch
        >>> layer = LoRALinear(nn.Linear(4, 2), rank=1)
        >>> x = torch.ones(1, 4)
        >>> torch.equal(layer(x), layer.base(x))
        True
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float = 32.0) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"the rank of a low-rank change is at least 1, got {rank}")
        self.base = base
        self.scale = alpha / rank
        self.A = nn.Parameter(base.weight.new_empty(rank, base.in_features))  # (R, I)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))  # (O, R)
        nn.init.kaiming_uniform_(self.A, a=sqrt(5))

    @property
    def weight(self) -> Tensor:
        """(O, I) the weight of the plain layer that computes the same."""
        return self.base.weight + self.scale * (self.B @ self.A)

    @property
    def bias(self) -> Tensor | None:
        """(O,) the base layer's bias."""
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) → (…, O)."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A), self.B)


def adapt(module: nn.Module, names: Iterable[str], rank: int, alpha: float = 32.0) -> None:
    """Put a `LoRALinear` in the place of each linear layer of these names, at any depth.

    Args:
        module: what is changed.
        names: last parts of the layers' names, such as "qkv".
        rank: R.
        alpha: α.

    Raises:
        ValueError: a name fits no linear layer.
    """
    for name in names:
        owners = [m for m in module.modules() if isinstance(getattr(m, name, None), nn.Linear)]
        if not owners:
            raise ValueError(f"there is no linear layer '{name}' to adapt")
        for owner in owners:
            setattr(owner, name, LoRALinear(getattr(owner, name), rank, alpha))


def train_adapters_only(module: nn.Module) -> list[nn.Parameter]:
    """Freeze all but the low-rank matrices; these are returned.

    Raises:
        ValueError: the module has none.
    """
    module.requires_grad_(False)
    layers = [m for m in module.modules() if isinstance(m, LoRALinear)]
    if not layers:
        raise ValueError("the module has no low-rank matrices to train")
    found = [p for layer in layers for p in (layer.A, layer.B)]
    for parameter in found:
        parameter.requires_grad_(True)
    return found
