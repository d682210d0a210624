"""Depth maps: against the formula point by point, the round trip, the frame, degenerate clouds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from masquerade.core.errors import UsageError
from masquerade.core.geometry import VIEWS, project

FEW = settings(max_examples=15, deadline=None)


def clouds(seed, n_points=60):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(2, 1, 3, generator=generator) + 0.05
    return torch.randn(2, n_points, 3, generator=generator) * scale


def drawn_by_hand(cloud, view, side=224):
    """The published steps, one spread point at a time; returns the picture and the own pixels."""
    rows, columns, depth = (cloud[:, axis] for axis in view)
    extent = max(rows.max() - rows.min(), columns.max() - columns.min())
    grid = extent / (side - 3)
    cells = [((c - c.min()) / grid).floor().long().tolist() for c in (rows, columns)]
    spread = [
        (i + 1 + a, j + 1 + b, float(z))
        for i, j, z in zip(*cells, depth, strict=True)
        for a in range(-2, 3)
        for b in range(-2, 3)
    ]
    shift = [
        side // 2
        - math.floor((max(p[axis] for p in spread) + min(p[axis] for p in spread)) / 2)
        - 1
        for axis in (0, 1)
    ]
    picture = torch.zeros(side, side, dtype=torch.float64)
    for i, j, z in spread:
        place = [i + shift[0], j + shift[1]]
        place = [p + (p < 0) - (p > side - 1) for p in place]
        picture[place[0], place[1]] += z
    own = [[i + 1 + shift[0], j + 1 + shift[1]] for i, j in zip(*cells, strict=True)]
    return picture, own


@pytest.mark.parametrize("seed", [0, 1])
def test_depth_maps_equal_the_published_steps(seed):
    points = clouds(seed)
    found = project(points)
    own = found.pixels(points)
    for b in range(2):
        for v, view in enumerate(VIEWS):
            picture, pixels = drawn_by_hand(points[b], view)
            torch.testing.assert_close(found.depth[b, v].double(), picture, rtol=1e-5, atol=1e-5)
            assert own[b, :, v].tolist() == pixels


@FEW
@given(seed=st.integers(0, 1000), side=st.sampled_from([16, 64, 224]))
def test_a_points_own_pixel_holds_its_depth_and_nothing_is_lost(seed, side):
    points = clouds(seed)
    found = project(points, side)
    own = found.pixels(points)
    assert own.min() >= 1
    assert own.max() <= side - 2
    total = torch.stack([points[..., view[2]].sum(1) for view in VIEWS], dim=1)
    torch.testing.assert_close(found.depth.sum((2, 3)), 25 * total, rtol=1e-3, atol=1e-2)
    # a point alone within five pixels is read back exactly
    for v, view in enumerate(VIEWS):
        pixels = own[0, :, v]
        apart = (pixels[:, None] - pixels[None]).abs().amax(-1) > 4
        alone = apart.sum(1) == len(pixels) - 1
        values = found.depth[0, v][pixels[alone, 0], pixels[alone, 1]]
        torch.testing.assert_close(values, points[0, alone, view[2]], rtol=1e-5, atol=1e-6)


@FEW
@given(seed=st.integers(0, 1000), height=st.integers(2, 14))
def test_back_projection_equals_enlarging_first(seed, height):
    points = clouds(seed)
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, 5, height, 14, generator=generator)
    found = project(points).back(maps, points)
    pixels = project(points).pixels(points)
    enlarged = F.interpolate(maps.flatten(0, 1), size=(224, 224), mode="bicubic")
    enlarged = enlarged.unflatten(0, (2, 3))
    for b in range(2):
        for v in range(3):
            wanted = enlarged[b, v][:, pixels[b, :, v, 0], pixels[b, :, v, 1]].T
            torch.testing.assert_close(found[b, :, v], wanted, rtol=1e-4, atol=1e-5)


@FEW
@given(seed=st.integers(0, 1000))
def test_moving_and_scaling_the_plane_moves_no_pixel_of_occupied_ones(seed):
    points = clouds(seed)
    own = project(points).pixels(points)
    moved = points * 4 - 8  # powers of two: no rounding
    assert (project(moved).pixels(moved) - own).abs().max() <= 1


@pytest.mark.parametrize("points", [torch.ones(1, 1, 3), torch.full((2, 7, 3), -3.0)])
def test_a_cloud_of_one_place_is_drawn_in_the_middle(points):
    found = project(points)
    assert found.depth.isfinite().all()
    assert (found.pixels(points) == 111).all()
    assert found.depth[0, 0, 111, 111] == points.shape[1] * points[0, 0, 2]


def test_points_outside_are_held_inside_the_picture():
    points = clouds(0)
    found = project(points).pixels(points * 50)
    assert found.min() == 0
    assert found.max() == 223


def test_a_picture_too_small_is_refused():
    with pytest.raises(UsageError, match="cannot hold"):
        project(clouds(0), side=4)
