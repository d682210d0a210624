"""What a person sees while the demo runs; nothing unless the caller shows it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ...generators.engine.synthesis import Watch

Bar = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Screen:
    """Where the demo tells how far it is.

    Attributes:
        say: called with one line.
        bar: of a name, what wraps the range of items that take long.
        synthesis: a context that watches a synthesis.
        training: whether trainings show their progress line.
    """

    say: Callable[[str], None] = lambda _text: None
    bar: Callable[[str], Bar] = lambda _name: iter
    synthesis: Callable[[], AbstractContextManager[Watch]] = lambda: nullcontext(Watch())
    training: bool = False
