"""Key maps: official parameter names and layouts to ours, and back, from one table."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from torch import Tensor


def _same(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Key:
    """One row of a key map.

    Attributes:
        official: the official name; the last `*` stands for any rest, those before it for one
            part between dots each.
        ours: our name, with as many `*`.
        to_ours: changes the layout of the value.
        to_official: its inverse.

    Example:
        >>> Key("blocks.*", "encoder.blocks.*").rename("blocks.0.norm1.bias")
        'encoder.blocks.0.norm1.bias'
    """

    official: str
    ours: str
    to_ours: Callable[[Tensor], Tensor] = _same
    to_official: Callable[[Tensor], Tensor] = _same

    def rename(self, name: str) -> str | None:
        """Our name for an official one, or None where the row does not match."""
        return _rename(name, self.official, self.ours)

    def rename_back(self, name: str) -> str | None:
        """The official name for one of ours, or None where the row does not match."""
        return _rename(name, self.ours, self.official)


def _rename(name: str, pattern: str, result: str) -> str | None:
    found = _compiled(pattern).fullmatch(name)
    if found is None:
        return None
    parts = iter(found.groups())
    return re.sub(r"\*", lambda _: next(parts), result)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    *before, last = (re.escape(part) for part in pattern.rsplit("*", 1))
    return re.compile("(.*)".join([*(part.replace(r"\*", "([^.]+)") for part in before), last]))


def n_blocks(names: Iterable[str], prefix: str) -> int | None:
    """How many different parts follow a prefix in the names; None without any.

    Example:
        >>> n_blocks(["blocks.0.fc.bias", "blocks.0.fc.weight", "blocks.1.fc.bias"], "blocks.")
        2
    """
    rest = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return len({name.split(".")[0] for name in rest}) or None


def to_ours(
    state: Mapping[str, Tensor], keymap: Sequence[Key]
) -> tuple[dict[str, Tensor], list[str]]:
    """The state under our names, and the official names that no row knows."""
    mapped: dict[str, Tensor] = {}
    unknown = []
    for name, value in state.items():
        row = next((key for key in keymap if key.rename(name) is not None), None)
        if row is None:
            unknown.append(name)
        else:
            mapped[row.rename(name) or ""] = row.to_ours(value)
    return mapped, unknown


def _row_of_ours(name: str, keymap: Sequence[Key]) -> Key:
    row = next((key for key in keymap if key.rename_back(name) is not None), None)
    if row is None:
        raise KeyError(name)
    return row


def official_name(name: str, keymap: Sequence[Key]) -> str:
    """The official name of one of our parameters.

    Raises:
        KeyError: no row of the table knows it.
    """
    return _row_of_ours(name, keymap).rename_back(name) or ""


def to_official(state: Mapping[str, Tensor], keymap: Sequence[Key]) -> dict[str, Tensor]:
    """The state under the official names.

    Raises:
        KeyError: a name that no row of the table knows.
    """
    rows = {name: _row_of_ours(name, keymap) for name in state}
    return {
        rows[name].rename_back(name) or "": rows[name].to_official(value).contiguous()
        for name, value in state.items()
    }
