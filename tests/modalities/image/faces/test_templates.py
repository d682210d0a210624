"""Face templates: the published points, the fixed similarity, and the differentiable conversion."""

import numpy as np
import pytest
import torch

from masquerade.core.errors import UsageError
from masquerade.modalities.image.faces.templates import (
    TEMPLATES,
    apply,
    between,
    convert,
    inverse,
    template,
)


def ramps(side):
    """(1, 2, side, side): the x and the y of each pixel."""
    line = torch.arange(float(side))
    return torch.stack([line.expand(side, side), line[:, None].expand(side, side)])[None]


def test_arcface_points_are_those_of_the_published_template():
    found = template("arcface-112")
    assert found.size == 112
    np.testing.assert_array_equal(found.points[0], [38.2946, 51.6963])  # card, section 6.1
    np.testing.assert_array_equal(found.points[4], [70.7299, 92.2041])
    with pytest.raises(ValueError, match="read-only"):
        found.points[0, 0] = 0


def test_template_unknown_name_proposes_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'arcface-112'"):
        template("arcface112")


def test_between_is_the_measured_similarity_and_its_inverse():
    there = between("dlib-150", "arcface-112")
    np.testing.assert_allclose(there, [[0.685, 0, 5.4], [0, 0.685, 21.1]])
    back = between("arcface-112", "dlib-150")
    points = np.array([[0.0, 0.0], [111.0, 3.0], [40.5, 70.25]])
    np.testing.assert_allclose(apply(back, apply(there, points)), points, atol=1e-12)
    np.testing.assert_allclose(inverse(there), back)
    # so that aligning to either template and converting between them agree
    moved = apply(there, template("dlib-150").points)
    np.testing.assert_allclose(moved, template("arcface-112").points, atol=1e-12)


def test_between_one_template_changes_nothing():
    for name in TEMPLATES:
        np.testing.assert_array_equal(between(name, name), np.eye(2, 3))


def test_between_refuses_a_pair_without_a_known_similarity(monkeypatch):
    from masquerade.modalities.image.faces import templates

    other = templates.Template("other-96", 96, np.zeros((5, 2)))
    monkeypatch.setitem(templates.TEMPLATES, "other-96", other)
    with pytest.raises(UsageError, match="no fixed similarity") as caught:
        between("other-96", "arcface-112")
    assert "prepare faces --template arcface-112" in caught.value.remedy


def test_convert_takes_each_pixel_from_where_the_similarity_says():
    """Closed form: on a linear ramp, bilinear interpolation is exact."""
    chip = convert(ramps(150), "dlib-150", "arcface-112")[0]
    assert chip.shape == (2, 112, 112)
    x = (torch.arange(112.0) - 5.4) / 0.685
    y = (torch.arange(112.0) - 21.1) / 0.685
    torch.testing.assert_close(chip[0, 60], x.clamp(0, 149), atol=2e-3, rtol=0)
    torch.testing.assert_close(chip[1, :, 60], y.clamp(0, 149), atol=2e-3, rtol=0)
    back = convert(ramps(112), "arcface-112", "dlib-150")[0]
    torch.testing.assert_close(back[0, 75], 0.685 * torch.arange(150.0) + 5.4, atol=2e-3, rtol=0)


def test_convert_of_one_template_gives_the_very_pictures():
    images = torch.rand(2, 3, 112, 112)
    assert convert(images, "arcface-112", "arcface-112") is images


def test_convert_refuses_pictures_of_another_size():
    with pytest.raises(UsageError, match=r"\(B, C, 150, 150\), got \(1, 3, 112, 112\)"):
        convert(torch.zeros(1, 3, 112, 112), "dlib-150", "arcface-112")
    with pytest.raises(UsageError, match=r"got \(3, 112, 112\)"):
        convert(torch.zeros(3, 112, 112), "arcface-112", "arcface-112")


def test_convert_gradients_are_those_of_finite_differences():
    images = torch.rand(1, 1, 112, 112, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(1, 1, 150, 150, dtype=torch.float64)
    (convert(images, "arcface-112", "dlib-150") * weights).sum().backward()
    for row, column in ((60, 60), (21, 40), (111, 111)):
        bumped = images.detach().clone()
        bumped[0, 0, row, column] += 1
        change = convert(bumped, "arcface-112", "dlib-150") - convert(
            images.detach(), "arcface-112", "dlib-150"
        )
        expected = (change * weights).sum()  # the map is linear: exact
        torch.testing.assert_close(images.grad[0, 0, row, column], expected)
