"""What weights files are read into and written from: a method, or a net that methods use."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from .config import Config as BaseConfig
from .keymap import Key


class Importable(Protocol):
    """The class side that `masquerade weights` asks of a method or a net.

    A class may also have `unwrapped(state) -> (state, notes)`, which takes the net's own part out
    of a published state (where the file has several parts, names are "part/parameter") and says
    what was left out; `wrapped(state) -> content`, what a published file holds of a state under
    official names ({"model": state} by default); and `OURS`, beginnings of our names that no
    published file has a place for: they keep their initial values.

    Attributes:
        slug: the name in the registry.
        Config: its settings class.
        KEYMAP: official key → our key, both ways.
    """

    slug: ClassVar[str]
    Config: ClassVar[type[BaseConfig]]
    KEYMAP: ClassVar[tuple[Key, ...]]

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Which of the published containers official key names belong to."""

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""

    @classmethod
    def from_container(
        cls,
        container: str,
        config: Any,  # noqa: ANN401 - the class's own settings
        shapes: Mapping[str, tuple[int, ...]],
    ) -> nn.Module:
        """The module that a container's weights (of these shapes) fill."""


def unwrapped(
    cls: type[Importable], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The part of a published state that is the class's own, and sentences on what was left out."""
    own = getattr(cls, "unwrapped", None)
    return (dict(state), ()) if own is None else own(state)


def wrapped(cls: type[Importable], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a published file of the class holds of a state under the official names."""
    own = getattr(cls, "wrapped", None)
    return {"model": dict(state)} if own is None else own(state)


def is_ours(cls: type[Importable], name: str) -> bool:
    """Whether one of our names stands for something that no published file holds."""
    return name.startswith(tuple(getattr(cls, "OURS", ())))
