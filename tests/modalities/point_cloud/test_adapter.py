"""The adapter: one form, augmentation, the same numbers each time, pictures, and bad clouds."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.draws import Draws
from masquerade.core.errors import DataError
from masquerade.core.extras import installed
from masquerade.core.modality import Sample
from masquerade.core.tokens import Batch, Tokens
from masquerade.modalities.files import Encoded
from masquerade.modalities.point_cloud import PointCloud
from masquerade.modalities.point_cloud.drawing import HIDDEN, PREDICTED, VISIBLE
from masquerade.modalities.point_cloud.files import read_shape
from masquerade.modalities.point_cloud.meshes import sample_surface
from masquerade.modalities.point_cloud.preparation import in_unit_sphere, surface_form

sys.path.insert(0, str(Path(__file__).parent))
from shape_files import FACES, TETRAHEDRON, cloud, off, ply  # noqa: E402

FEW = settings(max_examples=20, deadline=None)


def draws(number=0, epoch=0):
    return Draws(3, torch.tensor([number]), epoch)


def prepared(content, step=None, **config):
    adapter = PointCloud(PointCloud.Config(**{"points": 32, **config}))
    return adapter.prepare(Sample("one", content), step)["points"]


@FEW
@given(seed=st.integers(0, 100), scale=st.floats(1e-3, 1e6), shift=st.floats(-100, 100))
def test_normalized_clouds_lie_in_the_unit_sphere_wherever_they_were(seed, scale, shift):
    points = cloud(seed=seed)
    found = in_unit_sphere((points * scale + shift * scale).astype(np.float32))
    assert np.abs(found.mean(axis=0)).max() < 1e-5
    assert np.linalg.norm(found, axis=1).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found, in_unit_sphere(points), atol=1e-3)


def test_points_are_repeated_in_order_where_a_cloud_has_fewer():
    found = prepared(cloud(5), points=12, normalize="none")
    np.testing.assert_array_equal(found, np.tile(cloud(5), (3, 1))[:12])


@pytest.mark.parametrize("form", ["as_is", "surface"])
@pytest.mark.parametrize("content", [np.ones((1, 3)), np.full((9, 3), -7.0)])
def test_one_point_and_duplicates_become_the_origin(content, form):
    found = prepared(content.astype(np.float32), form=form)
    assert found.shape == (32, 3)
    assert (found == 0).all()


def test_taking_first_random_and_farthest():
    points = cloud(50)
    first = prepared(points, draws(), take="first", normalize="none", augment="none")
    np.testing.assert_array_equal(first, points[:32])
    np.testing.assert_array_equal(prepared(points, take="random", normalize="none"), points[:32])
    rows = {tuple(p) for p in points.tolist()}
    for take in ("random", "farthest"):
        found = prepared(points, draws(), take=take, normalize="none", augment="none").tolist()
        assert len({tuple(p) for p in found} & rows) == 32
    again = prepared(points, draws(epoch=1), normalize="none", augment="none")
    assert not torch.equal(again, prepared(points, draws(), normalize="none", augment="none"))


def test_a_cloud_depends_on_its_own_draws_alone():
    one = prepared(cloud(50), draws(7))
    assert torch.equal(one, prepared(cloud(50), draws(7)))
    assert not torch.equal(one, prepared(cloud(50), draws(8)))


def test_scale_and_shift_are_the_published_ranges():
    points = torch.ones(4, 3)
    found = np.stack([
        prepared(points.numpy(), draws(i), normalize="none", points=4)[0].numpy()
        for i in range(400)
    ])  # fmt: skip
    assert found.min() >= 2 / 3 - 0.2
    assert found.max() <= 3 / 2 + 0.2
    # U(2/3, 3/2) + U(-0.2, 0.2): mean 13/12, variance (5/6)²/12 + 0.4²/12
    assert found.mean() == pytest.approx(13 / 12, abs=0.03)
    assert found.var() == pytest.approx((25 / 36 + 0.16) / 12, rel=0.15)


def test_rotation_is_about_y_and_keeps_lengths_to_its_scale():
    points = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    config = {"normalize": "none", "augment": "rotate_scale", "points": 3, "take": "first"}
    found = torch.stack([prepared(points, draws(i), **config) for i in range(200)])
    assert (found[:, 1, [0, 2]] == 0).all()
    lengths = found.norm(dim=-1)
    assert 0.9 - 1e-6 <= lengths.min()
    assert lengths.max() <= 1.1 + 1e-6
    assert (found[:, 0, 0] < -0.5).any()
    assert (found[:, 0, 0] > 0.5).any()


def test_evaluation_is_not_augmented():
    assert torch.equal(prepared(cloud(50)), prepared(cloud(50), augment="none"))


# meshes ------------------------------------------------------------------------------------------


def test_meshes_are_sampled_by_area_always_alike():
    """A triangle of three times the area gets three quarters of the points."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [8, 0, 0], [5, 1, 0]], "f4")
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    points = sample_surface("two", corners, faces, 4000, draws())
    right = points[:, 0] >= 5
    assert right.mean() == pytest.approx(0.75, abs=0.03)
    x, y = points[~right, 0], points[~right, 1]
    assert (x + y).max() <= 1 + 1e-6
    # uniform on the triangle: the mean is its centroid
    assert (x.mean(), y.mean()) == pytest.approx((1 / 3, 1 / 3), abs=0.03)
    assert (points == sample_surface("two", corners, faces, 4000, draws())).all()


def test_a_mesh_file_gives_points_on_its_faces_of_one_choice():
    content = Encoded("a.off", off(TETRAHEDRON, FACES.tolist()))
    found = prepared(content, normalize="none", points=500)
    on_face = (found.abs().amin(1) < 1e-6) | ((found.sum(1) - 1).abs() < 1e-5)
    assert on_face.all()
    assert torch.equal(found, prepared(content, normalize="none", points=500))


def test_a_mesh_without_area_is_refused():
    flat = np.zeros((3, 3), dtype=np.float32)
    with pytest.raises(DataError, match=r"a\.off: its triangles have no area"):
        prepared(Encoded("a.off", off(flat, [[0, 1, 2]])))


# bad clouds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_coordinates_that_are_no_numbers_are_refused_or_dropped(bad):
    points = cloud(40).astype(np.float64)
    points[3, 1] = bad
    with pytest.raises(DataError, match="point 3 is not finite"):
        prepared(points)
    found = prepared(points, non_finite="drop", normalize="none")
    np.testing.assert_array_equal(found, np.delete(points, 3, axis=0)[:32].astype(np.float32))
    with pytest.raises(DataError, match="none of its 2 points"):
        prepared(np.full((2, 3), np.nan), non_finite="drop")


def test_an_empty_cloud_is_refused():
    with pytest.raises(DataError, match="no points"):
        prepared(np.zeros((0, 3), np.float32))
    with pytest.raises(DataError, match="shape"):
        prepared(np.zeros((4, 2), np.float32))


def test_columns_behind_the_coordinates_are_left_out():
    wide = np.concatenate([cloud(40), np.ones((40, 4), np.float32)], axis=1)
    assert torch.equal(prepared(wide), prepared(cloud(40)))


# one form ----------------------------------------------------------------------------------------


def spacing(points):
    """What a classifier of the sampling would look at: nearest distances, in their own mean."""
    near = torch.cdist(points, points).fill_diagonal_(9).amin(1)
    near = near / near.mean()
    shares = torch.tensor([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    return torch.cat([near.std()[None], near.quantile(shares)])


def samplings(whole, number):
    """One shape as three kinds of source make it: at random, farthest points, full cells."""
    from masquerade.core.geometry import farthest_points

    order = draws(number).permutation(len(whole))[0].numpy()
    low, extent = whole.min(0), (whole.max(0) - whole.min(0)).max()
    cells = np.unique(((whole - low) / extent * 31.99).astype(int), axis=0) + 0.5
    far = farthest_points(torch.from_numpy(whole)[None], 1024)[0].numpy()
    return whole[order[:2048]], whole[far], cells.astype(np.float32)


def guessed(features, labels, groups):
    """Accuracy of a logistic regression over held-out shapes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return cross_val_score(model, features, labels, groups=groups, cv=GroupKFold(5)).mean()


def test_spacing_tells_the_source_before_preparation_and_not_after(shared):
    """Twenty real shapes, each sampled in three ways: chance is 1/3."""
    path = shared / "data/clouds/meshes_sampled/meshes_4096_normals.npz"
    with np.load(path) as file:
        wholes = file["points"][:20, :, :3].astype(np.float32)
    raw, formed, labels, groups = [], [], [], []
    for number, whole in enumerate(wholes):
        for label, points in enumerate(samplings(whole, number)):
            raw.append(spacing(torch.from_numpy(in_unit_sphere(points))).numpy())
            alike = surface_form(points, 32, 256, draws(number * 3 + label))
            formed.append(spacing(torch.from_numpy(in_unit_sphere(alike))).numpy())
            labels.append(label)
            groups.append(number)
    before, after = (guessed(np.stack(f), labels, groups) for f in (raw, formed))
    assert before > 0.9
    # 60 guesses at chance 1/3: the standard deviation is 0.061
    assert after < 1 / 3 + 2.6 * 0.061, (before, after)


def test_the_inside_of_a_solid_grid_is_left_out():
    side = np.arange(16)
    solid = np.stack(np.meshgrid(side, side, side), -1).reshape(-1, 3).astype(np.float32)
    found = surface_form(solid, 16, 200, draws())
    assert ((found < 2) | (found >= 16)).any(axis=1).all()


# pictures ----------------------------------------------------------------------------------------


@pytest.fixture
def reconstructed():
    points = torch.from_numpy(np.stack([cloud(60, 1), cloud(60, 2)]))
    centres = points[:, :6]
    values = centres[:, :, None].expand(-1, -1, 4, -1).flatten(2)
    hidden = torch.tensor([[True, True, False, False, True, False]] * 2)
    batch = Batch({"points": points}, ids=torch.arange(2))
    return batch, Tokens(values, positions=centres), hidden


def test_a_picture_shows_visible_hidden_and_predicted_points(reconstructed, tmp_path):
    from PIL import Image as Pillow

    batch, tokens, hidden = reconstructed
    adapter = PointCloud(PointCloud.Config())
    path = adapter.draw(batch, tokens, hidden.reshape(1, -1), tmp_path / "picture")
    assert path == tmp_path / "picture.png"
    pixels = np.asarray(Pillow.open(path).convert("RGB")).astype(int)
    thirds = np.array_split(pixels, 3, axis=1)
    for colour, wanted in ((VISIBLE, (1, 1, 1)), (HIDDEN, (1, 0, 0)), (PREDICTED, (0, 0, 1))):
        seen = [(np.abs(t - np.array(colour)).sum(-1) < 6).any() for t in thirds]
        assert seen == [bool(w) for w in wanted], colour


def test_a_ply_of_the_reconstruction_is_read_back(reconstructed, tmp_path):
    batch, tokens, hidden = reconstructed
    path = PointCloud(PointCloud.Config()).draw(batch, tokens, hidden, tmp_path / "a.ply")
    found = read_shape(Encoded("a.ply", path.read_bytes()))
    assert len(found.points) == 6 * 4
    assert path.read_text().count("214 39 40") == 3 * 4


# the baseline and the embedded set ---------------------------------------------------------------


def test_raw_is_the_distribution_of_distances_whatever_the_order():
    points = torch.from_numpy(in_unit_sphere(cloud(60)))[None]
    adapter = PointCloud(PointCloud.Config())
    found = adapter.raw(Batch({"points": points}, ids=torch.arange(1)))["distances"]
    turned = points[:, torch.randperm(60)] @ torch.linalg.qr(torch.randn(3, 3))[0]
    other = adapter.raw(Batch({"points": turned}, ids=torch.arange(1)))["distances"]
    assert found.shape == (1, 64)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert (found - other).abs().max() < 3e-3  # a distance at a bin's edge may change its bin


@pytest.mark.skipif(not installed("pyvista"), reason="pyvista is not installed")
def test_the_embedded_pieces():
    from masquerade.modalities.point_cloud.embedded import pieces

    train, test = pieces("train"), pieces("test")
    assert (len(train), len(test), train.classes) == (400, 100, test.classes)
    assert np.bincount(test.labels).tolist() == [25] * 4
    assert train.read(5).content.shape == (1024, 3)
    assert (train.read(5).content == pieces("train").read(5).content).all()


def test_a_ply_of_colours_alone_is_refused():
    data = ply(cloud(3), colours=True).replace(b"property float x\n", b"")
    with pytest.raises(DataError, match="damaged"):
        prepared(Encoded("c.ply", data))
