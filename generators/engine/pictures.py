"""Encoding pictures: the same bytes for the same pixels, settings and encoder versions."""

from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import features
from pydantic import Field

from ...core.config import Config, build
from ...core.errors import MasqueradeError, UsageError

Suffix = Literal["jpg", "png", "webp"]
_NAMES: dict[Suffix, str] = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
# Pillow's names of what may do the encoding; absent ones are left out
_LIBRARIES: dict[Suffix, tuple[str, ...]] = {
    "jpg": ("libjpeg_turbo", "jpg"), "png": ("zlib_ng", "zlib"), "webp": ("webp",),
}  # fmt: skip


class PictureFormat(Config):
    """How pictures are stored.

    Attributes:
        format: the file's suffix.
        quality: of JPEG and WebP; PNG is loss-free and takes none.
        encoder: versions of the libraries that write it: another one may write other bytes.
    """

    format: Suffix = "jpg"
    quality: int | None = Field(95, ge=1, le=100)
    encoder: dict[str, str] = {}


def picture_format(suffix: Suffix = "jpg", quality: int | None = None) -> PictureFormat:
    """The format as this machine writes it; quality 95 where a quality is taken and none given.

    Raises:
        UsageError: the quality is out of range, or PNG was given one.
    """
    if suffix == "png" and quality is not None:
        raise UsageError("PNG is loss-free and takes no quality", "leave out --quality")
    versions = {name: features.version(name) for name in _LIBRARIES[suffix]}
    encoder = {"pillow": Pillow.__version__}
    encoder |= {name: version for name, version in versions.items() if version is not None}
    chosen = None if suffix == "png" else 95 if quality is None else quality
    values = {"format": suffix, "quality": chosen, "encoder": encoder}
    return build(PictureFormat, values, "picture")


def encode(image: NDArray[np.uint8], how: PictureFormat) -> bytes:
    """The file of an RGB picture (H, W, 3) uint8.

    JPEG keeps the colour at full resolution (4:4:4): halving it would lose a quarter of the
    little that a 112-pixel face has.

    Raises:
        MasqueradeError: the array is no such picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise MasqueradeError(
            f"the generator gave a picture {image.dtype} {image.shape}, expected uint8 (H, W, 3)",
            "this is an error of the generator",
        )
    options: dict[str, Any] = {"png": {"compress_level": 6}}.get(how.format, {})
    if how.quality is not None:
        options = {"quality": how.quality}
    if how.format == "jpg":
        options |= {"subsampling": 0, "optimize": False, "progressive": False}
    buffer = BytesIO()
    Pillow.fromarray(image).save(buffer, _NAMES[how.format], **options)
    return buffer.getvalue()
