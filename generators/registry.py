"""The generators: slug → import string. A new generator is one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..core.errors import UsageError
from ..core.registry import lookup

if TYPE_CHECKING:  # `masquerade list` reads this table without importing torch
    from .generator import Generator

GENERATORS = {
    "vec2face": "masquerade.generators.vec2face.synthesizer:Synthesizer",
}


def generator(name: str) -> type[Generator]:
    """The generator's class.

    Args:
        name: a slug, or "module:Class" of one's own that no package registers.

    Raises:
        UsageError: nothing of that name; names the nearest slug.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return lookup("generators", name, GENERATORS)
    try:
        return getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UsageError(
            f"cannot import the generator '{name}': {error}",
            "write MODULE:CLASS of a module on the path, or a name of `masquerade list generators`",
        ) from error
