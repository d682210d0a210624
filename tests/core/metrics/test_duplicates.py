"""Perceptual hashes of real pictures, and nearest hashes against brute force."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage import data

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import duplicates
from masquerade.core.metrics.duplicates import BITS, nearest_hashes, perceptual_hashes


def small(pixels: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BOX)
    return np.asarray(grey)


def bits_apart(first: np.ndarray, second: np.ndarray) -> int:
    one, other = perceptual_hashes(np.stack([small(first), small(second)]))
    return int((one != other).sum())


def test_light_contrast_and_jpeg_turn_few_bits_another_picture_many() -> None:
    picture = data.astronaut()[:200, 120:320]
    brighter = np.round(picture * 0.6 + 50).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=40)
    assert bits_apart(picture, picture) == 0
    assert bits_apart(picture, brighter) <= 2
    assert bits_apart(picture, np.asarray(Image.open(buffer))) <= 2
    assert bits_apart(picture, data.chelsea()[:200, 120:320]) > 16
    assert bits_apart(picture, picture[:, ::-1]) > 16


def test_hash_says_which_frequencies_lie_above_their_median() -> None:
    """The transform written out as sums of cosines."""
    grey = np.random.default_rng(0).random((1, 32, 32))
    n = np.arange(32)
    wave = np.cos(np.pi * (2 * n + 1) * np.arange(1, 9)[:, None] / 64)
    low = (wave @ grey[0] @ wave.T).reshape(-1)
    assert perceptual_hashes(grey)[0].tolist() == (low > np.median(low)).tolist()


def test_nearest_hashes_equal_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_ROWS", 8)
    random = np.random.default_rng(0)
    hashes, others = random.random((30, BITS)) < 0.5, random.random((20, BITS)) < 0.5
    groups, other_groups = np.arange(30) % 4, np.arange(20) % 3
    apart = (hashes[:, None] != hashes[None]).sum(axis=2)
    np.fill_diagonal(apart, 99)
    assert nearest_hashes(hashes).bits.tolist() == apart.min(axis=1).tolist()
    assert nearest_hashes(hashes).row.tolist() == apart.argmin(axis=1).tolist()
    apart[groups[:, None] == groups[None]] = 99
    assert nearest_hashes(hashes, groups=groups).bits.tolist() == apart.min(axis=1).tolist()
    across = (hashes[:, None] != others[None]).sum(axis=2)
    assert nearest_hashes(hashes, others).bits.tolist() == across.min(axis=1).tolist()
    across[groups[:, None] == other_groups[None]] = 99
    found = nearest_hashes(hashes, others, groups, other_groups)
    assert found.bits.tolist() == across.min(axis=1).tolist()


def test_who_is_alone_has_no_nearest_one() -> None:
    hashes = np.random.default_rng(0).random((3, BITS)) < 0.5
    found = nearest_hashes(hashes, groups=[1, 1, 1])
    assert found.bits.tolist() == [BITS + 1] * 3
    assert found.row.tolist() == [-1] * 3


def test_too_small_pictures_and_other_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="sides of 9 at least"):
        perceptual_hashes(np.zeros((1, 8, 8)))
    with pytest.raises(ValidationError, match="hashes and groups"):
        nearest_hashes(np.zeros((3, BITS), bool), groups=[0, 1])
