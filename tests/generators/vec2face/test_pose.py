"""The pose net: its plan, its zero start, its official names."""

import torch

from masquerade.core.keymap import to_official
from masquerade.generators.vec2face.keymap import NET_KEYMAP
from masquerade.generators.vec2face.pose import PoseEncoder


def test_pose_starts_without_influence_and_can_learn() -> None:
    torch.manual_seed(0)
    net, landmarks = PoseEncoder(dim=8), torch.rand(2, 3, 112, 112)
    condition = net(landmarks)
    assert condition.shape == (2, 1, 8)
    assert not condition.any()
    condition.sum().backward()
    assert net.linear.weight.grad.abs().sum() > 0


def test_pose_weights_have_their_official_shapes() -> None:
    with torch.device("meta"):
        state = {f"pose.{k}": v for k, v in PoseEncoder(dim=768).state_dict().items()}
    shapes = {k: tuple(v.shape) for k, v in to_official(state, NET_KEYMAP).items()}
    assert shapes["pose_model.linear.weight"] == (768, 7 * 7 * 256)
    assert shapes["pose_model.conv1.weight"] == (32, 3, 3, 3)
    assert shapes["pose_model.conv4.weight"] == (256, 128, 3, 3)
    assert len(shapes) == 10
