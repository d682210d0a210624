"""`masquerade synthesize`: a labelled data set of any size, or go on with one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .output import emit_json, note

if TYPE_CHECKING:
    from ..generators.engine.dry_run import Estimate
    from ..generators.engine.synthesis import Outcome, Watch

_ONE = click.IntRange(min=1)


@click.command()
@click.argument("generator")
@click.option("--weights", type=click.Path(path_type=Path),
              help="A weights file or run folder; none: the shipped weights.")  # fmt: skip
@click.option("--identities", required=True, type=int, help="How many identities.")
@click.option("--images-per-identity", required=True, type=int, help="Pictures of each.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Processes of this machine, or Ray tasks.")  # fmt: skip
@click.option("--workers", type=_ONE, help="Processes; none: one per core or GPU.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all draws.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a setting of the generator.")  # fmt: skip
@click.option("--paper-shuffle", is_flag=True,
              help="vec2face: the sigmas' shares hold in the whole set, as published, not in each "
              "identity; the same as --set perturbation.paper_shuffle=true.")  # fmt: skip
@click.option("--format", "suffix", type=click.Choice(["jpg", "png", "webp"]), default="jpg",
              show_default=True, help="Of the pictures.")  # fmt: skip
@click.option("--quality", type=click.IntRange(1, 100), help="Of jpg and webp; none: 95.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch-size", type=_ONE, help="Pictures rendered at once; part of the plan.")
@click.option("--images-per-shard", type=_ONE, help="What a killed process may lose.")
@click.option("--threads", type=_ONE, default=1, show_default=True,
              help="Of each worker; part of the plan.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what it would cost; write nothing.")
@click.option("--quiet", is_flag=True, help="No progress line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def synthesize(
    generator: str, weights: Path | None, identities: int, images_per_identity: int, out: Path,
    engine: str, workers: int | None, seed: int, overrides: tuple[str, ...],
    paper_shuffle: bool, suffix: str, quality: int | None, device: str, batch_size: int | None,
    images_per_shard: int | None, threads: int, dry_run: bool, quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Synthesize a labelled data set by GENERATOR into the folder OUT.

    The same command again goes on after Ctrl-C or any crash. However many processes or machines
    of one kind share the work, the data set is the same, byte for byte.

    \b
    Example:
      masquerade synthesize vec2face --identities 100 --images-per-identity 10 --out faces
    """
    from ..generators.call import request_of
    from ..generators.engine.synthesis import estimate
    from ..generators.engine.synthesis import synthesize as make

    request = request_of(
        generator, identities, images_per_identity, out, weights=weights,
        engine=engine, workers=workers, seed=seed, set=overrides,  # type: ignore[arg-type]
        paper_shuffle=paper_shuffle, format=suffix, quality=quality,  # type: ignore[arg-type]
        device=device, batch_size=batch_size, images_per_shard=images_per_shard, threads=threads,
    )  # fmt: skip
    if dry_run:
        _show_estimate(estimate(request), as_json)
        return 0
    with _resumable(out), watched(quiet=quiet) as watch:
        outcome = make(request, watch)
    return _show(outcome, as_json)


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say how to go on after a failure or Ctrl-C, where there is something to go on with."""
    from ..core.errors import UsageError

    try:
        yield
    except UsageError:
        raise
    except (Exception, KeyboardInterrupt):
        if (out / "plan.json").exists():
            note("what is finished stays; the same command goes on from there")
        raise


@contextmanager
def watched(*, quiet: bool = False) -> "Iterator[Watch]":
    """Progress lines on stderr; none where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ..generators.engine.synthesis import Watch

    shown = not quiet and sys.stderr.isatty()
    columns = (
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TextColumn("{task.speed:,.1f}/s"), TimeRemainingColumn(),
    )  # fmt: skip
    bars = Progress(*columns, console=Console(stderr=True), disable=not shown)

    def bar(name: str) -> Callable[[int, int | None], None]:
        tasks: list[Any] = []

        def update(done: int, total: int | None) -> None:
            if not tasks:
                # what an earlier command made does not count for the speed
                tasks.append(bars.add_task(name, total=total, completed=done))
            bars.update(tasks[0], completed=done, total=total)

        return update if shown else lambda done, total: None

    with bars:
        yield Watch(bar("pictures"), bar("prepare"), bar("audit: shards"), note)


def _show(outcome: "Outcome", as_json: bool) -> int:
    if as_json:
        emit_json(asdict(outcome) | {"folder": str(outcome.folder)})
    if outcome.signal:
        note(f"stopped; {outcome.made} shards made now, "
             "the same command goes on from there")  # fmt: skip
        return 128 + outcome.signal
    if not outcome.made:
        note(f"{outcome.folder} is finished already: {outcome.images:,} pictures")
    else:
        note(f"{outcome.images:,} pictures in {outcome.shards} shards, {outcome.made} of them "
             f"made now in {outcome.seconds:,.1f} s")  # fmt: skip
    repeated = outcome.audit["duplicates"]["repeated"]  # type: ignore[index,call-overload]
    if repeated:
        note(f"{repeated:,} pictures equal an earlier one, byte for byte (see audit.json)")
    for line in outcome.closing:
        note(line)
    if not as_json:
        click.echo(outcome.folder)
    return 0


def _show_estimate(cost: "Estimate", as_json: bool) -> None:
    if as_json:
        emit_json(asdict(cost))
        return
    lines = {
        "identities": f"{cost.identities:,}",
        "pictures": f"{cost.images:,}",
        "shards": f"{cost.shards:,}",
        "size": f"about {_size(cost.n_bytes)}",
        "one worker": f"about {cost.images_per_s:,.1f} pictures/s ({cost.sampled} rendered)",
        "rendering": f"about {_duration(cost.render_s)} with {cost.workers} "
        f"worker{'s' if cost.workers > 1 else ''}",
    }
    if cost.prepare_s is not None:
        lines["preparing"] = f"about {_duration(cost.prepare_s)}"
    for name, value in lines.items():
        click.echo(f"{name:<12} {value}")


def _size(n_bytes: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.1f} kB"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
