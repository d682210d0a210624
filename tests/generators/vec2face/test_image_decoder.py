"""The image decoders: the lost skip, the ways up, and the order of the levels."""

import pytest
import torch
from torch.nn import functional as F

from masquerade.generators.vec2face.image_decoder import ImageDecoder, ResBlock, Upsample
from masquerade.generators.vec2face.light_decoder import LightDecoder


def silenced(block: ResBlock) -> ResBlock:
    torch.nn.init.zeros_(block.conv2.weight)
    return block


def test_skip_is_lost_where_a_block_changes_the_width() -> None:
    """Official behaviour: nin(h) + h, which is zero where h is."""
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(silenced(ResBlock(8, 8, groups=4))(x), x)
    assert not silenced(ResBlock(8, 16, groups=4))(x).any()


def test_shortcut_of_a_width_change_reads_the_branch() -> None:
    torch.manual_seed(0)
    block, x = ResBlock(8, 16, groups=4), torch.randn(1, 8, 5, 5)
    assert block.nin_shortcut.weight.shape == (16, 16, 1, 1)
    assert block.conv1.bias is None
    with torch.no_grad():
        both = block(x)
        block.nin_shortcut.weight.zero_()
        branch = block(x)
        block.nin_shortcut.weight.copy_(torch.eye(16).view(16, 16, 1, 1))
    torch.testing.assert_close(block(x), 2 * branch)
    assert not torch.allclose(both, branch)


def test_upsample_equals_convolving_the_enlarged_picture() -> None:
    torch.manual_seed(0)
    layer = Upsample(6)
    x = torch.randn(2, 6, 5, 7, requires_grad=True)
    plain = layer.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(layer(x), plain, rtol=0, atol=1e-5)
    weight = torch.randn_like(plain)
    wanted, got = (torch.autograd.grad((y * weight).sum(), [x, layer.conv.weight, layer.conv.bias])
                   for y in (plain, layer(x)))  # fmt: skip
    for a, b in zip(wanted, got, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


def test_upsample_repeats_pixels_before_its_convolution() -> None:
    layer = Upsample(1)
    torch.nn.init.dirac_(layer.conv.weight)
    torch.nn.init.zeros_(layer.conv.bias)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    wanted = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert layer(x)[0, 0].tolist() == wanted


def test_level_zero_has_the_pictures_size_and_no_way_up() -> None:
    decoder = ImageDecoder(z_channels=4, channels=(8, 16, 24), n_res_blocks=2, groups=8)
    assert decoder.up[0].upsample is None
    assert [level.block[0].conv1.weight.shape[:2] for level in decoder.up] == [
        (8, 16), (16, 24), (24, 24)
    ]  # fmt: skip
    assert [len(level.block) for level in decoder.up] == [2, 2, 2]
    sides = []
    for level in decoder.up:
        level.register_forward_pre_hook(lambda _, x: sides.append(x[0].shape[-1]))
    assert decoder(torch.zeros(1, 4, 7, 7)).shape == (1, 3, 28, 28)
    assert sides == [7, 14, 28]


def test_pictures_of_a_batch_are_those_of_its_rows() -> None:
    torch.manual_seed(0)
    decoder = ImageDecoder(z_channels=4, channels=(8, 16), n_res_blocks=1, groups=8)
    z = torch.randn(5, 4, 7, 7)
    together = decoder(z)
    assert together.shape == (5, 3, 14, 14)
    for i in range(5):
        torch.testing.assert_close(together[i : i + 1], decoder(z[i : i + 1]), rtol=0, atol=1e-5)
    assert decoder(z[:0]).shape == (0, 3, 14, 14)


def test_light_decoder_convolves_wide_at_half_the_side_only() -> None:
    decoder = LightDecoder(z_channels=4, channels=(4, 8, 16), n_res_blocks=1, groups=4)
    widths = {}
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda layer, x, _: widths.setdefault(x[0].shape[-1], []).append(layer.in_channels)
            )
    assert decoder(torch.zeros(1, 4, 7, 7)).shape == (1, 3, 28, 28)
    assert widths[28] == [4]
    assert max(widths) == 28
    skips = [m.changes_width for m in decoder.modules() if isinstance(m, ResBlock)]
    assert len(skips) == 4
    assert not any(skips)


@pytest.mark.parametrize("cls", [ImageDecoder, LightDecoder])
def test_every_weight_gets_a_gradient(cls) -> None:
    torch.manual_seed(0)
    decoder = cls(z_channels=4, channels=(8, 8, 16), n_res_blocks=1, groups=4)
    decoder(torch.randn(2, 4, 7, 7)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
