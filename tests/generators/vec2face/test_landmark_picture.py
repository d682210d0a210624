"""The drawing of five points: which colour is where, its edges, bad points."""

import pytest
import torch

from masquerade.generators.vec2face.landmark_picture import landmark_picture
from masquerade.modalities.image.faces.templates import template

USUAL = torch.tensor(template("arcface-112").points).float()[None]


def test_each_part_has_its_colour():
    points = torch.tensor([[[30.0, 40], [80, 40], [55, 70], [40, 95], [70, 95]]])
    picture = landmark_picture(points)[0]
    assert picture.shape == (3, 112, 112)
    places = {"red": (30, 40), "red too": (80, 40), "green": (55, 70), "blue": (40, 95),
              "blue too": (70, 95), "none": (55, 40)}  # fmt: skip
    drawn = {
        name: [channel for channel in range(3) if picture[channel, y, x] == 1]
        for name, (x, y) in places.items()
    }
    assert drawn == {
        "red": [0], "red too": [0], "green": [1], "blue": [2], "blue too": [2], "none": [],
    }  # fmt: skip
    assert set(picture.unique().tolist()) == {-1.0, 1.0}


def test_official_example_has_the_same_pixels():
    """landmarks/images/2758_1.jpg of the official repository: JPEG at that file's quantization
    makes of these discs the very values that it holds."""  # noqa: D205, D209
    points = torch.tensor([[[56.0, 48], [60, 49], [72, 65], [55, 82], [58, 83]]])
    drawn = landmark_picture(points)[0] == 1
    assert drawn.sum((1, 2)).tolist() == [52, 29, 48]
    rows = drawn[1, 62:69].sum(1).tolist()
    assert rows == [1, 5, 5, 7, 5, 5, 1]
    assert drawn[1].nonzero().amin(0).tolist() == [62, 69]


def test_points_between_pixels_go_to_the_nearest_and_those_outside_are_cut_off():
    points = torch.full((1, 5, 2), 300.0)
    points[0, 2] = torch.tensor([20.4, 29.6])
    points[0, 3] = torch.tensor([-1.0, 50.0])
    drawn = landmark_picture(points)[0] == 1
    assert drawn[1].nonzero().float().mean(0).tolist() == [30, 20]
    assert drawn[2].sum(1)[47:54].tolist() == [0, 2, 2, 3, 2, 2, 0]
    assert not drawn[0].any()


def test_a_turned_head_gives_another_picture_and_rows_are_independent():
    turned = USUAL.clone()
    turned[:, 2, 0] += 10
    both = landmark_picture(torch.cat([USUAL, turned]))
    assert torch.equal(both[1:], landmark_picture(turned))
    changed = (both[0] - both[1]).abs().amax((1, 2)) > 0
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "points", [torch.zeros(5, 2), torch.zeros(1, 68, 2), torch.full((1, 5, 2), float("nan"))]
)
def test_other_points_are_refused(points):
    with pytest.raises(ValueError, match="finite points"):
        landmark_picture(points)
