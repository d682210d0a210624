"""Contact sheets of records for the page: small, few, and made anew from foreign files.

A picture from a results folder is decoded and written again, so no foreign byte reaches the page;
SVG files are never read. Curves (a picture with an .svg beside it) are not sheets.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.record_store import PICTURES

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 3_000_000  # of all sheets of a page, as text
_EACH = 400_000  # of one sheet, as text
_SIDES = (1100, 800, 550)  # pixels of the longer side; the first that is small enough is taken
_QUALITY = 72
_PIXELS = 60_000_000  # of a foreign picture: a small file can unpack to gigabytes
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture ready for the page.

    Attributes:
        name: of its file, without the ending.
        data: a data: URI; "" where it was left out.
        width: in pixels.
        height: in pixels.
        why: it was left out; "" where it was not.
    """

    name: str
    data: str
    width: int = 0
    height: int = 0
    why: str = ""


def sheets_of(records: Sequence[str], results: Path) -> dict[str, tuple[Sheet, ...]]:
    """The contact sheets of some records, the first ones first, until the page is full."""
    found: dict[str, tuple[Sheet, ...]] = {}
    left = MOST_BYTES
    for record in records:
        sheets = []
        for path in _files(results / PICTURES / record):
            sheet = _sheet(path, left)
            left -= len(sheet.data)
            sheets.append(sheet)
        if sheets:
            found[record] = tuple(sheets)
    return found


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink()
        and not path.with_suffix(".svg").exists()
    )  # fmt: skip


def _sheet(path: Path, left: int) -> Sheet:
    from PIL import Image, UnidentifiedImageError

    name = path.stem
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _PIXELS:
                return Sheet(name, "", why=f"{opened.width} × {opened.height} pixels are too many")
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return Sheet(name, "", why="the file is no picture that can be read")
    for side in _SIDES:
        data, size = _encoded(picture, side)
        if len(data) <= min(_EACH, left):
            return Sheet(name, data, *size)
    return Sheet(name, "", why="the page has no room left for it")


def _encoded(picture: "Image", side: int) -> tuple[str, tuple[int, int]]:
    smaller = picture.copy()
    smaller.thumbnail((side, side))
    buffer = BytesIO()
    smaller.save(buffer, "WEBP", quality=_QUALITY, method=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/webp;base64,{text}", smaller.size
