"""All that a step depends on beside the data: written into checkpoints, and restored."""

from typing import Any

from torch.optim import Optimizer

from ..errors import WeightsError
from ..method import Method
from ..weights import read_weights, save_method
from .checkpoint import MODEL, Checkpoint, CheckpointStore, load_optimizer, optimizer_tensors
from .distributed import World
from .ema import Ema
from .row_shards import RowShards


class TrainingState:
    """Weights, moments and averages of a run.

    Args:
        method: the method.
        optimizer: over its parameters.
        ema: their average, or None.
        shards: the parameters that are shared out over processes.
        store: the run's checkpoints.
        world: which process this is; rank 0 writes.
    """

    def __init__(
        self,
        method: Method,
        optimizer: Optimizer,
        ema: Ema | None,
        *,
        shards: RowShards,
        store: CheckpointStore,
        world: World,
    ) -> None:
        self._method, self._optimizer, self._ema = method, optimizer, ema
        self._shards, self._store, self._world = shards, store, world

    def save(self, step: int, facts: dict[str, Any]) -> None:
        """Write a checkpoint on rank 0; where rows are shared out, every process must call it."""
        tensors = optimizer_tensors(self._optimizer)
        if self._ema is not None:
            tensors |= {f"ema/{name}": value for name, value in self._ema.values.items()}
        tensors = self._shards.whole(tensors)
        weights = self._shards.whole(self._method.state_dict())
        if self._world.main:
            self._store.save(
                step,
                lambda path: save_method(self._method, path, state=weights, step=str(step)),
                tensors,
                facts,
            )

    def restore(self) -> Checkpoint | None:
        """Take the latest checkpoint's values; None where there is none.

        Raises:
            WeightsError: it is damaged, or of other settings.
        """
        saved = self._store.load()
        if saved is None:
            return None
        weights = read_weights(saved.folder / MODEL)
        try:
            self._method.load_state_dict(weights.state)
        except RuntimeError as error:
            raise WeightsError(
                f"{weights.path} does not fit the method: {' '.join(str(error).split())}",
                "resume with the settings that wrote it",
            ) from error
        tensors = self._shards.own(saved.tensors)
        load_optimizer(self._optimizer, tensors)
        if self._ema is not None:
            averages = {k.removeprefix("ema/"): v for k, v in tensors.items()}
            self._ema.load(averages)
        return saved
