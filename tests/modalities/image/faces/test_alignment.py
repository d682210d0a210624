"""Alignment: hand-made landmarks, the official vectors, and the warp's pixels."""

import os
from pathlib import Path

import numpy as np
import pytest

from masquerade.core.errors import DataError
from masquerade.modalities.image.faces.alignment import align, similarity, warp
from masquerade.modalities.image.faces.templates import apply, template

POINTS = template("arcface-112").points


def made(scale, degrees, shift):
    """A (2, 3) similarity from its parts."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"),
    [(1, 0, (0, 0)), (2.5, 0, (3, -7)), (0.3, 90, (50, 2)), (1.7, -33, (-4, 9)), (1, 180, (9, 9))],
)
def test_similarity_recovers_a_hand_made_transform(scale, degrees, shift):
    there = made(scale, degrees, shift)
    np.testing.assert_allclose(similarity(POINTS, apply(there, POINTS)), there, atol=1e-9)


def test_similarity_by_hand():
    """By hand: a square and its centre, turned by a quarter, doubled, moved to (10, 20)."""
    square = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]])
    target = np.array([[12, 18], [12, 22], [10, 20], [8, 18], [8, 22]])
    np.testing.assert_allclose(similarity(square, target), [[0, -2, 10], [2, 0, 20]], atol=1e-12)


def test_similarity_never_mirrors():
    mirrored = POINTS * [-1, 1]
    matrix = similarity(mirrored, POINTS)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_similarity_equals_skimage_on_noisy_landmarks():
    """Reference: scikit-image's Umeyama estimate."""
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(3)
    for _ in range(50):
        points = rng.normal(100, 40, (5, 2))
        if hasattr(SimilarityTransform, "from_estimate"):
            reference = SimilarityTransform.from_estimate(points, POINTS)
        else:  # scikit-image before 0.26
            reference = SimilarityTransform()
            reference.estimate(points, POINTS)
        np.testing.assert_allclose(similarity(points, POINTS), reference.params[:2], atol=1e-9)


def test_similarity_equals_the_official_vectors():
    root = Path(__file__).resolve().parents[4]
    folder = Path(os.environ.get("MASQUERADE_GOLDEN", root.parent / "shared" / "golden"))
    path = folder / "vec2face_fr.npz"
    if not path.is_file():
        pytest.skip(f"no golden vectors at {path} (set MASQUERADE_GOLDEN)")
    with np.load(path) as vectors:
        np.testing.assert_allclose(POINTS, vectors["output/align_template"], atol=1e-5)
        landmarks, matrices = vectors["input/align_landmarks"], vectors["output/align_matrix"]
    assert len(landmarks)
    for points, expected in zip(landmarks, matrices, strict=True):
        np.testing.assert_allclose(similarity(points, POINTS), expected, rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (np.zeros((5, 2)), "coincide"),
        (np.full((5, 2), np.nan), "finite"),
        (np.zeros((4, 2)), r"shape \(4, 2\)"),
    ],
)
def test_similarity_refuses_what_is_no_face(points, sentence):
    with pytest.raises(DataError, match=sentence):
        similarity(points, POINTS)


def test_warp_by_the_identity_copies_and_pads_with_zeros(coffee):
    found = warp(coffee, np.eye(2, 3), 50)
    np.testing.assert_array_equal(found[:40], coffee[:, :50])
    assert not found[40:].any()


def test_warp_half_a_pixel_is_the_rounded_mean_of_neighbours():
    """By hand: 0.5 px to the right; the first pixel mixes with the zero outside."""
    picture = np.array([[10, 20, 31]], np.uint8)[..., None].repeat(3, axis=0).repeat(3, axis=2)
    found = warp(picture, np.array([[1, 0, 0.5], [0, 1, 0]]), 3)
    np.testing.assert_array_equal(found[1, :, 0], [5, 15, 26])


def test_warp_equals_skimage(coffee):
    """Reference: scikit-image's bilinear warp, on a turned and scaled part."""
    from skimage.transform import AffineTransform
    from skimage.transform import warp as reference

    matrix = made(1.3, 20, (5, -8))
    whole = AffineTransform(matrix=np.vstack([matrix, [0, 0, 1]]))
    expected = reference(
        coffee.astype(float), whole.inverse, output_shape=(48, 48), order=1, cval=0.0
    )
    difference = np.abs(warp(coffee, matrix, 48).astype(float) - expected)
    inner = reference(np.ones((40, 60)), whole.inverse, output_shape=(48, 48), order=1) > 0.999
    assert difference[inner].max() <= 0.51
    assert difference.mean() < 0.6


def test_align_puts_a_landmark_where_the_template_has_it():
    """A white dot at each landmark of a turned face lands on the template's points."""
    there = made(1.8, 25, (40, 30))
    points = apply(there, POINTS)
    picture = np.zeros((300, 300, 3), np.uint8)
    for x, y in points:
        picture[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    face = align(picture, points, template("arcface-112"))
    assert face.shape == (112, 112, 3)
    for x, y in POINTS:
        patch = face[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5, 0].astype(float)
        rows, columns = np.mgrid[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
        centre = [(patch * columns).sum() / patch.sum(), (patch * rows).sum() / patch.sum()]
        np.testing.assert_allclose(centre, [x, y], atol=0.5)
