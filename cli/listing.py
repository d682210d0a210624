"""`masquerade list`: what there is, read from tables and recipes without importing torch."""

from collections.abc import Callable
from typing import Any

import click

from .output import emit_json, table

Rows = list[dict[str, Any]]
_METHOD_FACTS = ("year", "modality", "masker", "trunk", "objective", "golden")


def _methods() -> Rows:
    from ..core.registry import known
    from ..methods.recipes import about
    from ..methods.registry import METHODS

    rows = []
    for slug in known("methods", METHODS):
        facts = about(slug)
        rows.append({"slug": slug, **{key: facts.get(key) for key in _METHOD_FACTS}})
    return rows


def _modalities() -> Rows:
    from ..core.registry import known
    from ..modalities.registry import MODALITIES

    return [{"slug": slug, "module": at} for slug, at in known("modalities", MODALITIES).items()]


def _generators() -> Rows:
    from ..core.registry import known
    from ..generators.registry import GENERATORS

    return [{"slug": slug, "module": at} for slug, at in known("generators", GENERATORS).items()]


def _benchmarks() -> Rows:
    from ..benchmarks.registry import facts

    return list(facts())


def _datasets() -> Rows:
    from ..modalities.catalogue import CATALOGUE

    return [
        {
            "name": entry.name,
            "modality": entry.modality,
            "size": entry.size,
            "licence": entry.licence,
            "how": entry.how,
        }
        for entry in CATALOGUE.values()
    ]


def _boards() -> Rows:
    from ..leaderboards.definitions import board_definition, board_slugs

    boards = [board_definition(slug) for slug in board_slugs()]
    return [
        {
            "slug": board.slug,
            "modality": board.modality,
            "benchmarks": ", ".join(dict.fromkeys(c.benchmark for c in board.columns)),
            "title": board.title,
        }
        for board in boards
    ]


SECTIONS: dict[str, Callable[[], Rows]] = {
    "methods": _methods,
    "modalities": _modalities,
    "generators": _generators,
    "benchmarks": _benchmarks,
    "datasets": _datasets,
    "boards": _boards,
}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: ("y" if value else "n") if isinstance(value, bool) else value
        for key, value in row.items()
    }


@click.command()
@click.argument("what", type=click.Choice(list(SECTIONS)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def listing(what: str | None, as_json: bool) -> None:
    """List methods, modalities, generators, benchmarks, data sets and boards.

    "golden" says whether the method equals its official code on stored vectors.

    \b
    Example:
      masquerade list methods
    """
    chosen = [what] if what else list(SECTIONS)
    found = {name: SECTIONS[name]() for name in chosen}
    if as_json:
        emit_json(found)
        return
    for name, rows in found.items():
        if what is None:
            click.echo(name)
        click.echo(table([_shown(row) for row in rows], list(rows[0])))
        if what is None:
            click.echo()
