"""The network's rules that no golden vector names: what a hidden row holds, and who sees it."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.masking import take
from masquerade.generators.vec2face.config import (
    SIZES,
    TRAINING_ROWS,
    UNUSED_KEYS,
    Vec2FaceConfig,
)
from masquerade.generators.vec2face.model import Vec2FaceNet

sys.path.insert(0, str(Path(__file__).parent))
from tiny import masks, tiny, vectors  # noqa: E402


def test_every_row_of_the_map_is_a_multiple_of_e_plus_an_offset() -> None:
    net = tiny()
    token, rows = net.expand_vectors(vectors())
    wanted = net.expand.weight[7, 0] * token + net.expand.bias[7]
    torch.testing.assert_close(rows[:, 7], wanted)


def test_hidden_rows_do_not_reach_the_encoder() -> None:
    net, mask = tiny(), masks(rate=0.6)
    token, rows = net.expand_vectors(vectors())
    other = torch.where(mask.mask_bool[:, :, None], torch.randn_like(rows), rows)
    assert torch.equal(net.encode(token, rows, mask), net.encode(token, other, mask))
    seen = torch.where(mask.mask_bool[:, :, None], rows, torch.randn_like(rows))
    assert not torch.allclose(net.encode(token, rows, mask), net.encode(token, seen, mask))


def test_a_hidden_row_that_is_kept_holds_e_at_its_own_place() -> None:
    net, mask = tiny(depth=1), masks(rate=1.0, masker=TRAINING_ROWS)  # all hidden, 24 kept
    token, rows = net.expand_vectors(vectors())
    held = token[:, None] + take(net.positions[1:].expand(3, -1, -1), mask.keep)
    x = net.embed_norm(torch.cat([token[:, None] + net.positions[:1], held], dim=1))
    torch.testing.assert_close(net.encode(token, rows, mask), net.norm(net.blocks[0](x)))


def test_the_mask_token_is_the_embedded_first_latent_also_for_kept_rows() -> None:
    net, mask = tiny(decoder_depth=1), masks(rate=1.0)
    latents = net.encode(*net.expand_vectors(vectors()), mask)
    others = torch.cat([latents[:, :1], torch.randn_like(latents[:, 1:])], dim=1)
    assert torch.equal(net.decode(latents, mask), net.decode(others, mask))
    x = net.decoder_embed(latents[:, :1]).expand(-1, 50, -1) + net.decoder_positions
    wanted = net.decoder_norm(net.decoder_blocks[0](x))
    torch.testing.assert_close(net.decode(latents, mask), wanted)


def test_target_is_the_map_before_masking_without_a_gradient() -> None:
    net = tiny()
    few, many = (net(vectors(), masks(rate=rate)).target for rate in (0.1, 1.0))
    assert torch.equal(few, many)
    assert not few.requires_grad
    token, rows = net.expand_vectors(vectors())
    assert torch.equal(few, torch.cat([token[:, None], rows], dim=1))


def test_masks_vary_the_picture_in_eval_mode_too() -> None:
    net = tiny()
    images = [net(vectors(1), masks(1, rate=rate)).image for rate in (0.1, 0.8)]
    assert (images[0] - images[1]).abs().max() > 1e-3


def test_a_picture_does_not_depend_on_its_batch() -> None:
    net = tiny()
    together = net(vectors(3), masks(3)).image
    alone = net(vectors(1), masks(1)).image
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


def test_a_condition_fills_hidden_rows_and_skips_the_embedding() -> None:
    """Quirk of the official Vec2Face+ code: `decoder_embed` is not applied on this path."""
    net, mask = tiny(pose=True), masks(rate=0.5)
    condition = torch.randn(3, 1, 16)
    before = net(vectors(), mask, condition).logits
    torch.nn.init.zeros_(net.decoder_embed.weight)
    assert torch.equal(net(vectors(), mask, condition).logits, before)
    assert not torch.allclose(net(vectors(), mask, 2 * condition).logits, before)
    zero = net.pose(torch.rand(3, 3, 112, 112))
    assert zero.shape == (3, 1, 16)
    assert not zero.any()


def test_dropout_is_on_in_training_and_repeats_with_the_seed() -> None:
    net = tiny().train()
    images = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        images.append(net(vectors(), masks()).image)
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_adapters_sit_on_every_block_and_start_without_effect() -> None:
    plain, adapted = tiny(), tiny(lora_rank=2)
    names = [name for name in adapted.state_dict() if name.endswith(".A")]
    assert len(names) == 2 * (2 + 1)
    renamed = {k.replace(".base.", "."): v for k, v in adapted.state_dict().items()}
    plain.load_state_dict({k: v for k, v in renamed.items() if k[-2:] not in {".A", ".B"}})
    mask = masks()
    assert torch.equal(plain(vectors(), mask).image, adapted(vectors(), mask).image)


@pytest.mark.parametrize("late", [False, True])
def test_training_starts_at_the_base_image(late) -> None:
    net = tiny(base="mean", base_size=14, late_upsample=late)
    ramp = torch.linspace(-1, 1, 28).expand(3, 28, 28)
    net.set_base(ramp)
    assert net.base.shape == (3, 14, 14)
    image = net(vectors(), masks()).image
    torch.testing.assert_close(image, ramp.expand(3, -1, -1, -1), rtol=0, atol=0.04)
    assert "base" in net.state_dict()
    with pytest.raises(ValueError, match="no base image"):
        tiny().set_base(ramp)


def test_base_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        net = Vec2FaceNet(Vec2FaceConfig(unused=UNUSED_KEYS[:4]))  # the fifth holds no weights
    counts = {name: sum(v.numel() for v in part.state_dict().values()) / 1e6
              for name, part in (("all", net), *net.named_children())}  # fmt: skip
    assert counts["all"] == pytest.approx(174.13, abs=0.005)
    assert counts["blocks"] == pytest.approx(85.05, abs=0.005)
    assert counts["decoder_blocks"] == pytest.approx(56.70, abs=0.005)
    assert counts["image_decoder"] == pytest.approx(30.48, abs=0.005)


def test_small_size_has_at_most_five_million_parameters() -> None:
    with torch.device("meta"):
        net = Vec2FaceNet(SIZES["small"])
    assert sum(p.numel() for p in net.parameters()) <= 5_000_000
    assert SIZES["small"].image_size == SIZES["base"].image_size == 112


def test_pose_condition_is_taken_under_autocast() -> None:
    """The published pose stage trains in bf16: norms give float32, linear layers do not."""
    net = tiny()
    condition = torch.ones(3, 1, net.config.dim, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        image = net(vectors(), masks(), condition).image
    assert image.isfinite().all()
