"""What works through units: render and encode at the same time, rename, next unit.

A worker takes any unit that nobody holds. Several workers, in any number of processes on any
number of machines, share a folder through `Claims` alone.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ...core.atomic_io import write_file
from ...core.errors import DataError, WeightsError
from ..generator import Generator, Rendered
from ..registry import generator as generator_class
from .folder import SHARDS, Claims, present, sweep
from .plan import Plan, read_plan
from .shards import ShardWriter, Sidecar, write_sidecar
from .units import Rows, Unit, batches, unit, units

_AHEAD = 2  # rendered batches that may wait for the encoder
_POLL_S = 0.2

Stop = Callable[[], bool]
Report = Callable[[int], None]  # how many pictures more are done


class State(Enum):
    """What came of trying a unit."""

    MADE = "made"
    THERE = "there"
    BUSY = "busy"


class Stopped(Exception):
    """The worker was asked to stop; its unit is given back."""


@dataclass(frozen=True)
class Job:
    """What a worker process is told; the rest stands in the folder.

    Attributes:
        folder: of the data set, with its plan.
        generator: slug or module:Class.
        weights: of the generator; None = the shipped ones.
        device: where it renders.
    """

    folder: Path
    generator: str
    weights: Path | None = None
    device: str = "cpu"

    def generator_class(self) -> type[Generator]:
        """The generator's class."""
        return generator_class(self.generator)

    def open(self) -> Generator:
        """The generator on its device."""
        return self.generator_class().open(self.weights, self.device)


@contextmanager
def fixed_computation(threads: int) -> Iterator[None]:
    """Torch's thread count as the plan says, and no choice of kernels by timing."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    cudnn = torch.backends.cudnn
    before = (torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark)
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


class Worker:
    """Makes the shards of a folder's plan. Only one in a process (see `folder`).

    Args:
        job: the folder and the generator.
        generator: an open one of the job, where there is one.

    Raises:
        DataError: the folder has no plan.
        WeightsError: the weights are not those of the plan.
    """

    def __init__(self, job: Job, generator: Generator | None = None) -> None:
        self.folder = job.folder
        self.plan: Plan = read_plan(job.folder)
        self._hash = self.plan.hash()
        self._generator = generator or job.open()
        if self._generator.hash != self.plan.generator_hash:
            raise WeightsError(
                f"the weights of '{job.generator}' have the hash {self._generator.hash}, the plan "
                f"of {job.folder} was made with {self.plan.generator_hash}",
                "give the same --weights again, or choose another folder with --out",
            )
        self._view = self.plan.for_rendering(job.folder)
        self._claims = Claims(job.folder)

    def close(self) -> None:
        """Give all claims back."""
        self._claims.close()

    def work(self, stop: Stop, report: Report = lambda n: None) -> None:
        """Make shards until every unit is there, whoever made it.

        A unit that another process holds is waited for: should that process die, it is taken.

        Raises:
            Stopped: `stop` said so.
        """
        there = present(self.folder)
        pending = [u.number for u in units(self.plan) if u.shard not in there]
        while pending:
            states = {number: self.make(number, stop, report) for number in pending}
            pending = [number for number, state in states.items() if state is State.BUSY]
            if State.MADE not in states.values() and pending:
                time.sleep(_POLL_S)

    def make(self, number: int, stop: Stop, report: Report = lambda n: None) -> State:
        """Make one shard unless it is there or somebody is at it.

        Raises:
            Stopped: `stop` said so; nothing of the shard is left.
            MasqueradeError: the system refuses to write; nothing of the shard is left.
        """
        if stop():
            raise Stopped
        work = unit(self.plan, number)
        path = self.folder / SHARDS / work.shard
        if path.exists():
            return State.THERE
        if not self._claims.take(number):
            return State.BUSY
        try:
            if path.exists():  # made between the look and the claim
                return State.THERE
            for name in (work.shard, work.sidecar):
                sweep(path.parent, f".{name}.*.tmp")
            with fixed_computation(self.plan.layout.threads):
                write_file(path, lambda temporary: self._fill(temporary, work, stop, report))
            return State.MADE
        finally:
            self._claims.free(number)

    def _fill(self, temporary: Path, work: Unit, stop: Stop, report: Report) -> None:
        """Render and encode a unit into a temporary file, then give the sidecar its name."""
        with temporary.open("wb") as handle:
            sidecar = self._write(ShardWriter(handle, self.plan, self._hash), work, stop, report)
        write_sidecar(self.folder, work, sidecar)

    def _write(self, shard: ShardWriter, work: Unit, stop: Stop, report: Report) -> Sidecar:
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(1) as encoder:
            for rows in batches(self.plan, work):
                if stop():
                    raise Stopped
                rendered = self._render(rows)
                if len(waiting) == _AHEAD:
                    waiting.popleft().result()
                waiting.append(encoder.submit(shard.add, rows, rendered))
                report(len(rows[0]))
            for future in waiting:
                future.result()
        return shard.close(work)

    def _render(self, rows: Rows) -> Rendered:
        try:
            return self._generator.render(self._view, *rows)
        except OSError as error:  # not to be taken for a refusal to write the shard
            raise DataError(
                f"the generator cannot read {error.filename}: {error.strerror or error}",
                "restore it and run the same command again",
            ) from error
