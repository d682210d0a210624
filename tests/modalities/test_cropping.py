"""Crops: the rule, its fallback, and that one resize is the usual two steps."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from masquerade.core.draws import Draws
from masquerade.modalities.image.cropping import centre, cut, random_box, reduction, whole
from masquerade.modalities.image.decoding import Encoded, Picture

RATIO = (3 / 4, 4 / 3)


def draws(number, epoch=0):
    return Draws(seed=0, ids=torch.tensor([number]), epoch=epoch)


class Told:
    """Draws that say what the test wants."""

    def __init__(self, rows):
        self.rows = rows

    def uniform(self, *shape):
        filled = self.rows + [[0.0] * 4] * (shape[0] - len(self.rows))
        return torch.tensor([filled], dtype=torch.float64)


def test_random_box_of_given_numbers_follows_the_rule():
    # by hand: area 0.2 + 0.5·0.8 = 0.6 of 100·80 = 4800, aspect exp(0) = 1, side √4800 = 69.3;
    # left = ⌊0.5·(100 − 69 + 1)⌋ = 16, top = ⌊0.25·(80 − 69 + 1)⌋ = 3
    box = random_box((100, 80), (0.2, 1.0), RATIO, Told([[0.5, 0.5, 0.5, 0.25]]))
    assert box == (16, 3, 85, 72)


def test_random_box_tries_again_when_the_first_does_not_fit():
    # by hand: all of the area with aspect 4/3 is wider than the square (115 > 100)
    box = random_box((100, 100), (0.2, 1.0), RATIO, Told([[1.0, 1.0, 0, 0], [0.0, 0.5, 0, 0]]))
    assert box == (0, 0, 45, 45)  # √2000 = 44.7


@pytest.mark.parametrize(
    ("size", "box"),
    [((1000, 10), (493, 0, 506, 10)), ((10, 1000), (0, 493, 10, 506)), ((1, 1), (0, 0, 1, 1))],
)
def test_random_box_that_never_fits_is_the_largest_central_one(size, box):
    # by hand: 10·4/3 = 13.3 → 13 wide, from (1000 − 13) // 2
    assert random_box(size, (1.0, 1.0), RATIO, draws(0)) == box


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 2**62))
def test_random_box_lies_inside(width, height, number):
    left, top, right, bottom = random_box((width, height), (0.08, 1.0), RATIO, draws(number))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_random_boxes_have_the_distribution_of_the_rule():
    boxes = np.array([random_box((400, 300), (0.2, 1.0), RATIO, draws(i)) for i in range(1500)])
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, aspect = w * h / 120_000, np.log(w / h)
    # an independent restatement with NumPy's generator, rejection included
    rng = np.random.default_rng(1)
    kept = []
    while len(kept) < 20_000:
        a, r = rng.uniform(0.2, 1), math.exp(rng.uniform(*np.log(RATIO)))
        if math.sqrt(a * 120_000 * r) <= 400 and math.sqrt(a * 120_000 / r) <= 300:
            kept.append((a, math.log(r)))
    expected = np.array(kept)
    # four standard errors of 1,500 draws
    assert abs(area.mean() - expected[:, 0].mean()) < 4 * expected[:, 0].std() / math.sqrt(1500)
    assert abs(aspect.mean() - expected[:, 1].mean()) < 4 * expected[:, 1].std() / math.sqrt(1500)


def test_crop_is_keyed_by_row_and_epoch_not_by_order():
    first = [random_box((300, 200), (0.2, 1.0), RATIO, draws(i)) for i in (5, 6, 7)]
    second = [random_box((300, 200), (0.2, 1.0), RATIO, draws(i)) for i in (7, 5)]
    assert second == [first[2], first[0]]
    assert random_box((300, 200), (0.2, 1.0), RATIO, draws(5, epoch=1)) != first[0]


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (47, 47), (200, 53), (28, 28)])
def test_centre_is_pillows_resize_then_crop(coffee, size):
    image = Pillow.fromarray(coffee).resize(size)
    target, short = 28, 32
    long_side = int(short * max(size) / min(size))
    resized = image.resize(
        (short, long_side) if size[0] <= size[1] else (long_side, short), Pillow.Resampling.BICUBIC
    )
    left, top = round((resized.width - target) / 2), round((resized.height - target) / 2)
    expected = np.asarray(resized.crop((left, top, left + target, top + target))).astype(int)
    found = centre(Picture(np.asarray(image), "key"), target, 28 / 32)
    assert abs(found.permute(1, 2, 0).numpy() - expected).max() <= 2


@pytest.mark.parametrize("size", [(4000, 20), (20, 4001)])
def test_centre_of_a_very_long_picture_is_its_middle(size):
    ramp = np.linspace(0, 255, max(size)).astype(np.uint8)
    line = ramp[:, None] if size[1] > size[0] else ramp[None, :]
    array = np.broadcast_to(line[..., None], (size[1], size[0], 3))
    found = centre(Picture(array, "key"), 28, 0.875)
    assert found.shape == (3, 28, 28)
    assert abs(found.float() - 127.5).max() < 2


def test_cut_is_pillows_crop_then_resize(coffee):
    box = (7, 3, 50, 36)
    image = Pillow.fromarray(coffee).crop(box).resize((24, 24), Pillow.Resampling.BICUBIC)
    found = cut(Picture(coffee, "key"), box, 24).permute(1, 2, 0).numpy()
    assert abs(found - np.asarray(image).astype(int)).max() <= 2


def test_centre_of_everything_at_its_own_size_changes_no_pixel(coffee):
    square = np.ascontiguousarray(coffee[:, :40])
    found = centre(Picture(square, "key"), 40, 1.0)
    assert np.array_equal(found.permute(1, 2, 0).numpy(), square)


@pytest.mark.parametrize(("side", "factor"), [(447, 1), (448, 2), (1791, 4), (1792, 8), (9999, 8)])
def test_reduction_keeps_at_least_the_target(side, factor):
    assert reduction((side, 2 * side), 224) == factor


def jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return Picture(Encoded("f.jpg", buffer.getvalue()), "f")


def test_reduced_decode_shows_the_same_crop(coffee):
    image = Pillow.fromarray(coffee).resize((900, 601), Pillow.Resampling.BICUBIC)
    box = (100, 51, 611, 562)
    full = cut(jpeg(image), box, 64, reduced_decode=False).float()
    small = cut(jpeg(image), box, 64, reduced_decode=True).float()
    shifted = cut(jpeg(image), (116, 51, 627, 562), 64, reduced_decode=False).float()
    # 16 pixels are 2 of the result: a box in the wrong scale or place would look like that
    assert abs(full - small).mean() < 0.25 * abs(full - shifted).mean()


def test_whole_scales_down_but_never_up(coffee):
    assert whole(Picture(coffee, "k"), 20).shape == (20, 30, 3)
    assert whole(Picture(coffee, "k"), 100).shape == (40, 60, 3)
