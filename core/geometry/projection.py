"""Depth maps of a cloud from three sides, and the way back: a point's own pixel in each.

The "efficient projection" of I2P-MAE (Zhang et al., 2023, §3.2, official code): the plane is cut
into a grid as wide as the cloud, each point is spread over 5 × 5 pixels, the picture is centred,
and a pixel's value is the *sum* of the depths that fall there.
"""

# B clouds, N points of each, V views, S side of a picture in pixels, C channels, h w a small map.

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from .backend import checked

VIEWS = ((0, 1, 2), (2, 0, 1), (1, 2, 0))  # row, column, depth: from the front, above, the side
_SPREAD = 2  # pixels to each side
_MARGIN = 3  # of the grid: the sides that the spread needs
_BORDER = 1  # pixels beyond the picture that the spread of its outermost points reaches


@dataclass(frozen=True)
class Projection:
    """The frame in which a batch of clouds was drawn, and the depth maps.

    Attributes:
        depth: (B, V, S, S) float32 sums of depths; 0 where nothing is.
        low: (B, V, 2) the least row and column coordinates.
        cell: (B, V, 1) the side of a pixel in the clouds' units.
        shift: (B, V, 2) int64 pixels by which the picture was moved to the centre.
    """

    depth: Tensor
    low: Tensor
    cell: Tensor
    shift: Tensor

    @property
    def side(self) -> int:
        """S."""
        return self.depth.shape[-1]

    def pixels(self, points: Tensor) -> Tensor:
        """(B, N, V, 2) int64 row and column of points (B, N, 3) in each view.

        For the points that were projected it is the middle of the 5 × 5 pixels they were spread
        over; others are held inside the picture.
        """
        planes = torch.stack([points[..., list(view[:2])] for view in VIEWS], dim=2)
        cells = ((planes - self.low[:, None]) / self.cell[:, None]).floor().long()
        return (cells + 1 + self.shift[:, None]).clamp(0, self.side - 1)

    def back(self, maps: Tensor, points: Tensor) -> Tensor:
        """The values of maps at points, as if the maps were enlarged bicubically to S × S first.

        Enlarging is linear in the map, so only the pixels that points need are computed.

        Args:
            maps: (B, V, C, h, w).
            points: (B, N, 3).

        Returns:
            (B, N, V, C).
        """
        pixels = self.pixels(points)
        rows = _bicubic_rows(maps.shape[-2], self.side, maps.device)[pixels[..., 0]]
        columns = _bicubic_rows(maps.shape[-1], self.side, maps.device)[pixels[..., 1]]
        weights = (rows[..., :, None] * columns[..., None, :]).flatten(-2)  # B N V hw
        return torch.einsum("bnvp,bvcp->bnvc", weights, maps.float().flatten(-2))


def project(points: Tensor, side: int = 224) -> Projection:
    """The depth maps of clouds from three sides.

    A cloud without extent (one place) is drawn with a pixel of its unit.

    Args:
        points: (B, N, 3), finite.
        side: S, in pixels; at least 8.

    Raises:
        UsageError: no points, or a picture too small for the spread.
    """
    checked(points, "points")
    if side < 2 * (_SPREAD + _MARGIN - 1):
        raise UsageError(f"a picture of {side} pixels cannot hold a spread point", "ask for 8")
    points = points.detach().float()
    planes = torch.stack([points[..., list(view[:2])] for view in VIEWS], dim=1)  # B V N 2
    depth = torch.stack([points[..., view[2]] for view in VIEWS], dim=1)
    low = planes.amin(2)
    extent = (planes.amax(2) - low).amax(-1, keepdim=True)
    cell = extent / (side - _MARGIN)
    cell = torch.where(cell > 0, cell, torch.ones_like(cell))
    cells = ((planes - low[:, :, None]) / cell[:, :, None]).floor().long()
    # the spread reaches from one pixel before the first cell to three behind the last
    first, last = cells.amin(2) + 1 - _SPREAD, cells.amax(2) + 1 + _SPREAD
    shift = side // 2 - (first + last).div(2, rounding_mode="floor") - 1
    maps = _spread_sums(cells + 1 + shift[:, :, None], depth, side)
    return Projection(maps, low, cell, shift)


def _spread_sums(pixels: Tensor, depth: Tensor, side: int) -> Tensor:
    """(B, V, S, S) sums of depths (B, V, N) over the 5 × 5 pixels around (B, V, N, 2).

    The sum over shifted copies is a box sum of one copy; what lies a pixel outside is folded in.
    """
    wide = side + 2 * _BORDER
    place = (pixels[..., 0] + _BORDER) * wide + pixels[..., 1] + _BORDER
    flat = torch.zeros(*depth.shape[:2], wide * wide, device=depth.device)
    canvas = flat.scatter_add(2, place, depth).unflatten(2, (wide, wide))
    box = 2 * _SPREAD + 1
    sums = F.avg_pool2d(canvas, box, stride=1, padding=_SPREAD, divisor_override=1)
    for _ in range(2):  # rows, then columns
        sums[:, :, 1] += sums[:, :, 0]
        sums[:, :, -2] += sums[:, :, -1]
        sums = sums[:, :, 1:-1].transpose(-1, -2)
    return sums


def _bicubic_rows(small: int, large: int, device: torch.device) -> Tensor:
    """(large, small) weights by which bicubic enlarging makes each pixel of a line."""
    unit = torch.eye(small, device=device)[None, :, :, None]
    enlarged = F.interpolate(unit, size=(large, 1), mode="bicubic", align_corners=False)
    return enlarged[0, :, :, 0].T
