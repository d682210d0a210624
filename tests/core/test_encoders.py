"""Encoders: dropping against replacing hidden tokens, layers for decay, other image sizes."""

import pytest
import torch

from masquerade.core.classifier import ViTClassifier
from masquerade.core.decoders import ViTDecoder
from masquerade.core.encoders import ViTEncoder, pool
from masquerade.core.masking import Mask, RandomMasker
from masquerade.core.tokens import Tokens

SHAPE = {"patch_values": 12, "grid": (4, 4), "dim": 16, "depth": 2, "heads": 2}


def encoder(**changes) -> ViTEncoder:
    torch.manual_seed(0)
    return ViTEncoder(**{**SHAPE, **changes})


def patches(grid=(4, 4)) -> Tokens:
    generator = torch.Generator().manual_seed(1)
    return Tokens(torch.randn(2, grid[0] * grid[1], 12, generator=generator), grid=grid)


def mask_of(tokens: Tokens, ratio: float = 0.75) -> Mask:
    noise = torch.rand(2, tokens.count, generator=torch.Generator().manual_seed(2))
    return RandomMasker(ratio=ratio).from_noise(noise)


def test_without_a_mask_all_tokens_come_in_grid_order() -> None:
    trunk, tokens = encoder(), patches()
    everything = Mask.from_order(torch.arange(16).expand(2, -1), 16)
    torch.testing.assert_close(trunk.encode(tokens), trunk.encode(tokens, everything))


def test_replaced_tokens_are_seen_and_carry_no_pixels() -> None:
    trunk, tokens = encoder(mask_token=True), patches()
    mask = mask_of(tokens)
    latents = trunk.encode(tokens, mask)
    assert latents.shape == (2, 17, 16)
    changed = mask.put_predicted(tokens.values, torch.full((2, 12, 12), 9.0))
    assert torch.equal(trunk.encode(Tokens(changed, grid=(4, 4)), mask), latents)
    assert not torch.allclose(trunk.encode(tokens), latents)


def test_positions_follow_the_visible_tokens() -> None:
    """One layer-free trunk: the latent of a token is its embedding plus its own position."""
    trunk, tokens = encoder(depth=0), patches()
    mask = mask_of(tokens)
    latents = trunk.encode(tokens, mask, norm=False)
    wanted = trunk.embed(tokens.values) + trunk.positions[:, 1:]
    torch.testing.assert_close(latents[:, 1:], mask.take_visible(wanted))
    torch.testing.assert_close(latents[0, 0], trunk.cls_token[0, 0])  # its position is zero


def test_another_image_size_interpolates_the_positions() -> None:
    trunk = encoder()
    assert trunk.encode(patches((6, 2))).shape == (2, 13, 16)


def test_layers_for_decay_are_those_of_the_card() -> None:
    trunk = encoder()
    layers = {name: trunk.layer_id(name) for name, _ in trunk.named_parameters()}
    assert layers["embed.weight"] == layers["cls_token"] == trunk.layer_id("positions") == 0
    assert layers["blocks.0.mlp.fc1.bias"] == 1
    assert layers["blocks.1.norm1.weight"] == 2
    assert layers["norm.weight"] == 3
    model = ViTClassifier(encoder(), n_classes=3)
    assert model.layer_id("encoder.blocks.1.attn.qkv.weight") == 2
    assert model.layer_id("fc_norm.weight") == model.layer_id("head.bias") == 3


def test_drop_path_grows_linearly() -> None:
    trunk = encoder(depth=3)
    trunk.set_drop_path(0.2)
    assert [b.drop_path.rate for b in trunk.blocks] == pytest.approx([0, 0.1, 0.2])


def test_classifier_trains_its_positions() -> None:
    trunk = encoder()
    fixed = trunk.positions.clone()
    model = ViTClassifier(trunk, n_classes=3)
    model.head.weight.data.normal_()
    model(patches()).sum().backward()
    assert torch.equal(trunk.positions.data, fixed)
    assert trunk.positions.grad.abs().sum() > 0
    assert "encoder.norm.weight" not in model.state_dict()


def test_decoder_equals_the_unshuffled_way_for_any_part_predicted() -> None:
    """What the decoder saves must not show: the plain way runs all blocks on all tokens."""
    torch.manual_seed(0)
    decoder = ViTDecoder(latent_dim=16, grid=(4, 4), dim=8, depth=3, heads=2, n_out=5)
    tokens = patches()
    mask = mask_of(tokens)
    latents = torch.randn(2, 5, 16)
    x = decoder.embed(latents)
    full = mask.restore(x[:, 1:], decoder.mask_token[0, 0])
    x = torch.cat([x[:, :1], full], dim=1) + decoder.positions
    for block in decoder.blocks:
        x = block(x)
    plain = decoder.head(decoder.norm(x))[:, 1:]
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(decoder(latents, mask), mask.take_hidden(plain), **close)
    torch.testing.assert_close(decoder(latents, mask.predicting_all()), plain, **close)
    part = Mask(mask.visible, mask.hidden, predicted=torch.tensor([[3, 0, 15], [7, 7, 1]]))
    torch.testing.assert_close(decoder(latents, part), part.take_predict(plain), **close)


def test_pooling_leaves_the_class_token_out_or_is_it() -> None:
    # one sample: class token (9, 9), tokens (0, 4) and (2, 8): means 1 and 6, deviations 1 and 2
    latents = torch.tensor([[[9.0, 9.0], [0.0, 4.0], [2.0, 8.0]]])
    assert pool(latents, "mean").tolist() == [[1, 6]]
    assert pool(latents, "mean_std").tolist() == [[1, 6, 1, 2]]
    assert pool(latents, "cls").tolist() == [[9, 9]]


def test_encoder_without_class_token_has_the_tokens_alone() -> None:
    torch.manual_seed(0)
    encoder = ViTEncoder(
        patch_values=6, grid=(2, 2, 2), dim=8, depth=1, heads=2, class_token=False,
        positions="sequence", key_bias=False,
    )  # fmt: skip
    assert encoder.cls_token is None
    assert "positions" not in encoder.state_dict()
    values = torch.randn(2, 8, 6)
    assert encoder.encode(Tokens(values, grid=(2, 2, 2))).shape == (2, 8, 8)
    mask = Mask.from_order(torch.tensor([[3, 1, 0, 2, 4, 5, 6, 7]] * 2), 2)
    assert encoder.encode(Tokens(values, grid=(2, 2, 2)), mask).shape == (2, 2, 8)
    # a longer clip gets the table of its own length, and equal beginnings
    longer = encoder._positions_of((4, 2, 2))
    assert longer.shape == (1, 16, 8)
    assert torch.equal(longer[:, :8], encoder.positions)


def test_decoder_of_predicted_queries_sees_nothing_of_the_others() -> None:
    """Hidden tokens that are not predicted change nothing; a visible one can be asked for."""
    torch.manual_seed(0)
    decoder = ViTDecoder(
        latent_dim=8, grid=(6,), dim=8, depth=2, heads=2, n_out=3, class_token=False,
        positions="sequence", key_bias=False, embed_bias=False, queries="predicted",
    )  # fmt: skip
    torch.nn.init.normal_(decoder.mask_token)
    latents = torch.randn(1, 2, 8)
    visible, asked = torch.tensor([[0, 3]]), torch.tensor([[3, 4]])
    first = decoder(latents, Mask(visible, torch.tensor([[1, 2, 4, 5]]), predicted=asked))
    other = decoder(latents, Mask(visible, torch.tensor([[4]]), predicted=asked))
    assert first.shape == (1, 2, 3)
    assert torch.equal(first, other)
    # by hand: visible latents, then mask tokens with the positions of 3 and 4
    x = torch.cat([decoder.embed(latents), decoder.mask_token.expand(1, 2, -1)], dim=1)
    x = x + decoder.positions[:, [0, 3, 3, 4]]
    for block in decoder.blocks:
        x = block(x)
    torch.testing.assert_close(first, decoder.head(decoder.norm(x))[:, 2:])
