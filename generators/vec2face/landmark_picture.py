"""The picture of five facial points that the pose net looks at.

Vec2Face+ draws the contours of a 68- or 106-point detector. We have five points (eyes, nose and
corners of the mouth), so the drawing is ours: one colour for the eyes, one for the nose, one for
the mouth, each with its points as discs and the lines that join them. Weights that were trained
with the official drawings need those.
"""

# B faces, P points, L lines, S side.

import torch
from torch import Tensor

_DISC_PX = 2.5  # radius
_LINE_PX = 1.0  # half the width
# by channel: the points drawn as discs, and the pairs joined by lines (order of `LANDMARKS`)
_DRAWN: tuple[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], ...] = (
    ((0, 1), ((0, 1),)),  # eyes
    ((2,), ((0, 2), (1, 2))),  # nose: where it points, seen from the eyes
    ((3, 4), ((3, 4),)),  # mouth
)


def landmark_picture(points: Tensor, size: int = 112) -> Tensor:
    """Antialiased drawings of five points.

    Args:
        points: (B, 5, 2) (x, y) in pixels of the aligned face, whole numbers at pixel centres, in
            the order of `templates.LANDMARKS`; what lies outside is cut off.
        size: S.

    Returns:
        (B, 3, S, S) float32, -1 = empty, 1 = drawn.

    Raises:
        ValueError: the points have another shape or are not finite.

    Example:
        >>> picture = landmark_picture(torch.full((1, 5, 2), 30.0))
        >>> picture[0, :, 30, 30].tolist(), picture[0, :, 60, 60].tolist()
        ([1.0, 1.0, 1.0], [-1.0, -1.0, -1.0])
    """
    if points.ndim != 3 or points.shape[1:] != (5, 2) or not bool(points.isfinite().all()):
        raise ValueError(f"expected finite points (B, 5, 2), got {tuple(points.shape)}")
    points = points.float()
    channels = []
    for discs, lines in _DRAWN:
        starts, ends = [*discs, *(a for a, _ in lines)], [*discs, *(b for _, b in lines)]
        radius = points.new_tensor([_DISC_PX] * len(discs) + [_LINE_PX] * len(lines))
        distance = _distance(points[:, starts], points[:, ends], size)
        # a pixel is as full as its centre lies inside by, from half a pixel beyond the edge on
        channels.append((radius[:, None, None] + 0.5 - distance).clamp(0, 1).amax(1))
    return torch.stack(channels, 1) * 2 - 1


def _distance(start: Tensor, end: Tensor, size: int) -> Tensor:
    """(B, L, S, S) pixels from each pixel's centre to the segments between points (B, L, 2)."""
    axis = torch.arange(size, dtype=start.dtype, device=start.device)
    x = axis[None, None, None, :] - start[..., 0, None, None]
    y = axis[None, None, :, None] - start[..., 1, None, None]
    along_x, along_y = (end - start)[..., None, None].unbind(2)
    length = (along_x.square() + along_y.square()).clamp(min=1e-12)  # a disc: a segment of length 0
    share = ((x * along_x + y * along_y) / length).clamp(0, 1)
    return torch.hypot(x - share * along_x, y - share * along_y)
