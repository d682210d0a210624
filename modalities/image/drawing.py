"""Rows of pictures with labelled columns, as one PNG."""

# B images, H rows, W columns.

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from ...core.atomic_io import write_file

_GAP = 4
_HEADER = 18
_SMALLEST_SIDE = 128  # smaller pictures are enlarged by whole factors, so that pixels stay pixels


def write_rows(columns: dict[str, Tensor], path: Path) -> Path:
    """Write a PNG with one column of pictures per entry and one row per image.

    Args:
        columns: header → (B, 3, H, W) in 0…1, all of one shape.
        path: where to; the suffix .png is added where missing.

    Returns:
        The path written.

    Raises:
        MasqueradeError: it cannot be written.
    """
    path = Path(path)
    path = path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")
    canvas = _canvas(columns)
    write_file(path, lambda temporary: canvas.save(temporary, format="PNG"))
    return path


def _canvas(columns: dict[str, Tensor]) -> Pillow.Image:
    stacked = torch.stack(list(columns.values())).detach().cpu()
    _, n_rows, _, height, width = stacked.shape
    factor = max(1, -(-_SMALLEST_SIDE // max(height, width)))
    pixels = (stacked.clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = pixels.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    across, down = width * factor + _GAP, height * factor + _GAP
    canvas = Pillow.new(
        "RGB", (len(columns) * across + _GAP, n_rows * down + _GAP + _HEADER), "white"
    )
    pen = ImageDraw.Draw(canvas)
    for c, header in enumerate(columns):
        pen.text((_GAP + c * across, _GAP), header, fill="black")
        for r in range(n_rows):
            tile = Pillow.fromarray(np.ascontiguousarray(pixels[c, r].permute(1, 2, 0).numpy()))
            canvas.paste(tile, (_GAP + c * across, _HEADER + _GAP + r * down))
    return canvas
