"""The augmentation of recognition training: operations by hand, pictures by their own draws."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from masquerade.core.draws import Draws
from masquerade.modalities.image.faces.augmentation import FaceAugment

NONE = {"crop": 0.0, "low_res": 0.0, "light": 0.0, "erase": 0.0}
SIDE = 32


def only(name: str, share: float = 1.0) -> FaceAugment:
    return FaceAugment(**{**NONE, name: share})


def draws(n: int, seed: int = 0) -> Draws:
    return Draws(seed, torch.arange(n) + 100)


@pytest.fixture
def pictures() -> Tensor:
    """(64, 3, 32, 32) in [-1, 1], nowhere black or mid-grey."""
    noise = torch.rand(64, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return torch.where(noise < 0.5, noise - 0.9, noise)


@pytest.mark.parametrize("name", [*NONE, "all"])
def test_a_picture_depends_on_its_own_draws_alone(pictures, name) -> None:
    augment = FaceAugment() if name == "all" else only(name)
    before = pictures.clone()
    together = augment(pictures, draws(64))
    assert torch.equal(pictures, before)
    some = [3, 40]
    alone = augment(pictures[some], Draws(0, torch.tensor(some) + 100))
    torch.testing.assert_close(alone, together[some], atol=1e-6, rtol=0)
    assert not torch.equal(together, augment(pictures, draws(64, seed=1)))
    assert together.abs().max() <= 1


def test_without_operations_nothing_changes(pictures) -> None:
    assert torch.equal(FaceAugment(**NONE)(pictures, draws(64)), pictures)


@pytest.mark.parametrize("name", NONE)
def test_share_of_changed_pictures_is_the_probability(name) -> None:
    images = torch.rand(600, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.6
    changed = (only(name, 0.3)(images, draws(600)) != images).flatten(1).any(1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.075)  # four standard errors


def rectangle(inside: Tensor) -> tuple[int, int]:
    """Height and width of the one rectangle that a mask (S, S) is."""
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    assert inside[top : top + height, left : left + width].all()
    assert inside.sum() == height * width
    return height, width


def test_crop_keeps_a_rectangle_in_its_place_on_black(pictures) -> None:
    cropped = only("crop")(pictures, draws(64))
    shares = []
    for picture, after in zip(pictures, cropped, strict=True):
        kept = (after != -1).all(0)
        assert torch.equal(after[:, kept], picture[:, kept])
        height, width = rectangle(kept)
        assert 0.7 <= width / height <= 1.45  # 3/4 … 4/3, and rounding
        shares.append(height * width / SIDE**2)
    assert 0.18 < min(shares) < 0.35
    assert 0.85 < max(shares) <= 1.0


def test_erased_rectangle_is_mid_grey(pictures) -> None:
    erased = only("erase")(pictures, draws(64))
    sides = [rectangle((after == 0).all(0)) for after in erased if (after == 0).any()]
    assert len(sides) >= 60
    shares = [h * w / SIDE**2 for h, w in sides]
    assert 0.01 < min(shares)
    assert max(shares) < 0.36


def test_low_resolution_takes_detail_away_and_keeps_the_mean(pictures) -> None:
    smooth = only("low_res")(pictures, draws(64))

    def detail(images: Tensor) -> Tensor:
        return (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))

    ratio = detail(smooth) / detail(pictures)
    assert ratio.min() < 0.3
    assert ratio.mean() < 0.8
    assert ratio.max() <= 1.05
    flat = torch.full((64, 3, SIDE, SIDE), 0.3)
    torch.testing.assert_close(only("low_res")(flat, draws(64)), flat, atol=1e-5, rtol=0)


def test_light_equals_a_loop_over_pictures(pictures) -> None:
    """Brightness, contrast, saturation: blends with black, mean grey and grey (torchvision)."""
    found = only("light")(pictures, draws(64))
    own = draws(64).fork("light")
    factors = 0.5 + own.fork("factor").uniform(3)
    orders = own.fork("order").permutation(3)
    luma = torch.tensor([0.299, 0.587, 0.114])
    for row in range(64):
        image = (pictures[row] + 1) / 2
        for kind in orders[row].tolist():
            grey = torch.einsum("c,chw->hw", luma, image)[None]
            other = (torch.zeros(1), grey.mean(), grey)[kind]
            factor = factors[row, kind]
            image = (factor * image + (1 - factor) * other).clamp(0, 1)
        torch.testing.assert_close(found[row], 2 * image - 1, atol=1e-5, rtol=0)


def test_probabilities_are_checked() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        FaceAugment(light=1.5)
