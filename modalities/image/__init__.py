"""Images: files, tars, arrays and packs to normalized batches, patches and pictures."""

from .adapter import Image

__all__ = ["Image"]
