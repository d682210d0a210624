"""The engine `ray`: the same units as Ray tasks, on a running cluster or on this machine.

The nodes share the data set's folder and have this package. A task whose process or node dies
is tried again by Ray; the claims and the renames are those of every other worker, so a task
may die at any instant, and other engines may work at the same plan.
"""

import os
import sys
import time
from collections import deque
from contextlib import redirect_stdout
from functools import lru_cache
from typing import Any

from ...core.errors import MasqueradeError
from ...core.extras import require
from ...core.training.signals import stop_requests
from .folder import present
from .local import Failure, Progress
from .plan import Plan
from .units import n_units, unit
from .worker import Job, State, Worker

_TRIES = 5  # of a task whose process or node dies
_POLL_S = 0.5
_AHEAD = 2  # tasks per worker that wait in Ray's queue


def run_ray(job: Job, plan: Plan, workers: int | None, progress: Progress) -> int:
    """Make all shards by Ray tasks; the number of the signal that stopped it, else 0.

    Args:
        job: the folder, which every node must see, and the generator; its device is "cpu", or
            "cuda:0", the only one that Ray shows to a task.
        plan: the folder's plan.
        workers: tasks at work at once; None = as many as the cluster has room for.
        progress: called with pictures done and pictures in all.

    Raises:
        MissingExtra: ray is not installed.
        MasqueradeError: a task failed, or Ray did.
    """
    ray = require("ray")
    # Ray tells of lost workers on stdout, which is for results
    with redirect_stdout(sys.stderr):
        started = not ray.is_initialized()
        if started:
            _start(ray)
        try:
            with stop_requests() as request:
                _Tasks(ray, job, plan, workers).run(lambda: bool(request.signal), progress)
            return request.signal
        finally:
            if started:
                ray.shutdown()


def _start(ray: Any) -> None:  # noqa: ANN401 - an optional module
    """Join the cluster that RAY_ADDRESS names or that runs here, else start one."""
    try:
        ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
    except Exception as error:  # ray raises many kinds
        raise MasqueradeError(
            f"ray does not start: {' '.join(str(error).split())[:300]}",
            "check RAY_ADDRESS and `ray status`, or use --engine local",
        ) from error


class _Tasks:
    """The units in Ray's hands: a few per worker, so that 15 million pictures need no memory."""

    def __init__(self, ray: Any, job: Job, plan: Plan, workers: int | None) -> None:  # noqa: ANN401
        self._ray, self._job, self._plan = ray, job, plan
        gpus = 1 if job.device.startswith("cuda") else 0
        room = ray.cluster_resources().get("GPU" if gpus else "CPU", 1)
        per_task = gpus or plan.layout.threads
        self._window = max(1, workers or int(_AHEAD * room / per_task))
        self._task = ray.remote(_make).options(
            num_cpus=plan.layout.threads, num_gpus=gpus, max_retries=_TRIES
        )

    def run(self, stop: Any, progress: Progress) -> None:  # noqa: ANN401 - a predicate
        """Hand out units until all shards are there or `stop` says so."""
        there = present(self._job.folder)
        waiting = deque(
            n for n in range(n_units(self._plan)) if unit(self._plan, n).shard not in there
        )
        running: dict[Any, int] = {}
        try:
            while (waiting or running) and not stop():
                while waiting and len(running) < self._window:
                    number = waiting.popleft()
                    running[self._task.remote(self._job, number)] = number
                ready, _ = self._ray.wait(list(running), timeout=_POLL_S)
                states = [self._result(task, running.pop(task), waiting) for task in ready]
                if State.BUSY in states and not running:
                    time.sleep(_POLL_S)  # all that is left is in the hands of other processes
                done = len(present(self._job.folder)) * self._plan.layout.images_per_shard
                progress(min(done, self._plan.images), self._plan.images)
        finally:
            for task in running:
                self._ray.cancel(task, force=True)

    def _result(self, task: Any, number: int, waiting: deque[int]) -> State:  # noqa: ANN401
        try:
            result = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            raise MasqueradeError(
                f"ray gave up unit {number} after {_TRIES} tries: "
                f"{' '.join(str(error).split())[:300]}",
                "what is finished stays; mend the cluster and run the same command again",
            ) from error
        if isinstance(result, Failure):
            raise result.error()
        state = State(result)
        if state is State.BUSY:
            waiting.append(number)
        return state


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    """The worker of this Ray process: the generator is opened once, not per task."""
    return Worker(job)


def _make(job: Job, number: int) -> str | Failure:
    """The task: make one unit."""
    try:
        return _worker(job).make(number, lambda: False).value
    except Exception as error:  # the border of the process: the driver raises it again
        if os.environ.get("MASQUERADE_DEBUG", "") not in ("", "0"):
            raise
        return Failure.of(error)
