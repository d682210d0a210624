"""`masquerade pretrain`: train a method, or go on with a run."""

from pathlib import Path

import click

from .output import emit_json, note


@click.command()
@click.argument("method")
@click.option("--data", required=True, help="A data set of the catalogue, or a path.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option("--recipe", help="A shipped recipe or a TOML file; else the method's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
              help="Change a setting (`masquerade config show METHOD` lists them).")  # fmt: skip
@click.option("--device", help="auto, cpu, cuda or cuda:N.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that load data.")
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps of the whole run.")
@click.option("--strict", is_flag=True, help="Stop at a damaged file instead of leaving it out.")
@click.option("--quiet", is_flag=True, help="No progress line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pretrain(
    method: str, data: str, out: Path, recipe: str | None, overrides: tuple[str, ...],
    device: str | None, workers: int | None, steps: int | None,
    strict: bool, quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Pre-train METHOD on DATA into the run folder OUT.

    The same command again goes on from the last checkpoint, after Ctrl-C or any crash, and
    gives the same weights as an undisturbed run.

    \b
    Example:
      masquerade pretrain mae --recipe mae-tiny --data photos --out runs/tiny
    """
    from ..methods.call import pretrain as train

    outcome = train(
        method, data, out, recipe=recipe, set=overrides, device=device, workers=workers,
        steps=steps, strict=strict, quiet=quiet,
    )  # fmt: skip
    if outcome is None:
        return 0
    if as_json:
        emit_json({
            "run": str(out), "step": outcome.step, "steps": outcome.total,
            "resumed_from": outcome.started_at, "loss": outcome.loss,
            "skipped": outcome.skipped, "finished": outcome.finished,
        })  # fmt: skip
    if outcome.signal:
        note(f"stopped after step {outcome.step} of {outcome.total}; "
             "the same command goes on from there")  # fmt: skip
        return 128 + outcome.signal
    if outcome.started_at == outcome.total:
        note(f"{out} is finished already: {outcome.total} steps")
    elif outcome.loss is not None:
        note(f"{outcome.total} steps done, loss {outcome.loss:.4f}")
    if not as_json:
        click.echo(out)
    return 0
