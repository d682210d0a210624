"""The picture of five facial points that the pose net looks at.

As in the two example pictures of the official repository of Vec2Face+: on black, a red disc on
each eye, a green one on the nose and a blue one on each corner of the mouth, all of the pixels
within three pixels of the point's own one. Its code draws none: it reads such pictures.
"""

# B faces, S side.

import torch
from torch import Tensor

_RADIUS_PX = 3
_COLOURS = (slice(0, 2), slice(2, 3), slice(3, 5))  # of R, G and B: places in `LANDMARKS`


def landmark_picture(points: Tensor, size: int = 112) -> Tensor:
    """Drawings of five points.

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
    centres = points.float().round()
    axis = torch.arange(size, dtype=centres.dtype, device=centres.device)
    x, y = ((axis - centres[..., i, None]).square() for i in range(2))  # (B, 5, S) each
    discs = x[:, :, None, :] + y[:, :, :, None] <= _RADIUS_PX**2
    drawn = torch.stack([discs[:, some].any(dim=1) for some in _COLOURS], dim=1)
    return drawn.float() * 2 - 1
