"""The pose condition of Vec2Face+ (Wu et al., 2025, arXiv 2507.17192; official code)."""

# B samples, D width.

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ...core.errors import UsageError
from ...core.lora import LoRALinear, train_adapters_only
from .landmark_picture import landmark_picture

if TYPE_CHECKING:
    from .method import Vec2Face

_WIDTHS = (3, 32, 64, 128, 256)
_SIDE = 112


class PoseEncoder(nn.Module):
    """A drawing of facial landmarks to one token: four strided convolutions and a linear layer.

    The linear layer starts at zero, so that training starts without an influence of the pose.

    Args:
        dim: D.

    Example:
        >>> import torch
        >>> PoseEncoder(dim=8)(torch.zeros(2, 3, 112, 112)).shape
        torch.Size([2, 1, 8])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1)
            for a, b in zip(_WIDTHS, _WIDTHS[1:], strict=False)
        )
        side = _SIDE // 2 ** len(self.convs)
        self.linear = nn.Linear(side * side * _WIDTHS[-1], dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, landmarks: Tensor) -> Tensor:
        """The condition token.

        Args:
            landmarks: (B, 3, 112, 112) pictures of landmarks in [-1, 1].

        Returns:
            (B, 1, D).
        """
        x = landmarks
        for conv in self.convs:
            x = conv(x).relu()
        return self.linear(x.flatten(1))[:, None]


def train_pose_only(net: nn.Module) -> None:
    """Freeze a network but for its adapters, where there are any, and its `pose` net."""
    net.requires_grad_(requires_grad=False)
    if any(isinstance(module, LoRALinear) for module in net.modules()):
        train_adapters_only(net)
    net.get_submodule("pose").requires_grad_(requires_grad=True)


def pose_condition(method: "Vec2Face", points: Tensor) -> Tensor:
    """What `Vec2Face.generate` takes as `condition`, for faces with these points.

    Args:
        method: with a pose net.
        points: (B, 5, 2) pixels of the method's template, in the order of `templates.LANDMARKS`.

    Returns:
        (B, 1, D).

    Raises:
        UsageError: the weights hold no pose net.
    """
    return pose_net(method)(landmark_picture(points.to(method.device)))


def pose_net(method: "Vec2Face") -> PoseEncoder:
    """The pose net of a method's weights.

    Raises:
        UsageError: they hold none.
    """
    net: PoseEncoder | None = method.net.pose
    if net is None:
        raise UsageError(
            "these weights hold no pose net, so no pose can be asked for",
            "train one with --recipe vec2face-plus-pose, or use weights of Vec2Face+",
        )
    return net
