"""An exponential moving average of the parameters, in float32."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Ema:
    """The average a ← decay·a + (1 − decay)·p of named parameters.

    Args:
        named: names and parameters; the average starts at their values.
        decay: the share that stays.

    Example:
        >>> layer = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.ones_(layer.weight)
        >>> ema = Ema(layer.named_parameters(), decay=0.75)
        >>> _ = torch.nn.init.zeros_(layer.weight)
        >>> ema.update()
        >>> ema.values["weight"].item()
        0.75
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        parameters = dict(named)
        self.decay = decay
        self.values = {name: p.detach().float().clone() for name, p in parameters.items()}
        self._live = [p.detach() for p in parameters.values()]  # shares storage with them

    def update(self) -> None:
        """Take the parameters' present values in (one fused call, no host sync)."""
        live = [p.float() for p in self._live]
        torch._foreach_lerp_(list(self.values.values()), live, 1.0 - self.decay)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Replace the average by stored values of the same names."""
        for name, mine in self.values.items():
            mine.copy_(values[name])
