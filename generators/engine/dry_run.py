"""What a plan would cost: every unit is counted, a few pictures are rendered, nothing is kept."""

import tarfile
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from ...core.config import build
from ..generator import Generator
from .folder import PREPARED
from .plan import Plan
from .shards import Entry, ShardWriter
from .units import unit, units
from .worker import fixed_computation

_END = 2 * tarfile.BLOCKSIZE  # the mark after the last member


@dataclass(frozen=True)
class Estimate:
    """What a plan would cost.

    Attributes:
        identities: N.
        images: N x M.
        shards: units of work.
        n_bytes: of all shards.
        images_per_s: rendered and encoded by one worker, one after the other.
        render_s: of all pictures, by `workers` workers.
        prepare_s: of what comes before the first picture; None where the generator cannot say.
        workers: that share the work.
        sampled: pictures that were rendered to know it.
    """

    identities: int
    images: int
    shards: int
    n_bytes: int
    images_per_s: float
    render_s: float
    prepare_s: float | None
    workers: int
    sampled: int


def dry_run(plan: Plan, generator: Generator, workers: int) -> Estimate:
    """The cost of a plan, in constant memory; what the sample needs lies in a temporary folder.

    Raises:
        whatever the generator refuses.
    """
    sampled, row_bytes, seconds = _sample(plan, generator)
    shards = images = n_bytes = 0
    for each in units(plan):
        shards += 1
        images += len(each)
        size = round(len(each) * row_bytes) + _END
        n_bytes += -(-size // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
    settings = build(type(generator).Settings, plan.settings)
    busy = max(1, min(workers, shards))
    return Estimate(
        plan.identities, images, shards, n_bytes, sampled / seconds, images * seconds / sampled
        / busy, generator.preparation_s(plan.identities, settings), busy, sampled,
    )  # fmt: skip


def _sample(plan: Plan, generator: Generator) -> tuple[int, float, float]:
    """(pictures, bytes of a row in its shard, seconds) of one batch, after one that warms up."""
    n_rows = min(plan.images, plan.layout.batch_size)
    small = plan.model_copy(update={"identities": -(-n_rows // plan.images_per_identity)})
    settings = build(type(generator).Settings, plan.settings)
    with tempfile.TemporaryDirectory() as name:
        prepared = Path(name) / PREPARED
        prepared.mkdir()
        generator.prepare(small.identities, settings, plan.seed, prepared, lambda done, total: None)
        view = plan.for_rendering(Path(name))  # its rows are among the identities prepared
        rows = np.arange(n_rows, dtype=np.int64)
        chosen = rows // plan.images_per_identity, rows % plan.images_per_identity
        with fixed_computation(plan.layout.threads):
            generator.render(view, *chosen)
            start = time.perf_counter()
            shard = ShardWriter(BytesIO(), plan, plan.hash())
            shard.add(chosen, generator.render(view, *chosen))
            seconds = time.perf_counter() - start
    return n_rows, _stride(shard.close(unit(plan, 0)).entries), max(seconds, 1e-9)


def _stride(entries: list[Entry]) -> float:
    """The mean distance of two pictures in a shard: headers, facts and padding included."""
    if len(entries) == 1:
        return entries[0].offset + entries[0].n_bytes + 2 * tarfile.BLOCKSIZE
    return (entries[-1].offset - entries[0].offset) / (len(entries) - 1)
