"""Rows of pictures with labelled columns (and rows), as one PNG."""

# B images, H rows, W columns.

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from ...core.atomic_io import write_file

_GAP = 4
_HEADER = 18
_MARGIN = 96  # for the names of rows
_SMALLEST_SIDE = 128  # smaller pictures are enlarged by whole factors, so that pixels stay pixels


def write_rows(columns: dict[str, Tensor], path: Path, names: Sequence[str] | None = None) -> Path:
    """Write a PNG with one column of pictures per entry and one row per image.

    Args:
        columns: header → (B, 3, H, W) in 0…1, all of one shape.
        path: where to; the suffix .png is added where missing.
        names: of the rows, B; none by default.

    Returns:
        The path written.

    Raises:
        MasqueradeError: it cannot be written.
    """
    path = Path(path)
    path = path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")
    picture = canvas(columns, names)
    write_file(path, lambda temporary: picture.save(temporary, format="PNG"))
    return path


def canvas(columns: dict[str, Tensor], names: Sequence[str] | None = None) -> Pillow.Image:
    """The picture of `write_rows`."""
    stacked = torch.stack(list(columns.values())).detach().cpu()
    _, n_rows, _, height, width = stacked.shape
    factor = max(1, -(-_SMALLEST_SIDE // max(height, width)))
    pixels = (stacked.clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = pixels.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    across, down = width * factor + _GAP, height * factor + _GAP
    margin = 0 if names is None else _MARGIN
    picture = Pillow.new(
        "RGB", (margin + len(columns) * across + _GAP, n_rows * down + _GAP + _HEADER), "white"
    )
    pen = ImageDraw.Draw(picture)
    for r, name in enumerate(names or ()):
        pen.text((_GAP, _HEADER + _GAP + r * down), name, fill="black")
    for c, header in enumerate(columns):
        pen.text((margin + _GAP + c * across, _GAP), header, fill="black")
        for r in range(n_rows):
            tile = Pillow.fromarray(np.ascontiguousarray(pixels[c, r].permute(1, 2, 0).numpy()))
            picture.paste(tile, (margin + _GAP + c * across, _HEADER + _GAP + r * down))
    return picture
