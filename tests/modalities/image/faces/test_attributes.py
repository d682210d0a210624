"""Light, sharpness and pose of aligned faces: by hand, and on a real portrait."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.attributes import look_at, poses, small_grey
from masquerade.modalities.image.faces.templates import template

ARCFACE = template("arcface-112")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(112, 112, 3) uint8."""
    points = np.array([[115.0, 113], [147, 113], [131, 131], [118, 148], [144, 148]])
    return align(data.astronaut()[:256, 96:352], points, ARCFACE)


def test_a_checkerboard_by_hand() -> None:
    """Of 0 and 255 every inner pixel's Laplacian is ±4 · 255."""
    board = np.indices((112, 112)).sum(axis=0) % 2 * 255
    look = look_at(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
    assert (look.brightness, look.contrast) == pytest.approx((127.5, 127.5))
    assert look.sharpness == pytest.approx(1020)


def test_luma_weighs_the_colours() -> None:
    green = np.zeros((112, 112, 3), np.uint8)
    green[..., 1] = 200
    look = look_at(green)
    assert look.brightness == pytest.approx(0.587 * 200)
    assert (look.contrast, look.sharpness) == pytest.approx((0, 0), abs=1e-9)
    assert np.unique(look.small).tolist() == [117]


def test_blur_takes_sharpness_light_takes_none(portrait: np.ndarray) -> None:
    blurred = np.asarray(Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(2)))
    plain, soft, dark = (look_at(p) for p in (portrait, blurred, portrait // 2 + 20))
    assert soft.sharpness < 0.3 * plain.sharpness
    assert dark.contrast == pytest.approx(plain.contrast / 2, rel=0.05)
    assert soft.brightness == pytest.approx(plain.brightness, rel=0.02)


def test_small_picture_is_made_of_area_means() -> None:
    ramp = np.repeat(np.arange(112, dtype=np.uint8)[None, :, None] * 2, 112, axis=0)
    small = small_grey(np.repeat(ramp, 3, axis=2))
    assert small.shape == (32, 32)
    # the first cell is 3.5 columns wide: 0, 2, 4 and half of 6
    assert small[0, 0] == round((0 + 2 + 4 + 0.5 * 6) / 3.5)


def test_pose_of_the_template_is_frontal() -> None:
    yaw, pitch, roll = poses(ARCFACE.points[None])[0]
    assert yaw == pytest.approx(0, abs=0.03)
    assert pitch == pytest.approx(0.5, abs=0.02)
    assert roll == pytest.approx(0, abs=0.5)


def test_turns_of_the_head_and_of_the_picture_are_told_apart() -> None:
    face = ARCFACE.points.copy()
    face[2, 0] += 0.25 * (face[1, 0] - face[0, 0])  # the nose goes half-way to the right eye
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    plain, turned = poses(np.stack([face, face @ turn * 3 + 7]))
    assert plain[0] == pytest.approx(0.5, abs=0.03)
    assert turned[:2] == pytest.approx(plain[:2])
    assert turned[2] - plain[2] == pytest.approx(20)
    mirrored = (face * [-1, 1])[[1, 0, 2, 4, 3]]
    assert poses(mirrored[None])[0] == pytest.approx([-plain[0], plain[1], -plain[2]])


def test_looking_down_moves_the_nose_towards_the_mouth() -> None:
    face = ARCFACE.points.copy()
    face[2, 1] += 8
    assert poses(face[None])[0, 1] > 0.65
