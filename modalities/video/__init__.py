"""Videos: files, lists, tars and packs to normalized clips, tubelets, strips and animations."""

from .adapter import Video

__all__ = ["Video"]
