"""Farthest points, neighbours, Chamfer and interpolation: brute force, laws, and bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import MissingExtra, UsageError
from masquerade.core.extras import installed
from masquerade.core.geometry import (
    chamfer,
    chamfer_per_cloud,
    farthest_points,
    interpolate_nearest,
    nearest_neighbours,
    take_points,
)

FEW = settings(max_examples=25, deadline=None)
pytorch3d = pytest.mark.skipif(not installed("pytorch3d"), reason="pytorch3d is not installed")


def clouds(seed, n_clouds=2, n_points=40):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_clouds, n_points, 3, generator=generator)


def farthest_by_hand(points, count, skip=False):
    """One cloud (N, 3), float64, one distance at a time."""
    points = points.double()
    chosen = [0]
    for _ in range(count - 1):
        best, place = -1.0, 0
        for i, point in enumerate(points):
            if skip and float(point.square().sum()) <= 1e-3:
                continue
            nearest = min(float((point - points[c]).square().sum()) for c in chosen)
            if nearest > best:
                best, place = nearest, i
        chosen.append(place)
    return chosen


@pytest.mark.parametrize("skip", [False, True])
def test_farthest_points_equal_brute_force(skip):
    points = clouds(0)
    points[:, 5:15] *= 0.01  # near the origin
    count = 25 if skip else 35  # of 40, ten of them near the origin
    found = farthest_points(points, count, skip_near_origin=skip)
    assert found.tolist() == [farthest_by_hand(cloud, count, skip) for cloud in points]
    assert skip != bool(((found >= 5) & (found < 15)).any())


@FEW
@given(seed=st.integers(0, 1000), count=st.integers(1, 30))
def test_each_farthest_point_is_the_farthest(seed, count):
    points = clouds(seed, 1)
    ids = farthest_points(points, count)[0]
    assert ids[0] == 0
    assert len(set(ids.tolist())) == count
    for step in range(1, count):
        nearest = torch.cdist(points[0].double(), points[0, ids[:step]].double()).amin(1)
        assert nearest[ids[step]] >= nearest.max() - 1e-6


def test_farthest_points_of_a_smaller_count_come_first():
    points = clouds(3)
    assert torch.equal(farthest_points(points, 9), farthest_points(points, 30)[:, :9])


def test_more_farthest_points_than_places_repeat_the_first():
    places = torch.tensor([[[1.0, 0, 0], [1, 0, 0], [0, 2, 0]]])
    assert farthest_points(places, 5).tolist() == [[0, 2, 0, 0, 0]]
    assert farthest_points(torch.ones(2, 4, 3), 3).tolist() == [[0, 0, 0]] * 2
    assert farthest_points(torch.ones(1, 1, 3), 2).tolist() == [[0, 0]]


@FEW
@given(seed=st.integers(0, 1000), k=st.integers(1, 40))
def test_neighbours_equal_brute_force(seed, k):
    points, queries = clouds(seed), clouds(seed + 1, n_points=7)
    distances, ids = nearest_neighbours(queries, points, k)
    every = (queries.double()[:, :, None] - points.double()[:, None]).square().sum(-1)
    torch.testing.assert_close(distances, every.sort(-1).values[..., :k].float())
    torch.testing.assert_close(every.gather(2, ids).float(), distances)
    assert all(len(set(row)) == k for rows in ids.tolist() for row in rows)


def test_a_point_is_its_own_nearest_at_no_distance_far_from_the_origin():
    points = clouds(1) + 100
    distances, ids = nearest_neighbours(points, points, 1)
    assert (distances == 0).all()
    assert (ids[..., 0] == torch.arange(40)).all()


def test_blocks_of_queries_change_nothing(monkeypatch):
    points, queries = clouds(1, 5), clouds(2, 5, 11)
    whole = nearest_neighbours(queries, points, 4)
    monkeypatch.setattr("masquerade.core.geometry.neighbours._BLOCK_VALUES", (130, 130))
    for one, other in zip(whole, nearest_neighbours(queries, points, 4), strict=True):
        assert torch.equal(one, other)


def test_fewer_points_than_neighbours_repeat_the_nearest():
    points = torch.tensor([[[0.0, 0, 0], [3, 0, 0]]])
    distances, ids = nearest_neighbours(points[:, 1:], points, 4)
    assert ids.tolist() == [[[1, 0, 1, 1]]]
    assert distances.tolist() == [[[0, 9, 0, 0]]]


def test_chamfer_by_hand():
    one = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0]]])
    other = torch.tensor([[[0.0, 4, 0]]])
    # one → other: 16, 25; other → one: 16
    assert chamfer(one, other).item() == pytest.approx(20.5 + 16)
    assert chamfer(one, other, squared=False).item() == pytest.approx((4.5 + 4) / 2)
    zero = one.clone().requires_grad_()
    chamfer(zero, one, squared=False).backward()
    assert zero.grad.isfinite().all()


@FEW
@given(seed=st.integers(0, 1000))
def test_chamfer_is_symmetric_and_ignores_order_and_moves_with_scale(seed):
    one, other = clouds(seed), clouds(seed + 1, n_points=25)
    found = chamfer_per_cloud(one, other)
    torch.testing.assert_close(found, chamfer_per_cloud(other, one))
    torch.testing.assert_close(found, chamfer_per_cloud(one.flip(1), other))
    torch.testing.assert_close(9 * found, chamfer_per_cloud(3 * one, 3 * other))
    assert (chamfer_per_cloud(one, one.flip(1)) == 0).all()


def test_chamfer_of_large_clouds_is_the_same_with_the_same_gradient(monkeypatch):
    results = []
    for block in (1 << 24, 10):
        monkeypatch.setattr("masquerade.core.geometry.chamfer_distance._BLOCK_VALUES", block)
        one = clouds(4).requires_grad_()
        loss = chamfer(one, clouds(5, n_points=30))
        loss.backward()
        results.append((loss.detach(), one.grad))
    for few, many in zip(*results, strict=True):
        torch.testing.assert_close(few, many)


def test_interpolation_by_hand():
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 9]]])
    values = torch.tensor([[[1.0], [2.0], [4.0], [100.0]]])
    found = interpolate_nearest(torch.tensor([[[0.5, 0, 0], [1, 0, 0]]]), points, values)
    # distances² 0.25, 0.25, 4.25: weights 4, 4, 4/17
    assert found[0, 0, 0].item() == pytest.approx((4 + 8 + 16 / 17) / (8 + 4 / 17), rel=1e-5)
    assert found[0, 1, 0].item() == pytest.approx(2.0, abs=1e-6)


@FEW
@given(seed=st.integers(0, 1000))
def test_interpolation_of_a_constant_is_that_constant(seed):
    points, queries = clouds(seed), clouds(seed + 1, n_points=9)
    found = interpolate_nearest(queries, points, torch.full((2, 40, 3), 7.0))
    torch.testing.assert_close(found, torch.full((2, 9, 3), 7.0))
    alone = interpolate_nearest(queries, points[:, :1], torch.full((2, 1, 3), 7.0))
    torch.testing.assert_close(alone, found)


def test_take_points_by_hand():
    values = torch.arange(12.0).view(2, 3, 2)
    found = take_points(values, torch.tensor([[[2, 0]], [[1, 1]]]))
    assert found.tolist() == [[[[4, 5], [0, 1]]], [[[8, 9], [8, 9]]]]


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 4, 3), (2, 4, 2), (4, 3)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(UsageError, match="expected"):
        farthest_points(torch.zeros(shape), 2)
    with pytest.raises(UsageError, match="expected"):
        nearest_neighbours(torch.zeros(1, 2, 3), torch.zeros(shape), 2)


def test_none_asked_for_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        farthest_points(clouds(0), 0)
    with pytest.raises(UsageError, match="at least 1"):
        nearest_neighbours(clouds(0), clouds(0), 0)


def test_pytorch3d_is_named_where_it_is_asked_for_and_absent():
    if installed("pytorch3d"):
        pytest.skip("pytorch3d is installed")
    with pytest.raises(MissingExtra, match=r"masquerade-suite\[gpu\]"):
        farthest_points(clouds(0), 2, backend="pytorch3d")


@pytorch3d
def test_pytorch3d_gives_the_same():
    one, other = clouds(0), clouds(1, n_points=30)
    both = [farthest_points(one, 20, backend=b) for b in ("torch", "pytorch3d")]
    assert torch.equal(*both)
    found = [nearest_neighbours(one, other, 5, backend=b) for b in ("torch", "pytorch3d")]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    torch.testing.assert_close(*(chamfer(one, other, backend=b) for b in ("torch", "pytorch3d")))
