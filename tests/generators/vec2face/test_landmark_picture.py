"""The drawing of five points: which colour is where, its edges, bad points."""

import pytest
import torch

from masquerade.generators.vec2face.landmark_picture import landmark_picture
from masquerade.modalities.image.faces.templates import template

USUAL = torch.tensor(template("arcface-112").points).float()[None]


def test_each_part_has_its_colour_discs_and_lines():
    points = torch.tensor([[[30.0, 40], [80, 40], [55, 70], [40, 95], [70, 95]]])
    picture = landmark_picture(points)[0]
    assert picture.shape == (3, 112, 112)

    def drawn(x, y):
        return [channel for channel in range(3) if picture[channel, y, x] == 1]

    assert drawn(30, 40) == [0, 1]  # the left eye: a disc, and the end of a line of the nose
    assert drawn(55, 40) == [0]  # between the eyes
    assert drawn(55, 70) == [1]
    assert drawn(40, 52) == [1]  # on the line from the left eye to the nose
    assert drawn(55, 95) == [2]
    assert drawn(55, 60) == []
    assert drawn(10, 10) == []


def test_discs_and_lines_have_soft_edges_of_one_pixel():
    """By hand: radius 2.5 around a pixel's centre, half the width 1 of a line."""
    points = torch.full((1, 5, 2), 200.0)  # the others lie outside
    points[0, 2] = 20.0
    points[0, :2] = torch.tensor([20.0, 20.0])  # the nose's lines have no length
    nose = (landmark_picture(points)[0, 1] + 1) / 2
    assert nose[20, 20:25].tolist() == [1, 1, 1, 0, 0]
    assert nose[22, 22] == pytest.approx(3 - 8**0.5)
    points[0, 3:] = torch.tensor([[10.0, 60.0], [50.0, 60.0]])
    mouth = (landmark_picture(points)[0, 2] + 1) / 2
    assert mouth[58:63, 30].tolist() == [0, 0.5, 1, 0.5, 0]


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
