"""Units of work: one shard each, a fixed range of the rows.

Row r is picture r mod M of identity r div M. Unit u holds the rows u R … (u + 1) R - 1, R being
the plan's pictures per shard; inside it, rows stand in batches from its first row on. Nothing of
this depends on who works, so neither does any byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .plan import Plan

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Unit:
    """The rows first … last - 1, which make one shard.

    Attributes:
        number: from 0.
        first: row.
        last: row after the last.
    """

    number: int
    first: int
    last: int

    @property
    def shard(self) -> str:
        """The shard's file name."""
        return f"{self.number:06d}.tar"

    @property
    def sidecar(self) -> str:
        """The file name of what is known of the shard."""
        return f"{self.number:06d}.json"

    def __len__(self) -> int:
        return self.last - self.first


def n_units(plan: Plan) -> int:
    """How many shards the plan has."""
    return -(-plan.images // plan.layout.images_per_shard)


def unit(plan: Plan, number: int) -> Unit:
    """The unit of a number."""
    size = plan.layout.images_per_shard
    return Unit(number, number * size, min((number + 1) * size, plan.images))


def units(plan: Plan) -> Iterator[Unit]:
    """All units in order, one at a time."""
    return (unit(plan, number) for number in range(n_units(plan)))


def batches(plan: Plan, work: Unit) -> Iterator[Rows]:
    """The unit's rows as (identities, numbers), (B,) int64 each."""
    for first in range(work.first, work.last, plan.layout.batch_size):
        rows = np.arange(first, min(first + plan.layout.batch_size, work.last), dtype=np.int64)
        yield rows // plan.images_per_identity, rows % plan.images_per_identity


def stem(identity: int, number: int) -> str:
    """The name of a picture, without its suffix: the key of the sample.

    Example:
        >>> stem(12, 3)
        '0000012_0003'
    """
    return f"{identity:07d}_{number:04d}"


def member(plan: Plan, row: int) -> str:
    """The tar member of a row's picture."""
    identity, number = divmod(row, plan.images_per_identity)
    return f"{stem(identity, number)}.{plan.picture.format}"
