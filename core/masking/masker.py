"""What every masker is: frozen settings, a draw of noise, and a pure function of that noise."""

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from ..config import Config
from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask

Ratio = Annotated[float, Field(ge=0, lt=1)]  # the hidden share; at least one token stays visible


def visible_count(n_tokens: int, ratio: float) -> int:
    """int(N·(1 − ratio)), the official floor; at least one token must stay visible.

    Raises:
        ValueError: the ratio hides every token.

    Example:
        >>> visible_count(196, 0.75), visible_count(196, 0.6)
        (49, 78)
    """
    n_visible = int(n_tokens * (1 - ratio))
    if n_visible < 1:
        raise ValueError(f"mask ratio {ratio} hides all {n_tokens} tokens")
    return n_visible


class Masker(Config):
    """Base of the maskers."""

    @abstractmethod
    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw the noise that the tokens need and make the mask of it."""
