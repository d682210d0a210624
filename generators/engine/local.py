"""The engine `local`: worker processes of this machine, or this process where one is enough."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ...core import errors
from ...core.errors import MasqueradeError
from ...core.training.signals import stop_requests
from ..generator import Generator
from .folder import present
from .plan import Plan
from .units import n_units
from .worker import Job, Stopped, Worker

logger = logging.getLogger(__name__)

_LOST = 3  # workers that may die in a row without a shard made
_POLL_S = 0.3
_PATIENCE_S = 60.0

Progress = Callable[[int, int], None]  # pictures done, pictures in all


@dataclass(frozen=True)
class Failure:
    """An error as it travels between processes, where an exception loses its type and text."""

    kind: str
    message: str
    remedy: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """The failure that an exception is."""
        if isinstance(error, MasqueradeError):
            return cls(type(error).__name__, error.message, error.remedy)
        reason = " ".join(str(error).split()) or "no message"
        return cls(
            "MasqueradeError",
            f"a worker failed: unexpected {type(error).__name__}: {reason}",
            "run it again with --workers 1 and MASQUERADE_DEBUG=1 to see where, and report it",
        )

    def error(self) -> MasqueradeError:
        """The exception that it was."""
        kind = getattr(errors, self.kind)
        if kind is errors.MissingExtra:  # its constructor makes the sentence
            kind = MasqueradeError
        return kind(self.message, self.remedy)


def run_here(job: Job, plan: Plan, generator: Generator, progress: Progress) -> int:
    """Make all shards in this process; the number of the signal that stopped it, else 0."""
    done = min(len(present(job.folder)) * plan.layout.images_per_shard, plan.images)

    def report(more: int) -> None:
        nonlocal done
        done += more
        progress(min(done, plan.images), plan.images)

    with stop_requests() as request:
        worker = Worker(job, generator)
        try:
            worker.work(lambda: bool(request.signal), report)
        except Stopped:
            pass
        finally:
            worker.close()
    return request.signal


def run_processes(job: Job, plan: Plan, devices: list[str], progress: Progress) -> int:
    """Make all shards by a process per device; the signal that stopped it, else 0.

    A worker that is killed is replaced; its unit is taken by whoever comes first.

    Raises:
        MasqueradeError: a worker failed, or they keep dying.
    """
    jobs = [replace(job, device=device) for device in devices]
    with stop_requests() as request:
        team = _Team(jobs)
        try:
            working = True
            while working and not request.signal:
                wait(team.waitables(), _POLL_S)
                working = team.working()  # asked first: one that ends later is looked at again
                made = len(present(job.folder))
                progress(min(made * plan.layout.images_per_shard, plan.images), plan.images)
                working = team.replace_lost(made) or working
        finally:
            team.end()
    if not request.signal and len(present(job.folder)) < n_units(plan):
        raise MasqueradeError(
            f"the workers ended before all shards of {job.folder} were there",
            "run the same command again: it goes on",
        )
    return request.signal


class _Team:
    """The worker processes, each with the pipe through which it tells a failure."""

    def __init__(self, jobs: list[Job]) -> None:
        self._context = multiprocessing.get_context("spawn")  # fork and CUDA or OpenMP do not mix
        self._lost = self._made = 0
        self._members = [(job, *self._start(job)) for job in jobs]

    def _start(self, job: Job) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_main, args=(job, theirs))
        with _ctrl_c_ignored():
            process.start()
        theirs.close()
        return process, ours

    def working(self) -> bool:
        """Whether any is at work."""
        return any(process.is_alive() for _, process, _ in self._members)

    def waitables(self) -> list[Any]:
        """What changes when a worker ends."""
        return [process.sentinel for _, process, _ in self._members if process.is_alive()]

    def replace_lost(self, made: int) -> bool:
        """Raise what a worker told; start another for one that died without a word.

        Returns:
            Whether any was started.
        """
        started = False
        if made > self._made:
            self._lost, self._made = 0, made
        for place, (job, process, pipe) in enumerate(self._members):
            if process.is_alive() or process.exitcode == 0:
                continue
            failure = _told(pipe)
            if failure is not None:
                raise failure.error()
            self._lost += 1
            logger.warning("a worker ended with code %s; another takes its place", process.exitcode)
            if self._lost > _LOST:
                raise MasqueradeError(
                    f"{self._lost} workers in a row were killed (the last one ended with code "
                    f"{process.exitcode}; -9 often means that the memory was full)",
                    "give fewer --workers; what is finished stays, the same command goes on",
                )
            self._members[place] = (job, *self._start(job))
            started = True
        return started

    def end(self) -> None:
        """Ask all to stop between two batches, and wait for them."""
        for _, process, _ in self._members:
            if process.is_alive():
                process.terminate()
        for _, process, pipe in self._members:
            process.join(_PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """A process that starts inside the block ignores Ctrl-C from its first instruction on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _told(pipe: Connection) -> Failure | None:
    try:
        return pipe.recv() if pipe.poll() else None
    except EOFError:
        return None


def _main(job: Job, pipe: Connection) -> None:
    """The life of a worker process."""
    stopping = threading.Event()
    # Ctrl-C reaches the whole group; the main process alone decides, and sends SIGTERM
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    _end_with_parent()
    try:
        worker = Worker(job)
        worker.work(stopping.is_set)
    except Stopped:
        pass
    except Exception as error:  # the border of the process: the parent raises it again
        pipe.send(Failure.of(error))
        raise SystemExit(1) from error


def _end_with_parent() -> None:
    """Never outlive a killed main process: the pipe to it closes when it dies."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()  # type: ignore[union-attr]
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()
