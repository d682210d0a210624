"""SSIM against kornia's, LPIPS against a plain restatement on files of the published form."""

from pathlib import Path

import kornia
import pytest
import torch
from torch import nn

from masquerade.core.errors import WeightsError
from masquerade.core.perceptual import LPIPS, FeaturePerceptual, ssim

# torchvision's VGG-16 "D" up to relu5_3
PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
TAPS = (3, 8, 15, 22, 29)


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_ssim_equals_kornias_inside_the_picture(data_range) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 24, 31)
    y = (x + 0.3 * torch.rand_like(x)).clamp(0, 1)
    wanted = kornia.metrics.ssim(x, y, 11, max_val=data_range, padding="valid").mean()
    torch.testing.assert_close(ssim(x, y, data_range), wanted, rtol=1e-4, atol=1e-5)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    x, y = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.8)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)
    wanted = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)  # by hand
    assert ssim(x, y).item() == pytest.approx(wanted, rel=1e-3)


def test_ssim_stays_float32_in_mixed_precision() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, 1, 3, 20, 20).unbind()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ssim(x, y)
    assert torch.equal(mixed, ssim(x, y))


def test_feature_distance_ignores_the_scale_of_features_and_spares_the_target() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, 3, 3, 6, 6).requires_grad_().unbind()
    plain = FeaturePerceptual(lambda images: [images, images[:, :, ::2, ::2]])
    scaled = FeaturePerceptual(lambda images: [7 * images, images[:, :, ::2, ::2]])
    torch.testing.assert_close(plain(x, y), scaled(x, y))
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=1)
    wanted = (2 - 2 * cosine).mean((1, 2)) + (2 - 2 * cosine)[:, ::2, ::2].mean((1, 2))
    torch.testing.assert_close(plain(x, y), wanted / 2)
    assert plain(x, x).abs().max() < 1e-12
    target = torch.rand(1, 3, 6, 6, requires_grad=True)
    plain(torch.rand(1, 3, 6, 6, requires_grad=True), target).sum().backward()
    assert target.grad is None


def plain_vgg() -> nn.Sequential:
    layers, n_in = [], 3
    for entry in PLAN:
        if entry == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(n_in, entry, 3, padding=1), nn.ReLU()]
            n_in = entry
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A VGG-16 and heads of random weights, as the two published files name them."""
    torch.manual_seed(0)
    folder, vgg = tmp_path_factory.mktemp("lpips"), plain_vgg()
    backbone = {f"features.{k}": v for k, v in vgg.state_dict().items()}
    torch.save(backbone | {"classifier.0.bias": torch.zeros(4)}, folder / "vgg16.pth")
    widths = (64, 128, 256, 512, 512)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1) for i, n in enumerate(widths)}
    torch.save(heads, folder / "lin.pth")
    return folder / "vgg16.pth", folder / "lin.pth", vgg, heads


def test_lpips_equals_its_definition(files) -> None:
    vgg_path, heads_path, vgg, heads = files
    torch.manual_seed(1)
    x, y = (torch.rand(2, 2, 3, 32, 32) * 2 - 1).unbind()
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    a, b, wanted = (x - shift) / scale, (y - shift) / scale, torch.zeros(2)
    for number, layer in enumerate(vgg):
        a, b = layer(a), layer(b)
        if number in TAPS:
            ua, ub = (f / f.norm(dim=1, keepdim=True).clamp(min=1e-4) for f in (a, b))
            weight = heads[f"lin{TAPS.index(number)}.model.1.weight"]
            wanted += ((ua - ub) ** 2 * weight.view(1, -1, 1, 1)).sum(1).mean((1, 2))
    distance = LPIPS.open(vgg_path, heads_path)
    torch.testing.assert_close(distance(x, y), wanted, rtol=1e-4, atol=1e-5)
    assert distance(x, x).abs().max() == 0
    assert not any(p.requires_grad for p in distance.parameters())


def test_wrong_perceptual_weights_are_refused_by_key(files, tmp_path: Path) -> None:
    vgg_path, heads_path, *_ = files
    with pytest.raises(WeightsError, match=r"vgg16.pth: expected lin0.model.1.weight .*nothing"):
        LPIPS.open(vgg_path, vgg_path)
    torch.save({"lin0.model.1.weight": torch.zeros(1, 32, 1, 1)}, tmp_path / "alex.pth")
    with pytest.raises(WeightsError, match=r"expected lin0.* \(64,\), got shape \(1, 32, 1, 1\)"):
        LPIPS.open(vgg_path, tmp_path / "alex.pth")
