"""`masquerade config`: the settings of a run before it is started."""

import click

from .output import emit_json, table


@click.group()
def config() -> None:
    """Show the resolved settings and where each comes from.

    \b
    Example:
      masquerade config show mae --recipe mae-tiny
    """


@config.command()
@click.argument("method")
@click.option("--recipe", help="A shipped recipe or a TOML file; else the method's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
              help="Change a setting, as in `masquerade pretrain`.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(method: str, recipe: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print each resolved setting of METHOD with its source.

    \b
    Example:
      masquerade config show mae --set optim.blr=1e-3
    """
    from ..core.config import flatten
    from ..methods.recipes import resolve

    resolved = resolve(method, recipe, overrides)
    values = flatten(resolved.settings.to_dict())
    if as_json:
        emit_json({key: {"value": value, "source": resolved.sources[key]}
                   for key, value in values.items()})  # fmt: skip
        return
    rows = [{"setting": key, "value": value, "source": resolved.sources[key]}
            for key, value in values.items()]  # fmt: skip
    click.echo(table(rows, ["setting", "value", "source"]))
