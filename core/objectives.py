"""Objectives: pure functions (prediction, target, mask) → scalar, computed in float32.

Predictions stand at `mask.predict`; targets are given for all tokens. Only hidden tokens count.
"""

# B samples, N tokens, K predicted, P values of a token, C classes, D width.

import torch
from torch import Tensor
from torch.nn import functional as F

from .masking import Mask

_EPS = 1e-6
_FAR = 1e6  # no cosine: a logit that softmax gives nothing


def normalize_patches(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Patches with zero mean and unit variance, and that mean and deviation.

    The variance is unbiased (divides by P − 1), with 1e-6 inside the root, over all values of
    the patch jointly (He et al., 2022, §4; official code).

    Args:
        patches: (B, N, P).

    Returns:
        (B, N, P) normalized, (B, N, 1) mean, (B, N, 1) deviation.
    """
    patches = patches.float()
    mean = patches.mean(-1, keepdim=True)
    deviation = (patches.var(-1, keepdim=True) + _EPS).sqrt()
    return (patches - mean) / deviation, mean, deviation


def mean_over_hidden(per_token: Tensor, mask: Mask) -> Tensor:
    """The mean of (B, K) values over the predicted tokens that are hidden (Σ/Σ over the batch)."""
    weight = mask.loss_weight()
    if weight is None:
        return per_token.mean()
    return (per_token * weight).sum() / weight.sum()


def patch_mse(prediction: Tensor, target: Tensor, mask: Mask, *, normalize: bool = True) -> Tensor:
    """Mean squared error of (normalized) patches (He et al., 2022).

    Args:
        prediction: (B, K, P).
        target: (B, N, P) patches.
        mask: which tokens are hidden and predicted.
        normalize: whether the target patches are normalized first.
    """
    wanted = mask.take_predict(target).float()
    if normalize:
        wanted = normalize_patches(wanted)[0]
    return mean_over_hidden((prediction.float() - wanted).square().mean(-1), mask)


def normalize_tubelets(tubelets: Tensor, channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Tubelets with zero mean and unit variance per colour channel, and those means and deviations.

    The variance is unbiased, over the pixels of one channel, and 1e-6 is added to its root (Tong
    et al., 2022, VideoMAE, official code): other than `normalize_patches` in all three.

    Args:
        tubelets: (B, N, P), channel fastest.
        channels: C.

    Returns:
        (B, N, P) normalized, and (B, N, P) mean and deviation, repeated for each pixel.
    """
    pixels = tubelets.float().unflatten(-1, (-1, channels))
    mean = pixels.mean(-2, keepdim=True)
    deviation = pixels.var(-2, keepdim=True).sqrt() + _EPS
    normalized = (pixels - mean) / deviation
    return (
        normalized.flatten(-2),
        mean.expand_as(pixels).flatten(-2),
        deviation.expand_as(pixels).flatten(-2),
    )


def frame_differences(tubelets: Tensor, frames: int = 2) -> Tensor:
    """Normalized tubelets (B, N, P) whose frames after the first are what changed since the last.

    Taken after normalization, and never from one tubelet to the next (Sun et al., 2024, HiCMAE,
    official code). P has the frame slowest.
    """
    split = tubelets.unflatten(-1, (frames, -1))
    return torch.cat([split[..., :1, :], split.diff(dim=-2)], dim=-2).flatten(-2)


def tubelet_mse(
    prediction: Tensor, target: Tensor, mask: Mask, *, normalize: bool = True
) -> Tensor:
    """Mean squared error of tubelets, normalized per colour channel; arguments as in `patch_mse`.

    Args:
        prediction: (B, K, P).
        target: (B, N, P) tubelets with values in 0…1, channel fastest.
        mask: which tokens are hidden and predicted; the visible ones among the predicted do not
            count.
        normalize: whether the target tubelets are normalized first (`normalize_tubelets`).
    """
    wanted = mask.take_predict(target).float()
    if normalize:
        wanted = normalize_tubelets(wanted)[0]
    return mean_over_hidden((prediction.float() - wanted).square().mean(-1), mask)


def l1(prediction: Tensor, target: Tensor, mask: Mask) -> Tensor:
    """Mean absolute error; arguments as in `patch_mse`."""
    error = prediction.float() - mask.take_predict(target).float()
    return mean_over_hidden(error.abs().mean(-1), mask)


def smooth_l1(prediction: Tensor, target: Tensor, mask: Mask, *, beta: float = 1.0) -> Tensor:
    """Smooth L1: quadratic below `beta`, linear above; arguments as in `patch_mse`."""
    wanted = mask.take_predict(target).float()
    error = F.smooth_l1_loss(prediction.float(), wanted, beta=beta, reduction="none")
    return mean_over_hidden(error.mean(-1), mask)


def scaled_cosine_error(
    prediction: Tensor, target: Tensor, mask: Mask, *, gamma: float = 2.0
) -> Tensor:
    """Mean of (1 − cosine)^γ (Hou et al., 2022, GraphMAE eq. 2); arguments as in `patch_mse`.

    A row shorter than 1e-12 counts as of that length (official code).
    """
    wanted = F.normalize(mask.take_predict(target).float(), dim=-1)
    cosine = (F.normalize(prediction.float(), dim=-1) * wanted).sum(-1)
    # rounding can push the cosine above 1, where a fractional power is not a number
    return mean_over_hidden((1 - cosine).clamp_min(0).pow(gamma), mask)


def cross_entropy(prediction: Tensor, target: Tensor, mask: Mask) -> Tensor:
    """Cross-entropy of discrete tokens.

    Args:
        prediction: (B, K, C) logits.
        target: (B, N) int64 token ids.
        mask: which tokens are hidden and predicted.
    """
    wanted = target.gather(1, mask.predict)
    error = F.cross_entropy(prediction.float().transpose(1, 2), wanted, reduction="none")
    return mean_over_hidden(error, mask)


def info_nce(
    queries: Tensor, keys: Tensor, *, temperature: float = 0.07, valid: Tensor | None = None
) -> Tensor:
    """InfoNCE of pairs: each query's own key against all keys of the batch (van den Oord, 2018).

    Args:
        queries: (B, D).
        keys: (B, D), row i belongs to query i.
        temperature: divides the cosines.
        valid: (B,) bool, the rows that are pairs: others neither ask nor are asked; None = all.
    """
    logits = F.normalize(queries.float(), dim=-1) @ F.normalize(keys.float(), dim=-1).T
    own = torch.arange(len(logits), device=logits.device)
    if valid is None:
        return F.cross_entropy(logits / temperature, own)
    logits = logits.masked_fill(~valid, -_FAR)
    error = F.cross_entropy(logits / temperature, own, reduction="none")
    return (error * valid).sum() / valid.sum().clamp_min(1)
