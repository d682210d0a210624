"""Every term by hand, their sum, and who gets the adversary's gradient."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.generators.vec2face.discriminator import Discriminator
from masquerade.generators.vec2face.losses import (
    PLUS_WEIGHTS,
    POSE_WEIGHTS,
    LossWeights,
    adversarial_loss,
    adversary_is_on,
    discriminator_loss,
    generator_loss,
    identity_loss,
    judged,
    reconstruction_loss,
    ssim_loss,
    token_loss,
)

sys.path.insert(0, str(Path(__file__).parent))
from tiny import masks, tiny, vectors  # noqa: E402


def means(images: torch.Tensor) -> torch.Tensor:
    """(B, 6) features: the means of both halves of each channel."""
    return images.unflatten(3, (2, -1)).mean((2, 4)).flatten(1)


def squares(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (images - targets).square().mean((1, 2, 3))


def call(weights: LossWeights, judge=None, perceptual=squares):
    torch.manual_seed(0)
    made, pictures = tiny()(vectors(), masks()), torch.rand(3, 3, 28, 28) * 2 - 1
    total, parts = generator_loss(
        made, pictures, vectors(), features=means, perceptual=perceptual, weights=weights,
        judge=judge,
    )  # fmt: skip
    return made, pictures, total, parts


def test_total_is_the_weighted_sum_of_the_official_terms() -> None:
    made, pictures, total, parts = call(LossWeights(), judge=lambda images: images[:, :1])
    assert parts["rec"] == reconstruction_loss(made.image, pictures)
    assert parts["lpips"] == squares(made.image, pictures).mean()
    assert parts["gan"] == -made.image[:, 0].mean()
    wanted = (
        parts["rec"] + 0.2 * parts["lpips"] + 0.1 * parts["ssim"] + parts["token"] + parts["id"]
        + parts["gan"]
    )  # card section 4  # fmt: skip
    torch.testing.assert_close(total, wanted)


def test_the_later_variants_weights() -> None:
    """Card section 12: 0.4 LPIPS, 1.0 SSIM, no adversary; the pose stage has no token term."""
    *_, total, parts = call(PLUS_WEIGHTS, judge=lambda images: images)
    assert set(parts) == {"rec", "lpips", "ssim", "token", "id"}
    wanted = parts["rec"] + 0.4 * parts["lpips"] + parts["ssim"] + parts["token"] + parts["id"]
    torch.testing.assert_close(total, wanted)
    assert set(call(POSE_WEIGHTS)[3]) == {"rec", "lpips", "ssim", "id"}


def test_a_term_of_weight_zero_is_not_computed() -> None:
    def never(images, targets):
        raise AssertionError

    assert "lpips" not in call(LossWeights(lpips=0), perceptual=never)[3]


def test_identity_loss_is_one_minus_the_cosine_whatever_the_norms() -> None:
    v = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    assert identity_loss(v, 22 * v).item() == pytest.approx(0)
    assert identity_loss(v, torch.tensor([[-1.0, 0.0], [5.0, 0.0]])).item() == pytest.approx(1.5)


def test_token_loss_is_over_all_rows_but_not_e() -> None:
    target = torch.zeros(1, 50, 2, requires_grad=True)
    logits = torch.zeros(1, 50, 2)
    logits[0, 0] = 100
    assert token_loss(logits, target) == 0
    logits[0, 49] = 7
    assert token_loss(logits, target).item() == pytest.approx(1)  # 2 · 49 / (49 · 2)
    assert not token_loss(logits, target).requires_grad


def test_ssim_loss_is_zero_for_equal_pictures() -> None:
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    assert ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert ssim_loss(x, -x).item() > 0.5


def test_adversary_by_hand() -> None:
    one, zero = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert discriminator_loss(real=one, generated=zero) == 0
    assert discriminator_loss(real=zero, generated=2 * one) == 2.5
    assert adversarial_loss(3 * one) == -3
    assert [adversary_is_on(epoch, 80) for epoch in (79, 80)] == [False, True]


def test_generator_term_spares_the_discriminator_unless_asked() -> None:
    """Official code: it does not (pitfall 4); the generator's own gradient is the same."""
    torch.manual_seed(0)
    discriminator = Discriminator(dims=(8, 8, 8))
    gradients = {}
    for official in (False, True):
        discriminator.zero_grad()
        images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
        images.requires_grad_()
        logits = judged(discriminator, images, official_adversary_gradient=official)
        adversarial_loss(logits).backward()
        gradients[official] = images.grad
        reached = [p.grad is not None for p in discriminator.parameters()]
        assert all(reached) if official else not any(reached)
    torch.testing.assert_close(gradients[False], gradients[True])
    assert discriminator.head.bias.grad.item() == pytest.approx(-1)
