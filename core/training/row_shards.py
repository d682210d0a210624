"""Parameters whose rows are shared out over processes: what the trainer does otherwise with them.

Class weights of very many identities fit no single device. Each process then holds and trains its
own rows: no gradient of them travels, and a checkpoint collects them, so that it does not depend on
how many processes there were.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import UsageError
from ..method import Method
from .distributed import World
from .settings import OptimSettings, TrainSettings


class RowShard(Protocol):
    """The sub-module that `Method.SHARDED` names; a row is the first dimension of each parameter.

    Its `_load_from_state_dict` takes its own rows out of a whole table.

    Attributes:
        n_rows: rows in all processes together.
        rows: those of this process, as `World.rows` shares them out.
        sparse: whether gradients are sparse tensors that name some rows only.
    """

    n_rows: int
    rows: range

    @property
    def sparse(self) -> bool:
        """Whether gradients name some rows only."""


class RowShards:
    """The shared-out parameters of a method; most methods have none.

    Args:
        method: the method.
        world: the processes.
    """

    def __init__(self, method: Method, world: World) -> None:
        self._world = world
        self._shard: RowShard | None = None
        self.named: list[tuple[str, nn.Parameter]] = []
        if method.SHARDED is not None and getattr(method, method.SHARDED) is not None:
            module = getattr(method, method.SHARDED)
            self._shard = module
            self.named = [(f"{method.SHARDED}.{n}", p) for n, p in module.named_parameters()]
        self._names = {name for name, _ in self.named}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def spread(self) -> bool:
        """Whether several processes must compute each forward pass together."""
        return bool(self.named) and self._world.size > 1

    def check(self, optim: OptimSettings, train: TrainSettings) -> None:
        """Refuse what such parameters cannot be trained with.

        Raises:
            UsageError: sparse gradients with another optimizer than SGD, or several micro-batches,
                of which processes might have unequal numbers, in several processes.
        """
        if self._shard is not None and self._shard.sparse and optim.optimizer != "sgd":
            raise UsageError(
                f"sampled classes need optim.optimizer 'sgd', got '{optim.optimizer}'",
                "add --set optim.optimizer=sgd, or --set method.sample_rate=1",
            )
        if self.spread and train.accumulate > 1:
            raise UsageError(
                f"train.accumulate {train.accumulate} with class weights shared out over "
                f"{self._world.size} processes, expected 1",
                "lower train.batch_size or start more processes",
            )

    def keep_from(self, model: nn.Module) -> None:
        """Let DDP neither compare nor average them."""
        if self.named:
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
                model, sorted(self._names)
            )

    def settle(self) -> Tensor:
        """Scale their gradients as DDP scales all others; the own rows' squared norm (float64)."""
        total = torch.zeros((), dtype=torch.float64, device=self._world.device)
        for _, parameter in self.named:
            if parameter.grad is not None:
                parameter.grad /= self._world.size
                found = parameter.grad
                values = found.coalesce().values() if found.is_sparse else found
                total += values.norm().double().square()
        return total

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors with all processes' rows on rank 0; every process must call it."""
        if self._shard is None:
            return dict(tensors)
        n_rows = self._shard.n_rows
        return {
            name: self._world.collected(value, n_rows) if self._is_row(name, value) else value
            for name, value in tensors.items()
        }

    def own(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors with this process's rows only."""
        if self._shard is None:
            return dict(tensors)
        rows = self._shard.rows
        return {
            name: value[rows.start : rows.stop] if self._is_row(name, value) else value
            for name, value in tensors.items()
        }

    def _is_row(self, name: str, value: Tensor) -> bool:
        """Whether a state tensor (`optimizer/NAME/field`, `ema/NAME`, NAME) has a row per row."""
        return value.ndim > 0 and any(part in self._names for part in name.split("/"))
