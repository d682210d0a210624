"""Estimators: feature norm, yaw of a rotation, and the refusal that names what to give."""

import math

import pytest
import torch

from masquerade.core.errors import UsageError
from masquerade.generators.vec2face.estimators import FeatureNorm, Yaw, rotation_yaw


def rotation(x: float, y: float, z: float) -> torch.Tensor:
    """Rz Ry Rx of angles in degrees."""
    a, b, c = (math.radians(v) for v in (x, y, z))
    rx = [[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]]
    ry = [[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]]
    rz = [[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]]
    return torch.tensor(rz) @ torch.tensor(ry) @ torch.tensor(rx)


@pytest.mark.parametrize("angles", [(0, 0, 0), (10, 45, -20), (-30, -80, 5), (70, 12, 170)])
def test_yaw_is_the_middle_angle(angles: tuple) -> None:
    found = rotation_yaw(rotation(*angles)[None])
    assert found.item() == pytest.approx(angles[1], abs=1e-3)


def test_yaw_net_sees_bgr_between_zero_and_one() -> None:
    seen: list[torch.Tensor] = []

    def net(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return rotation(0, 30, 0)[None]

    image = torch.stack([torch.full((2, 2), v) for v in (-1.0, 0.0, 1.0)])[None]
    assert Yaw(net)(image).item() == pytest.approx(30, abs=1e-3)
    assert seen[0][0, :, 0, 0].tolist() == [1.0, 0.5, 0.0]


def test_yaw_without_a_net_names_what_to_give() -> None:
    with pytest.raises(UsageError, match="6DRepNet_300W_LP_AFLW2000"):
        Yaw(None)


def test_yaw_at_a_right_angle_has_finite_gradients() -> None:
    matrices = rotation(0, 90, 0)[None].requires_grad_()
    rotation_yaw(matrices).sum().backward()
    assert matrices.grad is not None
    assert bool(torch.isfinite(matrices.grad).all())


def test_feature_norm_is_differentiable() -> None:
    image = torch.ones(2, 3, 2, 2, requires_grad=True)
    norm = FeatureNorm(lambda x: x.mean((2, 3)))(image)
    torch.testing.assert_close(norm, torch.full((2,), 3**0.5))
    norm.sum().backward()
    assert image.grad is not None
    assert (image.grad > 0).all()
