"""Which process of a `torchrun` this is, its device, and sums over all processes."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True)
class World:
    """The processes of one run.

    Attributes:
        rank: this process, 0 … size − 1; rank 0 alone writes.
        size: how many there are.
        device: where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes (the tensor itself is changed)."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes as a new tensor, with a gradient.

        The gradient is that of the sum of all processes' losses.
        """
        return _Summed.apply(values) if self.size > 1 else values

    def largest(self, values: Tensor) -> Tensor:
        """The largest over all processes, element by element, without gradient."""
        found = values.detach()
        if self.size > 1:
            found = found.clone()
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return found

    def counts(self, own: int) -> list[int]:
        """The numbers that all processes give, by rank."""
        if self.size == 1:
            return [own]
        numbers = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        numbers[self.rank] = own
        return self.sum(numbers).tolist()

    def rows(self, total: int, rank: int | None = None) -> range:
        """Which rows of a table of `total` a process (None = this one) holds: equal shares."""
        rank = self.rank if rank is None else rank
        return range(total * rank // self.size, total * (rank + 1) // self.size)

    def collected(self, own: Tensor, total: int) -> Tensor:
        """All rows of a table that is shared out by `rows`, on rank 0's CPU.

        Args:
            own: this process's rows, (r, …).
            total: rows of the whole table.

        Returns:
            (total, …) on rank 0; this process's own rows elsewhere.
        """
        if self.size == 1:
            return own
        if not self.main:
            dist.send(own.contiguous(), 0)
            return own
        whole = torch.empty(total, *own.shape[1:], dtype=own.dtype)
        for rank in range(self.size):
            place = self.rows(total, rank)
            part = own if rank == 0 else own.new_empty(len(place), *own.shape[1:])
            if rank:
                dist.recv(part, rank)
            whole[place.start : place.stop] = part.cpu()
        return whole

    def gather(self, ids: list[int]) -> list[int]:
        """The ids of all processes, on every process."""
        if self.size == 1:
            return ids
        parts: list[list[int]] = [[] for _ in range(self.size)]
        dist.all_gather_object(parts, ids)
        return [i for part in parts for i in part]

    def wait(self) -> None:
        """Return when every process is here."""
        if self.size > 1:
            dist.barrier()


class _Summed(torch.autograd.Function):
    """All-reduce in both directions."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        total = values.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ANN401
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that a name stands for; "auto" = CUDA, else MPS, else CPU.

    Raises:
        UsageError: the name is no device, or the machine has none of that kind.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{name}' cannot be used here: {str(error).splitlines()[0]}",
            "choose --device auto, cpu, cuda or cuda:N",
        ) from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", local_rank)
    return device


@contextmanager
def joined(device: str = "auto") -> Iterator[World]:
    """This process's `World`, from the environment that torchrun sets; alone without one.

    Raises:
        UsageError: the device cannot be used.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    yield World(rank=dist.get_rank(), size=size, device=chosen)
    # reached only without an error: with one the other processes still wait inside a collective,
    # and torchrun ends them. A DDP wrapper left to the interpreter's end would outlive its group
    # and abort the process ("terminate called"), so it is collected first.
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
