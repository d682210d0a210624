"""One command's work: settle the plan, make the missing shards, write the manifest, audit."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import JsonValue

from ...core.atomic_io import explained
from ...core.config import build
from ...core.errors import UsageError, nearest
from ..generator import Generator
from .audit import write_audit
from .dataset import SynthesizedSet
from .dry_run import Estimate, dry_run
from .folder import AUDIT, FINAL, PLAN, SHARDS, Say, enter, locked, present, sweep
from .local import Progress, run_here, run_processes
from .manifest import write_manifest
from .pictures import Suffix, picture_format
from .plan import Plan, check_counts, fact_types, layout, machine_facts, read_plan, refuse_other
from .plan import settle as settle_plan
from .units import n_units
from .verification import read_audit
from .worker import Job

Engine = Literal["local", "ray"]


def _silent(*_: object) -> None:
    """No progress."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        generator: slug, or module:Class.
        out: the data set's folder.
        identities: N.
        images_per_identity: M.
        weights: of the generator; None = the shipped ones.
        settings: those of the generator's settings that differ from its defaults.
        seed: of all draws.
        format: of the pictures.
        quality: of JPEG and WebP; None = 95.
        batch_size: rows rendered at once; None = the generator's.
        images_per_shard: None = the engine's choice.
        threads: of torch in each worker; part of the plan.
        device: auto, cpu, cuda, cuda:N.
        engine: who runs the units.
        workers: processes; None = one per core, or one per GPU.
    """

    generator: str
    out: Path
    identities: int
    images_per_identity: int
    weights: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    format: Suffix = "jpg"
    quality: int | None = None
    batch_size: int | None = None
    images_per_shard: int | None = None
    threads: int = 1
    device: str = "auto"
    engine: Engine = "local"
    workers: int | None = None


@dataclass(frozen=True)
class Watch:
    """Where the work tells how far it is.

    Attributes:
        pictures: called with pictures done and in all.
        prepared: called with what the generator prepared and how much there is.
        audited: called with shards read and in all.
        say: called with a sentence for a person.
    """

    pictures: Progress = _silent
    prepared: Any = _silent
    audited: Progress = _silent
    say: Say = _silent


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        folder: of the data set.
        plan: the plan's hash.
        dataset: the content hash; None where it is not finished.
        images: of the data set.
        shards: of the data set.
        made: shards that were missing when this command began.
        seconds: that this command took to make them.
        signal: that stopped it, else 0.
        audit: the audit; empty where it is not finished.
        closing: the generator's own sentences on the finished set.
    """

    folder: Path
    plan: str
    dataset: str | None
    images: int
    shards: int
    made: int
    seconds: float
    signal: int
    audit: dict[str, JsonValue]
    closing: tuple[str, ...] = ()


def synthesize(request: Request, watch: Watch | None = None) -> Outcome:
    """Make a data set, or go on with it; killed at any instant, the same call goes on.

    Raises:
        UsageError: the request is wrong, or the folder holds another plan.
        WeightsError: the weights are missing or of another method.
        DataError: a file of the folder is damaged.
        MasqueradeError: the system refuses to write; what is finished stays.
    """
    watch = watch or Watch()
    job, generator, wanted = _opened(request)
    enter(request.out)
    plan = settle_plan(request.out, wanted, generator, watch.prepared, watch.say)
    made = _withdraw(request.out, plan, watch.say)
    start, signal = time.perf_counter(), 0
    if made:
        signal = _run(request, job, plan, generator, watch.pictures)
    seconds = time.perf_counter() - start
    if signal:
        left = n_units(plan) - len(present(request.out))
        return Outcome(
            request.out, plan.hash(), None, plan.images, n_units(plan), made - left, seconds,
            signal, {},
        )  # fmt: skip
    audit = _finish(request.out, plan, generator, watch)
    dataset = SynthesizedSet(request.out)
    return Outcome(
        request.out, plan.hash(), dataset.hash, plan.images, n_units(plan), made, seconds, 0,
        audit, tuple(generator.closing(dataset)),
    )  # fmt: skip


def estimate(request: Request) -> Estimate:
    """What the request would cost; nothing is written at `request.out`.

    Raises:
        as `synthesize`.
    """
    _, generator, wanted = _opened(request)
    if (request.out / PLAN).exists():
        refuse_other(request.out, read_plan(request.out), wanted)
    workers = len(_devices(request, wanted))
    return dry_run(wanted, generator, workers)


def _opened(request: Request) -> tuple[Job, Generator, Plan]:
    """The generator, and the plan that the request asks for."""
    from ...core.training.distributed import pick_device

    check_counts(request.identities, request.images_per_identity)
    if request.engine not in get_args(Engine):
        raise UsageError(
            f"unknown engine '{request.engine}'", nearest(request.engine, get_args(Engine))
        )
    weights = None if request.weights is None else request.weights.absolute()
    job = Job(request.out.absolute(), request.generator, weights)
    cls = job.generator_class()
    settings = build(cls.Settings, request.settings)
    device = str(pick_device(request.device))
    generator = cls.open(weights, device)
    generator.check(request.identities, request.images_per_identity, settings)
    plan = build(Plan, {
        "generator": request.generator,
        "generator_hash": generator.hash,
        "generator_facts": generator.facts(),
        "seed": request.seed,
        "identities": request.identities,
        "images_per_identity": request.images_per_identity,
        "settings": settings.to_dict(),
        "fact_types": fact_types(generator, settings),
        "picture": picture_format(request.format, request.quality).to_dict(),
        "layout": layout(
            request.identities, request.images_per_identity,
            request.batch_size or generator.batch_size,
            images_per_shard=request.images_per_shard, threads=request.threads,
        ).to_dict(),
        "machine": machine_facts(device),
    })  # fmt: skip
    return job, generator, plan


def _withdraw(folder: Path, plan: Plan, say: Say) -> int:
    """How many shards are missing; what told of the whole set goes while there are any."""
    with locked(folder, say), explained(folder / SHARDS):
        (folder / SHARDS).mkdir(exist_ok=True)
        missing = n_units(plan) - len(present(folder))
        if missing:
            for name in FINAL:
                (folder / name).unlink(missing_ok=True)
    return missing


def _run(
    request: Request, job: Job, plan: Plan, generator: Generator, progress: Progress
) -> int:  # fmt: skip
    devices = _devices(request, plan)
    if request.engine == "ray":
        from .ray_engine import run_ray

        kind = "cuda:0" if devices[0].startswith("cuda") else devices[0]
        return run_ray(replace(job, device=kind), plan, request.workers, progress)
    if len(devices) == 1:
        return run_here(replace(job, device=devices[0]), plan, generator, progress)
    return run_processes(job, plan, devices, progress)


def _devices(request: Request, plan: Plan) -> list[str]:
    """The device of each worker: GPUs in turn, or one core (of `threads` threads) each.

    Raises:
        UsageError: fewer than one worker.
    """
    import torch

    from ...core.training.distributed import pick_device

    if request.workers is not None and request.workers < 1:
        raise UsageError(f"--workers {request.workers}: expected 1 or more", "change --workers")
    device = pick_device(request.device)
    names = [str(device)]
    if device.type == "cuda" and request.device in ("auto", "cuda"):
        names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    natural = len(names) if device.type != "cpu" else (usable or 1) // plan.layout.threads
    count = max(1, min(request.workers or natural, n_units(plan)))
    return [names[i % len(names)] for i in range(count)]


def _finish(
    folder: Path, plan: Plan, generator: Generator, watch: Watch
) -> dict[str, JsonValue]:  # fmt: skip
    """The audit, once the manifest is written; both are there already where a set was finished."""
    with locked(folder, watch.say):
        if all((folder / name).exists() for name in FINAL):
            audit = read_audit(folder)
            if audit.get("plan") == plan.hash():
                return audit
        (folder / AUDIT).unlink(missing_ok=True)
        for place in (folder, folder / SHARDS):
            sweep(place)
        write_manifest(folder, plan)
        return write_audit(folder, generator, watch.audited)
