"""Registries are plain dicts, slug to import string; this file looks things up in them."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .errors import UsageError, nearest


def known(kind: str, ours: dict[str, str]) -> dict[str, str]:
    """Our slugs and those that installed packages register under `masquerade.<kind>`.

    Args:
        kind: "methods", "modalities", "benchmarks" or "generators".
        ours: slug → "module:attribute".

    Raises:
        UsageError: a package registers a slug that exists already.
    """
    names = dict(ours)
    for point in entry_points(group=f"masquerade.{kind}"):
        if point.name in names:
            raise UsageError(
                f"the slug '{point.name}' of {point.value} is taken in masquerade.{kind} "
                f"by {names[point.name]}",
                "uninstall or rename one of them",
            )
        names[point.name] = point.value
    return names


def lookup(kind: str, slug: str, ours: dict[str, str]) -> Any:  # noqa: ANN401 - a class or module
    """The object registered under `slug`, imported now.

    Raises:
        UsageError: the slug is unknown; names the nearest one and the command that lists all.
    """
    names = known(kind, ours)
    if slug not in names:
        raise UsageError(
            f"unknown name '{slug}' among {kind}",
            f"{nearest(slug, names)} (`masquerade list {kind}` shows all)",
        )
    module, _, attribute = names[slug].partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded
