"""Opening a picture: size first, pixels on demand, always upright RGB, 8 bits a channel.

Alpha is composited over white. Greys of 16 bits are scaled to 8 (65535 → 255), not clipped. Of
an animation the first frame counts. Only the formats below are ever tried: some of Pillow's
other readers start programs.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from ...core.errors import DataError
from ..files import Encoded

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# all that Pillow's readers were seen to raise on damaged bytes (tests/modalities/test_fuzz.py)
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, MemoryError, EOFError, RuntimeError, ZeroDivisionError, AssertionError,
    struct.error, zlib.error, Pillow.DecompressionBombError, Pillow.DecompressionBombWarning,
)  # fmt: skip
# decoders name their buffer by its address, which differs from run to run
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")
Box = tuple[int, int, int, int]
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = frozenset({5, 6, 7, 8})


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one DataError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            yield
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise DataError(
            f"{name} has more than {Pillow.MAX_IMAGE_PIXELS} pixels", "scale it down first"
        ) from error
    except _DECODER_ERRORS as error:
        reason = " ".join(_OBJECT.sub("", str(error)).split())[:200] or type(error).__name__
        raise DataError(f"{name} is damaged or no picture: {reason}", "replace the file") from error


class Picture:
    """An opened image: its upright size is known, its pixels are decoded on demand, once.

    Attributes:
        name: for messages.
        size: (width, height) after the EXIF rotation.

    Example:
        >>> Picture(np.zeros((2, 3, 3), np.uint8), "black").pixels().shape
        (2, 3, 3)
    """

    def __init__(self, content: Encoded | NDArray[np.uint8], name: str) -> None:
        """Read the header.

        Raises:
            DataError: the bytes are no picture.
        """
        self.name = content.name if isinstance(content, Encoded) else name
        self._array: NDArray[np.uint8] | None = None
        orientation = 1
        with _damage(self.name):
            if isinstance(content, Encoded):
                self._image: Pillow.Image = Pillow.open(BytesIO(content.data), formats=FORMATS)
                if self._image.format == "TIFF":
                    self._image.load()  # Pillow turns TIFFs upright itself, but only here
                orientation = _orientation(self._image)
                width, height = self._image.size
            elif content.ndim == 3 and content.shape[-1] == 3:
                self._array = content
                height, width, _ = content.shape
            else:
                grey = content.ndim == 3 and content.shape[-1] == 1
                self._image = Pillow.fromarray(content[..., 0] if grey else content)
                width, height = self._image.size
        self._turn = _UPRIGHT.get(orientation)
        self.size = (height, width) if orientation in _ON_ITS_SIDE else (width, height)

    def image(self, reduce: int = 1) -> Pillow.Image:
        """The upright RGB image.

        Args:
            reduce: 1, 2, 4 or 8; a JPEG is decoded that much smaller (sides rounded up), which
                costs a fraction; other formats come at full size.

        Raises:
            DataError: the file is damaged; names it.
        """
        if self._array is not None:
            return Pillow.fromarray(self._array)
        with _damage(self.name):
            image = self._image
            if reduce > 1 and image.format == "JPEG":
                width, height = image.size
                image.draft(None, (max(width // reduce, 1), max(height // reduce, 1)))
            image.load()
            image = _to_rgb(image)
            return image if self._turn is None else image.transpose(self._turn)

    def pixels(self, box: Box | None = None, reduce: int = 1) -> NDArray[np.uint8]:
        """The upright RGB pixels of a box: (H, W, 3) uint8, the caller's own.

        Args:
            box: (left, top, right, bottom) in pixels of the whole picture; None = all of it.
            reduce: as for `image`; the box is then rounded to the smaller picture's pixels.

        Raises:
            DataError: the file is damaged; names it.
        """
        if self._array is not None:
            left, top, right, bottom = box or (0, 0, *self.size)
            return self._array[top:bottom, left:right].copy()
        image = self.image(reduce)
        if box is not None:
            across, down = image.width / self.size[0], image.height / self.size[1]
            left, top = round(box[0] * across), round(box[1] * down)
            right = max(round(box[2] * across), left + 1)
            bottom = max(round(box[3] * down), top + 1)
            image = image.crop((left, top, right, bottom))
        return np.array(image)


def _orientation(image: Pillow.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODER_ERRORS:  # an unreadable EXIF block says nothing; the pixels may be fine
        return 1


def _to_rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_16_bit(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        pixels = image.convert("RGBA")
        white = Pillow.new("RGBA", pixels.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(white, pixels).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(values: NDArray[np.generic]) -> Pillow.Image:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ValueError(f"grey values {wide.min()}…{wide.max()}, expected 0…65535")
    return Pillow.fromarray(((wide + 128) // 257).astype(np.uint8))
