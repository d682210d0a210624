"""WebDataset tar shards of pictures."""

from pathlib import Path

from .. import shards
from .folders import PICTURES


class ShardSource(shards.ShardSource):
    """Pictures inside tar files.

    Attributes:
        template: that the pictures are aligned faces of; None where nobody says so.
    """

    def __init__(self, name: str, shards: list[Path], template: str | None = None) -> None:
        """Index the shards; see `modalities.shards.ShardSource`."""
        super().__init__(name, shards, PICTURES)
        self.template = template
