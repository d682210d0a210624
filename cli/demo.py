"""`masquerade demo`: the whole loop on embedded photographs."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from .output import emit_json, note, table

NOT_AS_EXPECTED = 5


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path),
              help="The folder for run, picture and records.")  # fmt: skip
@click.option("--quick", "effort", flag_value="quick", help="60 steps and one benchmark.")
@click.option("--full", "effort", flag_value="full", help="2,000 steps, every repeat.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(out: Path, effort: Literal["quick", "full"] | None, as_json: bool) -> int:
    """Pre-train a small MAE on embedded photographs, score it, show records and a picture.

    Needs no download and no GPU. Ends with 0 when the result is as it should be.

    \b
    Example:
      masquerade demo --out demo
    """
    from ..leaderboards.demo import run_demo

    made = run_demo(out, effort or "normal", say=note)
    if as_json:
        emit_json({
            "run": str(made.run), "results": str(made.results), "picture": str(made.picture),
            "as_expected": made.as_expected, "verdicts": [asdict(v) for v in made.verdicts],
            "records": [record.id for record in made.records], "rows": made.rows(),
        })  # fmt: skip
    else:
        rows = made.rows()
        click.echo(table(rows, list(rows[0])))
        click.echo("\nwhat a right result looks like:")
        for verdict in made.verdicts:
            click.echo(f"{'right' if verdict.holds else 'WRONG'}: {verdict.sentence}")
        click.echo(f"picture: {made.picture}\nrecords: {made.results}")
    return 0 if made.as_expected else NOT_AS_EXPECTED
