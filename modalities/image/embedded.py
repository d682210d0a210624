"""Real images that installed packages carry: found by path, no network, nothing imported.

`photos` is the toy set of the method cards (mae, section 9): which of 14 photographs a crop shows,
training crops from the left 55 % of the width, test crops from the right 40 %.
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from ...core.draws import Draws
from ...core.errors import DataError, MissingExtra
from .arrays import Arrays, ArraySource
from .cropping import resize_short_side
from .decoding import Encoded, Picture

PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble_deep_field": ("skimage", "data/hubble_deep_field.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle_left": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
_SHORT_SIDE = 320
_SIDE = 32
_CROP_SIDES = (32, 80)
_PARTS = {"train": (0.0, 0.55, 4000), "test": (0.6, 1.0, 600)}  # of the width; crops
_DIGITS_TEST = 360  # the last ones, by other writers than most of the first 1,437


def photograph(name: str) -> Picture:
    """One of the 14 photographs, not yet decoded.

    Raises:
        DataError: the installed package does not carry it.
        MissingExtra: the package is not installed.
    """
    package, inside = PHOTOGRAPHS[name]
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(package, "all")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file():
        raise DataError(
            f"{path} is missing from the installed package",
            "pip install --force-reinstall scikit-image scikit-learn",
        )
    return Picture(Encoded(str(path), path.read_bytes()), name)


def photos(split: str) -> ArraySource:
    """Crops of photographs as (32, 32, 3) uint8; the label is the photograph.

    Args:
        split: "train" (4,000 crops) or "test" (600).
    """
    return ArraySource("photos" if split == "train" else f"photos:{split}", partial(_crops, split))


def _crops(split: str) -> Arrays:
    """Crop i shows photograph i mod 14; place and side are drawn with key (0, i)."""
    begin, end, count = _PARTS[split]
    names = sorted(PHOTOGRAPHS)
    wholes = [resize_short_side(photograph(n).image(), _SHORT_SIDE, _BILINEAR) for n in names]
    draws = Draws(seed=0, ids=torch.arange(count), stream=f"photos/{split}").uniform(3)
    images = np.empty((count, _SIDE, _SIDE, 3), dtype=np.uint8)
    for i, numbers in enumerate(draws.tolist()):
        images[i] = _crop(wholes[i % len(names)], (begin, end), numbers)
    keys = [f"{split}/{i:04d}-{names[i % len(names)]}" for i in range(count)]
    return Arrays(images, keys, np.arange(count) % len(names), tuple(names))


_BILINEAR = Pillow.Resampling.BILINEAR


def _crop(
    image: Pillow.Image, part: tuple[float, float], numbers: list[float]
) -> NDArray[np.uint8]:
    left, right = round(part[0] * image.width), round(part[1] * image.width)
    low, high = _CROP_SIDES
    side = low + int(numbers[0] * (high - low + 1))
    x = left + int(numbers[1] * (right - left - side + 1))
    y = int(numbers[2] * (image.height - side + 1))
    # cropped before the resize: the filter must not see the other part of the photograph
    return np.asarray(image.crop((x, y, x + side, y + side)).resize((_SIDE, _SIDE), _BILINEAR))


def digits(split: str) -> ArraySource:
    """scikit-learn's handwritten digits as (8, 8) uint8: 1,437 train, 360 test."""
    return ArraySource("digits" if split == "train" else f"digits:{split}", partial(_digits, split))


def _digits(split: str) -> Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    part = slice(None, -_DIGITS_TEST) if split == "train" else slice(-_DIGITS_TEST, None)
    keys = [f"{split}/{i:04d}" for i in range(len(images))[part]]
    return Arrays(images[part], keys, labels[part], tuple(str(i) for i in range(10)))
