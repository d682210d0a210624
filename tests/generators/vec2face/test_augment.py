"""Flips and small similarities: what moves, how far, and who decides."""

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.generators.vec2face.augment import Jitter

SIDE = 112


def dot(x, y, n=1):
    """A smooth spot of 3 pixels' deviation with its middle at pixel (x, y)."""
    grid = torch.arange(SIDE, dtype=torch.float32)
    spot = torch.exp(-((grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2) / 18)
    return spot.expand(n, 3, SIDE, SIDE)


def middles(images):
    """(B, 2) the weighted mean x and y of each picture, from 0 at its centre."""
    weight = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    grid = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    return torch.stack([(weight.sum(1) * grid).sum(1), (weight.sum(2) * grid).sum(1)], 1)


def draws(n, seed=0):
    return Draws(seed, torch.arange(n))


def test_published_recipe_moves_nothing():
    images = dot(30, 40)
    assert Jitter()(images, draws(1)) is images


def test_flips_half_of_the_rows_exactly_and_nothing_else():
    images = torch.randn(1, 3, SIDE, SIDE).expand(400, -1, -1, -1)
    moved = Jitter(flip=0.5)(images, draws(400))
    flipped = (moved == images.flip(-1)).flatten(1).all(1)
    plain = (moved == images).flatten(1).all(1)
    assert bool((flipped ^ plain).all())
    assert 160 < int(flipped.sum()) < 240


def test_shift_reaches_its_limit_in_both_directions_and_not_beyond():
    where = middles(Jitter(shift=4)(dot(55.5, 55.5, 200), draws(200)))
    assert 3.7 < float(where.max()) <= 4.01
    assert -4.01 <= float(where.min()) < -3.7
    assert float(torch.corrcoef(where.T)[0, 1].abs()) < 0.25  # x and y apart


def test_rotation_keeps_the_distance_to_the_centre_and_the_angle_below_its_limit():
    where = middles(Jitter(rotation=10)(dot(85.5, 55.5, 200), draws(200)))
    angles = torch.rad2deg(torch.atan2(where[:, 1], where[:, 0]))
    assert torch.allclose(where.norm(dim=1), torch.tensor(30.0), atol=0.05)
    assert 9 < float(angles.max()) <= 10.02
    assert -10.02 <= float(angles.min()) < -9


def test_scale_changes_the_distance_alone():
    where = middles(Jitter(scale=0.1)(dot(85.5, 55.5, 200), draws(200)))
    assert float(where[:, 1].abs().max()) < 0.01
    # the picture is read at 0.9 … 1.1 times the distance: 30 / 1.1 … 30 / 0.9
    assert 27.2 < float(where[:, 0].min()) < 27.7
    assert 32.6 < float(where[:, 0].max()) < 33.4


def test_border_is_replicated():
    assert torch.allclose(Jitter(shift=20)(torch.full((9, 3, SIDE, SIDE), 0.7), draws(9)),
                          torch.tensor(0.7))  # fmt: skip


def test_row_does_not_depend_on_its_batch_and_depends_on_the_seed():
    jitter = Jitter(flip=0.5, rotation=4, scale=0.04, shift=2)
    images = torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    together = jitter(images, draws(5))
    alone = jitter(images[3:4], Draws(0, torch.tensor([3])))
    assert torch.allclose(together[3], alone[0], atol=1e-5)
    assert not torch.allclose(together, jitter(images, draws(5, seed=1)), atol=0.1)


@pytest.mark.parametrize("values", [{"flip": 1.5}, {"rotation": -1}, {"scale": 1.0}, {"shft": 1}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(UsageError, match=next(iter(values))):
        build(Jitter, values)
