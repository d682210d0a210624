"""How the frames of a video must be turned to stand upright, as its container says."""

# H rows, W columns.

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ONE = 1 << 16  # 1.0 in the matrix's fixed point


@dataclass(frozen=True)
class Orientation:
    """A turn by quarters and a mirror, as a 2 × 2 matrix of 0, 1 and −1.

    A stored pixel at (x, y) is shown at (a x + c y, b x + d y).

    Attributes:
        a: x to x.
        b: x to y.
        c: y to x.
        d: y to y.

    Example:
        >>> stored = np.array([[1, 2, 3]])
        >>> Orientation(0, 1, -1, 0).apply(stored[..., None])[..., 0].tolist()
        [[1], [2], [3]]
    """

    a: int = 1
    b: int = 0
    c: int = 0
    d: int = 1

    @property
    def swaps(self) -> bool:
        """Whether rows become columns."""
        return self.a == 0

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright pixels of (H, W, 3): (H, W, 3) or (W, H, 3)."""
        if self.swaps:
            pixels = pixels.swapaxes(0, 1)
        across, down = (self.c, self.b) if self.swaps else (self.a, self.d)
        pixels = pixels[:, ::-1] if across < 0 else pixels
        return pixels[::-1] if down < 0 else pixels


UPRIGHT = Orientation()


def orientation_of(frame: Any) -> Orientation:  # noqa: ANN401 - PyAV is optional
    """The orientation that a decoded frame carries; upright where none is said.

    A matrix that is no turn by quarters (a tilt, an unreadable one) is taken for the nearest one.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            raw = bytes(data)
            if len(raw) < struct.calcsize("=9i"):
                return UPRIGHT
            a, b, _, c, d, *_ = (value / _ONE for value in struct.unpack_from("=9i", raw))
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(_sign(a), 0, 0, _sign(d))
            return Orientation(0, _sign(b), _sign(c), 0)
    return UPRIGHT


def _sign(value: float) -> int:
    return -1 if value < 0 else 1
