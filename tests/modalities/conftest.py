"""Real photographs as small arrays, and a folder of them."""

import pytest
from PIL import Image as Pillow

from masquerade.modalities.image.embedded import photograph


def crop(name, width, height, left=60, top=40):
    """A (height, width, 3) uint8 part of an embedded photograph."""
    return photograph(name).pixels((left, top, left + width, top + height))


@pytest.fixture(scope="session")
def coffee():
    """A 60 × 40 part of a photograph: (40, 60, 3) uint8."""
    return crop("coffee", 60, 40)


@pytest.fixture(scope="session")
def twelve():
    """Twelve equal-size parts: key → (array, class name), keys sorted."""
    names = ("astronaut", "chelsea", "rocket")
    return {
        f"{name}/{i}": (crop(name, 48, 40, left=30 * i), name) for name in names for i in range(4)
    }


@pytest.fixture
def folder(tmp_path, twelve):
    """The twelve as loss-free files in a folder per class."""
    root = tmp_path / "pictures"
    for key, (array, _) in twelve.items():
        path = root / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(array).save(path)
    return root
