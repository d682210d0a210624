"""Official names both ways, and the settings that official weights fix."""

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.keymap import to_official, to_ours
from masquerade.generators.vec2face.config import SIZES, UNUSED_KEYS, Vec2FaceConfig
from masquerade.generators.vec2face.discriminator import Discriminator
from masquerade.generators.vec2face.keymap import (
    DISCRIMINATOR_KEYMAP,
    KEYMAP,
    NET_KEYMAP,
    container_of,
    derive,
    derive_discriminator,
    unwrap,
    wrap,
)
from masquerade.generators.vec2face.model import Vec2FaceNet


def official(config: Vec2FaceConfig) -> dict:
    with torch.device("meta"):
        return to_official(Vec2FaceNet(config).state_dict(), NET_KEYMAP)


def shapes_of(state: dict) -> dict:
    return {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize("size", ["base", "large", "huge"])
def test_published_sizes_are_read_off_their_weights(size) -> None:
    config = SIZES[size].model_copy(update={"unused": UNUSED_KEYS})
    found = derive(shapes_of(official(config)))
    assert build(Vec2FaceConfig, found) == config
    assert found["decoder_heads"] == 16


def test_official_names_and_shapes_of_the_base_size() -> None:
    """Card section 7."""
    shapes = shapes_of(official(SIZES["base"].model_copy(update={"unused": UNUSED_KEYS})))
    for name, shape in {
        "decoder_pos_embed_learned": (1, 50, 768),
        "token_emb.position_ids": (1, 50),
        "token_emb.position_embeddings.weight": (50, 768),
        "token_emb.LayerNorm.bias": (768,),
        "latent_prior_proj_f.weight": (768, 512),
        "feature_token.weight": (49, 1),
        "center_token.weight": (49, 768),
        "im_decoder_proj.weight": (256, 768),
        "patch_embed.proj.weight": (768, 3, 16, 16),
        "blocks.11.attn.qkv.weight": (2304, 768),
        "decoder_blocks.7.mlp.fc2.weight": (768, 3072),
        "im_decoder.mid.block_2.conv2.weight": (512, 512, 3, 3),
        "im_decoder.up.1.block.0.nin_shortcut.weight": (128, 128, 1, 1),
        "im_decoder.up.3.block.0.nin_shortcut.weight": (256, 256, 1, 1),
        "im_decoder.up.4.upsample.conv.bias": (512,),
        "im_decoder.conv_out.weight": (3, 128, 3, 3),
    }.items():
        assert shapes[name] == shape, name
    assert "im_decoder.up.0.upsample.conv.weight" not in shapes
    assert "im_decoder.up.2.block.0.nin_shortcut.weight" not in shapes


def test_unknown_widths_leave_the_heads_to_the_user() -> None:
    config = SIZES["base"].model_copy(update={"dim": 96})
    assert not {"heads", "decoder_heads"} & derive(shapes_of(official(config))).keys()


def test_adapters_and_pose_make_the_plus_container() -> None:
    state = official(SIZES["base"].model_copy(update={"lora_rank": 8, "pose": True}))
    found = derive(shapes_of(state))
    assert (found["lora_rank"], found["pose"]) == (8, True)
    assert state["blocks.0.attn.qkv.base.weight"].shape == (2304, 768)
    assert state["decoder_blocks.7.attn.proj.B"].shape == (768, 8)
    assert container_of(state) == "plus"
    assert container_of(official(SIZES["base"])) == "generator"


def test_discriminator_names_and_dims() -> None:
    with torch.device("meta"):
        own = Discriminator().state_dict()
    state = to_official(own, DISCRIMINATOR_KEYMAP)
    assert derive_discriminator(shapes_of(state)) == (64, 128, 256, 512)
    assert derive_discriminator({}) is None
    assert state["disc.layers.3.3.block.project.weight"].shape == (512, 512, 3, 3)
    assert state["disc.to_logits.2.weight"].shape == (1, 512, 4, 4)
    assert to_ours(state, DISCRIMINATOR_KEYMAP)[0].keys() == own.keys()


def test_a_whole_files_content_has_an_entry_per_part() -> None:
    state = {
        "norm.weight": 1, "blocks.0.norm1.bias": 2, "pose_model.conv1.weight": 3,
        "disc.to_logits.0.bias": 4,
    }  # fmt: skip
    assert wrap(state) == {
        "model_vec2face": {"norm.weight": 1, "blocks.0.norm1.bias": 2},
        "pose_model": {"conv1.weight": 3},
        "model_disc": {"to_logits.0.bias": 4},
    }
    ours, unknown = to_ours({k: torch.zeros(1) for k in state}, KEYMAP)
    assert not unknown
    assert set(ours) == {
        "net.norm.weight", "net.blocks.0.norm1.bias", "net.pose.convs.0.weight",
        "discriminator.mix.bias",
    }  # fmt: skip


def test_parts_of_a_file_become_one_state_and_foreign_ones_are_named() -> None:
    state = {"norm.weight": 1, "pose_model.conv1.weight": 2, "disc.to_logits.0.bias": 3}
    named = {f"{part}/{k}": v for part, entries in wrap(state).items() for k, v in entries.items()}
    assert unwrap(named) == (state, ())
    assert unwrap(state) == (state, ())  # a bare state dict
    found, notes = unwrap({**named, "ema/norm.weight": 4, "ema/norm.bias": 5})
    assert (found, notes) == (state, ("left out: the part 'ema', 2 in all",))
