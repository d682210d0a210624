"""Batches in an order that depends on (seed, step) only: exact resume, any worker, any rank."""

# n samples, B global batch size, S = n // B steps per epoch, R ranks.

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from ..draws import Draws
from ..errors import DataError, UsageError
from ..modality import Modality, Source
from ..tokens import Batch

logger = logging.getLogger(__name__)

_MIN_DAMAGED = 8  # so many damaged files are borne by any source …
_DAMAGED_SHARE = 0.01  # … and this share by a large one


@dataclass(frozen=True)
class _Job:
    """One batch to prepare: rows of the source, and the epoch of their draws (None = plain)."""

    indices: tuple[int, ...]
    epoch: int | None


@dataclass(frozen=True)
class _Damage:
    key: str
    message: str
    remedy: str


class _Preparer(Dataset[tuple[Batch | None, list[_Damage]]]):
    """Turns jobs into batches; it is what a worker process gets, so it must be picklable."""

    def __init__(self, source: Source, modality: Modality, seed: int) -> None:
        self.source, self.modality, self.seed = source, modality, seed

    def __getitem__(self, job: _Job) -> tuple[Batch | None, list[_Damage]]:
        samples, prepared, damaged = [], [], []
        for index in job.indices:
            try:
                sample = self.source.read(index)
                prepared.append(self.modality.prepare(sample, self._draws(sample.id, job.epoch)))
                samples.append(sample)
            except DataError as error:
                # returned, not raised: an exception loses its type and text between processes
                damaged.append(_Damage(self.source.keys[index], error.message, error.remedy))
        return (self.modality.collate(samples, prepared) if samples else None), damaged

    def _draws(self, sample_id: int, epoch: int | None) -> Draws | None:
        if epoch is None:
            return None
        return Draws(self.seed, torch.tensor([sample_id]), epoch, stream="augment")


class Loader:
    """Batches of a source.

    Step s takes slice s mod S of the permutation of epoch s // S (an incomplete last slice of an
    epoch is dropped, or kept where asked for); rank r of R takes rows r, r + R, … of that global
    batch. So a step's batch is a pure function of (seed, step), whatever came before it.

    A damaged file is named once, counted and left out of its batch, never replaced.

    Attributes:
        damaged: (key, reason) of each damaged file met so far.
        wait_s: seconds spent waiting for batches so far.
    """

    def __init__(
        self,
        source: Source,
        modality: Modality,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        train: bool = True,
        strict: bool = False,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        start_method: str | None = None,
        last_batch: Literal["drop", "keep"] = "drop",
    ) -> None:
        """Check the request; nothing is read yet.

        Args:
            source: the samples.
            modality: prepares and collates them.
            batch_size: B, of all ranks together.
            seed: of the order and the augmentation.
            workers: processes that prepare batches; 0 = this one.
            train: augment (`batches` only).
            strict: stop at the first damaged file.
            rank: r.
            world: R.
            device: where the batches go; page-locked on their way to CUDA.
            start_method: "fork", "spawn" or "forkserver"; None = the platform's.
            last_batch: what becomes of an epoch's incomplete last batch.

        Raises:
            UsageError: B is below 1, is no multiple of R, there are no workers, or the last batch
                is kept and smaller than R.
        """
        if batch_size < 1 or batch_size % world:
            raise UsageError(
                f"batch size {batch_size} cannot be shared by {world} processes",
                "choose a positive multiple of their number",
            )
        if workers < 0:
            raise UsageError(f"{workers} workers", "give 0 or more")
        self.source, self.modality, self.batch_size, self.seed = source, modality, batch_size, seed
        self.workers, self.train, self.strict = workers, train, strict
        self.rank, self.world, self.device = rank, world, torch.device(device)
        self._start_method, self._keeps_last = start_method, last_batch == "keep"
        if self._keeps_last and 0 < len(source) % batch_size < world:
            raise UsageError(
                f"the last batch of an epoch has {len(source) % batch_size} samples for {world} "
                "processes",
                "choose another batch size, or train.last_batch=drop",
            )
        self.damaged: list[tuple[str, str]] = []
        self.wait_s = 0.0

    def __len__(self) -> int:
        return self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """S, the batches of an epoch: the whole ones, or all where the last one is kept.

        Raises:
            UsageError: the source is smaller than a batch, and the last batch is not kept.
        """
        steps, rest = divmod(len(self.source), self.batch_size)
        steps += self._keeps_last and rest > 0
        if steps == 0:
            raise UsageError(
                f"{self.source.name} has {len(self.source)} samples, fewer than a batch of "
                f"{self.batch_size}",
                "choose a smaller batch or more data",
            )
        return steps

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that a step belongs to."""
        return step // self.steps_per_epoch

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Endless training batches of this rank, from `start_step` on.

        Raises:
            UsageError: the source is smaller than a batch.
            DataError: too many damaged files, or the first one where `strict`.
        """
        _ = self.steps_per_epoch
        for batch in self._run(self._endless(start_step)):
            if batch is None:
                raise DataError(
                    f"every file of one batch of {self.source.name} is damaged",
                    "remove the damaged files or choose a larger batch",
                )
            yield batch

    def once(self) -> Iterator[Batch]:
        """All samples in the source's order, without augmentation, the last batch incomplete.

        Every rank gets all of them.

        Raises:
            DataError: too many damaged files, or the first one where `strict`.
        """
        n, size = len(self.source), self.batch_size
        jobs = (_Job(tuple(range(i, min(i + size, n))), None) for i in range(0, n, size))
        return (batch for batch in self._run(jobs) if batch is not None)

    def _endless(self, step: int) -> Iterator[_Job]:
        steps = self.steps_per_epoch
        key = Draws(self.seed, torch.zeros(1, dtype=torch.int64), stream="order")
        while True:
            epoch, done = divmod(step, steps)
            order = Draws(key.seed, key.ids, epoch, key.stream).permutation(len(self.source))[0]
            for s in range(done, steps):
                rows = order[s * self.batch_size : (s + 1) * self.batch_size]
                mine = tuple(rows[self.rank :: self.world].tolist())
                yield _Job(mine, epoch if self.train else None)
            step = (epoch + 1) * steps

    def _run(self, jobs: Iterator[_Job]) -> Iterator[Batch | None]:
        """The jobs' batches in order, on the device, with the damage told."""
        preparer = _Preparer(self.source, self.modality, self.seed)
        loader = DataLoader(
            preparer,
            batch_size=None,
            sampler=_Jobs(jobs),
            num_workers=self.workers,
            collate_fn=_as_is,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            multiprocessing_context=self._start_method if self.workers else None,
        )
        results = iter(loader)
        while True:
            before = time.perf_counter()
            try:
                batch, damaged = next(results)
            except StopIteration:
                return
            finally:
                self.wait_s += time.perf_counter() - before
            self._note(damaged)
            yield None if batch is None else batch.to(self.device)

    def _note(self, damaged: list[_Damage]) -> None:
        known = {key for key, _ in self.damaged}
        for damage in damaged:
            if self.strict:
                raise DataError(damage.message, damage.remedy)
            if damage.key not in known:
                known.add(damage.key)
                self.damaged.append((damage.key, damage.message))
                logger.warning("left out: %s (%d so far)", damage.message, len(self.damaged))
        allowed = max(_MIN_DAMAGED, int(_DAMAGED_SHARE * len(self.source)))
        if len(self.damaged) > allowed:
            raise DataError(
                f"{len(self.damaged)} of {len(self.source)} files of {self.source.name} are "
                f"damaged, the last: {self.damaged[-1][1]}",
                f"at most {allowed} are borne; mend or remove them",
            )


class _Jobs(torch.utils.data.Sampler[_Job]):
    """An iterator in the shape that DataLoader wants."""

    def __init__(self, jobs: Iterator[_Job]) -> None:
        self._iterator = jobs

    def __iter__(self) -> Iterator[_Job]:
        return self._iterator


def _as_is(result: Any) -> Any:  # noqa: ANN401 - DataLoader's own collation is not wanted
    return result


def _start_worker(_: int) -> None:
    """Leave Ctrl-C to the main process, which ends the workers, and never outlive it.

    DataLoader's own watch compares parent ids from the worker's start on, so it misses a main
    process that was killed before; the pipe that multiprocessing keeps to the parent cannot.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:  # noqa: ANN401 - multiprocessing's private ParentProcess
    parent.join()
    os._exit(1)
