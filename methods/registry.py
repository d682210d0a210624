"""The methods: slug → import string. A new method is one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import lookup

if TYPE_CHECKING:  # `masquerade list` reads this table without importing torch
    from ..core.method import Method

METHODS = {
    "mae": "masquerade.methods.image.mae:MAE",
}


def method(slug: str) -> type[Method]:
    """The method's class.

    Raises:
        UsageError: the slug is unknown.
    """
    return lookup("methods", slug, METHODS)
