"""MTCNN face detection (Zhang, Zhang, Li and Qiao, 2016): three nets in a row, shipped.

P proposes windows on an image pyramid, R and O look at the crops of what is left and correct the
boxes, O adds the landmarks. Differences from the published code: boxes are half-open and real
valued (left, top, right, bottom), where its are whole and inclusive; crops that reach over the
border are filled with zeros before the normalisation, as in the paper's own code; the smallest
face is a share of the picture, so that small pictures are enlarged and large ones shrunk.
"""

# H rows, W columns, N boxes, h and w cells of P's map, S crop side.

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ....core.hashing import sha256_json
from .detectors import Face
from .mtcnn_nets import Cascade, shipped

_CELL = 12  # P sees 12 × 12 pixels …
_STRIDE = 2  # … every 2 pixels
_REFINED, _OUTPUT = 24, 48  # crop sides of R and O
_WORKING = 640  # larger pictures are shrunk to this mean side: no net sees more than 48 pixels
_STRIP = 64  # no face is looked for in pictures so many times longer than wide
_CROPS = 512  # crops in one pass: bounds the memory on crowded pictures


@dataclass(frozen=True)
class MtcnnSettings:
    """Thresholds of the cascade.

    Attributes:
        smallest: the smallest face looked for, as a share of the geometric mean of the picture's
            sides, so that every picture costs about the same.
        factor: between two levels of the pyramid.
        thresholds: of the scores of P, R and O (paper, section 3).
        overlaps: above which the weaker of two boxes falls: inside a level of the pyramid, among
            all levels and after R, and after O (there: of the smaller box's area).
    """

    smallest: float = 0.15
    factor: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    overlaps: tuple[float, float, float] = (0.5, 0.7, 0.7)


class Mtcnn:
    """The offline default detector.

    Example:
        >>> import numpy as np
        >>> Mtcnn().detect(np.zeros((64, 64, 3), np.uint8))
        []
    """

    name = "mtcnn"

    def __init__(
        self,
        settings: MtcnnSettings = MtcnnSettings(),
        device: str = "cpu",  # noqa: B008 - frozen
    ) -> None:
        """Load the shipped nets.

        Raises:
            WeightsError: the shipped file is damaged.
        """
        self.settings = settings
        self._device = torch.device(device)
        self._nets: Cascade = shipped(device)
        self.hash = sha256_json([self._nets.sha256, asdict(settings)])

    @torch.inference_mode()
    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces of a picture, best score first.

        Args:
            picture: (H, W, 3) RGB.
        """
        height, width = picture.shape[:2]
        if max(height, width) > _STRIP * min(height, width):
            return []
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self._device)
        image = pixels.permute(2, 0, 1).float()
        shrink = (height * width) ** 0.5 / _WORKING
        if shrink > 1:
            size = [max(round(side / shrink), 1) for side in (height, width)]
            image = _resized(image[None], size)[0]
        faces = self._output(image, self._refine(image, self._propose(image)))
        zoom = np.array([width / image.shape[2], height / image.shape[1]])
        return [_enlarged(face, zoom) for face in faces]

    def _propose(self, image: Tensor) -> NDArray[np.float64]:
        """The windows (N, 4) that P takes for faces, corrected."""
        levels = [self._level(image, scale) for scale in self._scales(image)]
        boxes, scores, shifts = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        kept = suppress(boxes, scores, self.settings.overlaps[1])
        return correct(boxes[kept], shifts[kept])

    def _scales(self, image: Tensor) -> list[float]:
        height, width = image.shape[1:]
        shorter = min(height, width)
        smallest = max(self.settings.smallest * (height * width) ** 0.5, 1.0)
        scales = []
        scale = _CELL / smallest
        while round(shorter * scale) >= _CELL:
            scales.append(scale)
            scale *= self.settings.factor
        return scales or [_CELL / shorter]

    def _level(self, image: Tensor, scale: float) -> tuple[NDArray[np.float64], ...]:
        """Boxes (N, 4), scores (N,) and corrections (N, 4) of one level of the pyramid."""
        height, width = image.shape[1:]
        size = [max(round(side * scale), _CELL) for side in (height, width)]
        scores, shifts = self._nets.p(_normalized(_resized(image[None], size)))
        rows, columns = (scores[0] > self.settings.thresholds[0]).nonzero(as_tuple=True)
        corner = torch.stack([columns, rows], dim=1).double().cpu().numpy() * _STRIDE
        zoom = np.array([width / size[1], height / size[0]])
        boxes = np.concatenate([corner * zoom, (corner + _CELL) * zoom], axis=1)
        found = _numpy(scores[0, rows, columns]), _numpy(shifts[0, :, rows, columns].T)
        kept = suppress(boxes, found[0], self.settings.overlaps[0])
        return boxes[kept], found[0][kept], found[1][kept]

    def _refine(self, image: Tensor, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The boxes (N, 4) that R keeps, corrected."""
        boxes = square(boxes)
        if not len(boxes):
            return boxes
        scores, shifts = self._look(self._nets.r, image, boxes, _REFINED)
        sure = scores > self.settings.thresholds[1]
        boxes, scores, shifts = boxes[sure], scores[sure], shifts[sure]
        kept = suppress(boxes, scores, self.settings.overlaps[1])
        return correct(boxes[kept], shifts[kept])

    def _output(self, image: Tensor, boxes: NDArray[np.float64]) -> list[Face]:
        """The faces that O confirms."""
        boxes = square(boxes)
        if not len(boxes):
            return []
        scores, shifts, shares = self._look(self._nets.o, image, boxes, _OUTPUT)
        sure = scores > self.settings.thresholds[2]
        boxes, scores, shifts, shares = boxes[sure], scores[sure], shifts[sure], shares[sure]
        places = shares.reshape(-1, 2, 5).transpose(0, 2, 1)
        sides = boxes[:, None, 2:] - boxes[:, None, :2]
        # a share counts from the box's edge, half a pixel before the centre of its first pixel
        points = boxes[:, None, :2] + places * sides - 0.5
        boxes = correct(boxes, shifts)
        kept = suppress(boxes, scores, self.settings.overlaps[2], of_smaller=True)
        return [Face(boxes[i], float(scores[i]), points[i]) for i in kept]

    def _look(
        self, net: torch.nn.Module, image: Tensor, boxes: NDArray[np.float64], side: int
    ) -> tuple[NDArray[np.float64], ...]:
        """What a net says of the boxes' crops."""
        said = []
        for start in range(0, len(boxes), _CROPS):
            crops = [_crop(image, box, side) for box in boxes[start : start + _CROPS]]
            said.append(net(_normalized(torch.cat(crops))))
        return tuple(_numpy(torch.cat(parts)) for parts in zip(*said, strict=True))


def _enlarged(face: Face, zoom: NDArray[np.float64]) -> Face:
    """A face of the shrunk picture in pixels of the whole one."""
    return Face(face.box * np.tile(zoom, 2), face.score, (face.points + 0.5) * zoom - 0.5)


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()


def _normalized(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) / 128


def _resized(images: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(
        images, size=size, mode="bilinear", align_corners=False, antialias=True
    )


def _crop(image: Tensor, box: NDArray[np.float64], side: int) -> Tensor:
    """The (1, 3, S, S) crop of a box, rounded to whole pixels, zero outside the picture."""
    left, top, right, bottom = (round(float(v)) for v in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = image.shape[1:]
    inside = image[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    beyond = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    return _resized(functional.pad(inside, beyond)[None], [side, side])


def square(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (N, 4) made square about their centres, with the longer side."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)


def correct(boxes: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (N, 4) whose edges are moved by shares (N, 4) of the boxes' own sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.concatenate([sides, sides], axis=1)


def suppress(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    overlap: float,
    *,
    of_smaller: bool = False,
) -> NDArray[np.int64]:
    """The indices of boxes that no better box covers, best first (non-maximum suppression).

    Args:
        boxes: (N, 4) left, top, right, bottom.
        scores: (N,); of equal ones the earlier wins.
        overlap: a box falls when its overlap with a kept one is larger.
        of_smaller: overlap = intersection / smaller area instead of / union.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[left, :2])
        shared = (np.minimum(boxes[best, 2:], boxes[left, 2:]) - corner).clip(min=0).prod(axis=1)
        if of_smaller:
            whole = np.minimum(areas[best], areas[left])
        else:
            whole = areas[best] + areas[left] - shared
        left = left[shared <= overlap * whole]
    return np.array(kept, dtype=np.int64)
