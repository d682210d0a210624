"""The augmentation of supervised fine-tuning: RandAugment, mixup or cutmix, random erasing.

The recipe of MAE's fine-tuning (He et al., 2022, appendix A.1, table 9), with timm's order and
rules: RandAugment and erasing per image, then mixup or cutmix for the whole batch. What is per
image is keyed by the image's own draws, what is per batch by the step's key.
"""

# B images, K classes, H rows, W columns.

import math
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from ...core.config import Config
from ...core.draws import Draws
from .rand_augment import rand_augment

_ERASE_ATTEMPTS = 10
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT = (0.3, 1 / 0.3)


class FineTuneSettings(Config):
    """What is applied, and how strongly; the defaults are the recipe's.

    Attributes:
        magnitude: of RandAugment, 0…10; 0 switches it off.
        spread: standard deviation of the magnitude.
        operations: of RandAugment, for each image.
        erasing: probability that a rectangle is filled with noise.
        mixup: alpha of the mixing weight's Beta distribution; 0 = no mixup.
        cutmix: the same for cutmix; where both are on, each step takes one with equal chance.
        smoothing: label smoothing.
        mean: of the normalization that the batch has; (0, 0, 0) for batches in 0…1.
        std: of the same; (1, 1, 1) for batches in 0…1.
    """

    magnitude: float = 9.0
    spread: float = 0.5
    operations: int = 2
    erasing: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    smoothing: float = 0.1
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FineTuneAugment:
    """Augments normalized training batches and gives their soft targets.

    Example:
        >>> draws = Draws(seed=0, ids=torch.arange(4))
        >>> images, labels = torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 2, 1])
        >>> mixed, targets = FineTuneAugment(FineTuneSettings())(images, labels, 3, draws, 0)
        >>> mixed.shape, targets.sum(1)
        (torch.Size([4, 3, 16, 16]), tensor([1., 1., 1., 1.]))
    """

    settings: FineTuneSettings = FineTuneSettings()

    def __call__(
        self, images: Tensor, labels: Tensor, n_classes: int, draws: Draws, step: int
    ) -> tuple[Tensor, Tensor]:
        """The augmented batch and its targets.

        Args:
            images: (B, 3, [T,] H, W) float32, normalized by the settings' mean and std.
            labels: (B,) int64.
            n_classes: K.
            draws: B rows.
            step: its key decides on mixup and cutmix.

        Returns:
            (B, 3, [T,] H, W) normalized, and (B, K) float32 targets whose rows sum to 1.
        """
        settings = self.settings
        draws = draws.fork("finetune")
        if settings.magnitude > 0:
            images = self._randomly_augmented(images, draws.fork("rand-augment"))
        if settings.erasing > 0:
            images = erase(images, draws.fork("erase"), settings.erasing)
        targets = smoothed(labels, n_classes, settings.smoothing)
        return self._mixed(images, targets, draws.fork("mix").step(step))

    def _randomly_augmented(self, images: Tensor, draws: Draws) -> Tensor:
        shape = (3, *[1] * (images.ndim - 2))
        mean = torch.tensor(self.settings.mean, device=images.device).view(shape)
        std = torch.tensor(self.settings.std, device=images.device).view(shape)
        plain = (images * std + mean).clamp(0, 1)
        changed = rand_augment(
            plain, draws, magnitude=self.settings.magnitude, spread=self.settings.spread,
            n_operations=self.settings.operations,
        )  # fmt: skip
        return (changed - mean) / std

    def _mixed(self, images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Mixup (Zhang et al., 2018) or cutmix (Yun et al., 2019) with the reversed batch."""
        settings = self.settings
        which, weight, x, y = draws.uniform(4)[0].tolist()
        both = settings.mixup > 0 and settings.cutmix > 0
        if settings.cutmix > 0 and not (both and which < 0.5):
            share = _beta(weight, settings.cutmix)
            images, share = _cutmix(images, share, x, y)
        elif settings.mixup > 0:
            share = _beta(weight, settings.mixup)
            images = share * images + (1 - share) * images.flip(0)
        else:
            return images, targets
        return images, share * targets + (1 - share) * targets.flip(0)


def smoothed(labels: Tensor, n_classes: int, smoothing: float) -> Tensor:
    """(B, K) float32 targets: 1 − s + s / K at the label, s / K elsewhere."""
    targets = torch.full((len(labels), n_classes), smoothing / n_classes, device=labels.device)
    return targets.scatter(1, labels[:, None], 1 - smoothing + smoothing / n_classes)


def _beta(uniform: float, alpha: float) -> float:
    """A Beta(alpha, alpha) number by the inverse of its distribution function."""
    return float(beta.ppf(uniform, alpha, alpha))


def _cutmix(images: Tensor, share: float, x: float, y: float) -> tuple[Tensor, float]:
    """The batch with one rectangle of its reverse, and the share of the area that is its own."""
    height, width = images.shape[-2:]
    half = math.sqrt(1 - share) / 2
    centre_y, centre_x = int(y * height), int(x * width)
    top, bottom = max(centre_y - int(half * height), 0), min(centre_y + int(half * height), height)
    left, right = max(centre_x - int(half * width), 0), min(centre_x + int(half * width), width)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def erase(
    images: Tensor, draws: Draws, probability: float, *, value: float | None = None
) -> Tensor:
    """Images with a rectangle of standard normal noise each (Zhong et al., 2020; timm "pixel").

    Args:
        images: (B, 3, [T,] H, W) normalized; one rectangle for all frames.
        draws: B rows.
        probability: that an image gets one.
        value: what the rectangle is filled with in the place of noise.
    """
    height, width = images.shape[-2:]
    chosen = draws.fork("use").uniform().tolist()
    numbers = draws.fork("place").uniform(_ERASE_ATTEMPTS, 4).tolist()
    if value is None:
        filling = draws.fork("noise").normal(*images.shape[1:]).to(images)
    else:
        filling = torch.full_like(images, value)
    result = images.clone()
    low, high = math.log(_ERASED_ASPECT[0]), math.log(_ERASED_ASPECT[1])
    for b, (use, attempts) in enumerate(zip(chosen, numbers, strict=True)):
        if use >= probability:
            continue
        for area, aspect, y, x in attempts:
            share = _ERASED_AREA[0] + area * (_ERASED_AREA[1] - _ERASED_AREA[0])
            ratio = math.exp(low + aspect * (high - low))
            h = round(math.sqrt(share * height * width * ratio))
            w = round(math.sqrt(share * height * width / ratio))
            if h < height and w < width:
                top, left = int(y * (height - h + 1)), int(x * (width - w + 1))
                window = (b, ..., slice(top, top + h), slice(left, left + w))
                result[window] = filling[window]
                break
    return result
