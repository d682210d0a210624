"""Masks, and the maskers that draw them: each a draw of noise, then a pure function of it."""

from typing import Annotated

from pydantic import Field

from .block import BlockMasker
from .colour_noise import ColourNoiseMasker
from .grid import GridMasker
from .mask import Mask, take
from .masker import Masker, visible_count
from .node import Corruption, GraphNodeMasker, NodeMasker
from .random import RandomMasker
from .row_drop import RowDropMasker, RowMask
from .running_cell import RunningCellMasker
from .score_guided import ScoreGuidedMasker
from .tube import TubeMasker

AnyMasker = Annotated[
    RandomMasker
    | BlockMasker
    | GridMasker
    | TubeMasker
    | RunningCellMasker
    | ColourNoiseMasker
    | ScoreGuidedMasker,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyMasker",
    "BlockMasker",
    "ColourNoiseMasker",
    "Corruption",
    "GraphNodeMasker",
    "GridMasker",
    "Mask",
    "Masker",
    "NodeMasker",
    "RandomMasker",
    "RowDropMasker",
    "RowMask",
    "RunningCellMasker",
    "ScoreGuidedMasker",
    "TubeMasker",
    "take",
    "visible_count",
]
