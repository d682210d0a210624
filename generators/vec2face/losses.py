"""The objective of Vec2Face: every term a pure function, and their weighted sum.

The official code sums reconstruction, perceptual, SSIM, token and identity terms, and from a given
epoch on an adversarial one whose weight is always 1: the adaptive weight that the code also holds
never runs, its condition being inverted.
"""

# B samples, d vector width, D token width, P patch logits.

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ...core.config import Config
from ...core.perceptual import Perceptual, ssim
from .model import Generated
from .teacher import teaching_loss


class LossWeights(Config):
    """The weight of each term; the defaults are Vec2Face's."""

    rec: float = Field(default=1.0, ge=0)
    lpips: float = Field(default=0.2, ge=0)  # the code's 0.1 · (2 · LPIPS)
    ssim: float = Field(default=0.1, ge=0)
    token: float = Field(default=1.0, ge=0)
    id: float = Field(default=1.0, ge=0)
    gan: float = Field(default=1.0, ge=0)
    teacher: float = Field(default=0.0, ge=0)  # ours, see `teacher.py`


PLUS_WEIGHTS = LossWeights(lpips=0.4, ssim=1.0, gan=0.0)  # Vec2Face+
POSE_WEIGHTS = PLUS_WEIGHTS.model_copy(update={"token": 0.0})  # its pose stage


def reconstruction_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of pictures (B, 3, S, S), unclipped."""
    return F.mse_loss(images.float(), targets.float())


def ssim_loss(images: Tensor, targets: Tensor) -> Tensor:
    """1 − SSIM of pictures (B, 3, S, S) in [-1, 1], brought to [0, 1]."""
    return 1 - ssim((images + 1) / 2, (targets + 1) / 2)


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of all 49 rows of the map, visible ones too (both (B, 50, D))."""
    return F.mse_loss(logits[:, 1:].float(), target[:, 1:].detach().float())


def identity_loss(vectors: Tensor, features: Tensor) -> Tensor:
    """Mean of 1 − cosine between the input vectors and the pictures' features, (B, d) each."""
    return (1 - F.cosine_similarity(vectors.float(), features.float(), dim=1)).mean()


def adversarial_loss(logits: Tensor) -> Tensor:
    """The generator's term: minus the mean logit (B, 1, P, P) of its pictures."""
    return -logits.float().mean()


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Least squares (Mao et al., 2017): real logits towards 1, generated ones towards 0."""
    return 0.5 * ((real.float() - 1).square().mean() + generated.float().square().mean())


def adversary_is_on(epoch: int, disc_start: int) -> bool:
    """Whether generator and discriminator train against each other in this epoch."""
    return epoch >= disc_start


def judged(
    discriminator: nn.Module, images: Tensor, *, official_adversary_gradient: bool = False
) -> Tensor:
    """The discriminator's logits for the generator's term.

    Args:
        discriminator: what judges.
        images: (B, 3, S, S), with the generator's graph.
        official_adversary_gradient: let the generator's term reach the discriminator's parameters
            too. The official code does, and does not clear that gradient before the
            discriminator's own step.
    """
    if official_adversary_gradient:
        return discriminator(images)
    frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
    return functional_call(discriminator, frozen, (images,))


def generator_loss(
    generated: Generated,
    pictures: Tensor,
    vectors: Tensor,
    *,
    features: Callable[[Tensor], Tensor],
    perceptual: Perceptual,
    weights: LossWeights,
    judge: Callable[[Tensor], Tensor] | None = None,
    taught: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The generator's loss and its terms, unweighted, by the names of `LossWeights`.

    Args:
        generated: of the network.
        pictures: (B, 3, S, S) real faces in [-1, 1].
        vectors: (B, d) the input vectors.
        features: pictures (B, 3, S, S) → (B, d), the frozen embedder in the vectors' frame.
        perceptual: (pictures, pictures) → (B,) distances.
        weights: of the terms; a term of weight 0 is not computed.
        judge: pictures → logits; None before the adversary starts.
        taught: (B, 3, s, s) what the teacher draws of the same vectors, or None.

    Returns:
        The weighted sum, and the scalars.
    """
    images = generated.image
    terms: dict[str, Callable[[], Tensor]] = {
        "rec": lambda: reconstruction_loss(images, pictures),
        "lpips": lambda: perceptual(images, pictures).float().mean(),
        "ssim": lambda: ssim_loss(images, pictures),
        "token": lambda: token_loss(generated.logits, generated.target),
        "id": lambda: identity_loss(vectors, features(images)),
    }
    if judge is not None:
        terms["gan"] = lambda: adversarial_loss(judge(images))
    if taught is not None:
        terms["teacher"] = lambda: teaching_loss(images, taught)
    given = weights.to_dict()
    parts = {name: term() for name, term in terms.items() if given[name] > 0}
    total = torch.stack([given[name] * part for name, part in parts.items()]).sum()
    return total, parts
