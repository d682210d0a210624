"""Folders of pictures: one folder per class, or flat without classes; and a single file."""

from collections.abc import Collection
from pathlib import Path

from .. import folders
from ..files import FileKind, read_whole
from ..folders import FileSource
from .decoding import SUFFIXES

PICTURES = FileKind("image", SUFFIXES, read_whole)


def open_file(path: Path) -> FileSource:
    """A source of one picture."""
    return folders.open_file(path, PICTURES)


def open_folder(path: Path, only: Collection[str] | None = None) -> FileSource:
    """The pictures of a folder; see `modalities.folders.open_folder`."""
    return folders.open_folder(path, PICTURES, only)
