"""Settings of the Vec2Face network, its mask rates, and the published sizes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...core.config import Config
from ...core.masking import RowDropMasker

N_ROWS = 49  # the map is 7 × 7 in the official code too
MAP_SIDE = 7

# the rates of the official training and generation scripts, and of the pose condition (Vec2Face+)
TRAINING_ROWS = RowDropMasker(r_min=0.5, r_max=1.0, mean=0.75, std=0.25)
GENERATION_ROWS = RowDropMasker(r_min=0.1, r_max=1.0, mean=0.15, std=0.25)
POSE_TRAINING_ROWS = RowDropMasker(r_min=0.6, r_max=0.8, mean=0.7, std=0.1)
POSE_GENERATION_ROWS = RowDropMasker(r_min=0.8, r_max=0.9, mean=0.85, std=0.05)

# what published files hold beside the weights in use; never computed with
UNUSED_KEYS = (
    "patch_embed.proj.weight",
    "patch_embed.proj.bias",
    "center_token.weight",
    "center_token.bias",
    "token_emb.position_ids",
)


def unused_name(official: str) -> str:
    """The name under which one of `UNUSED_KEYS` is kept.

    Example:
        >>> unused_name("center_token.bias")
        'center_token_bias'
    """
    return official.replace(".", "_")


Width = Annotated[int, Field(ge=1)]


class Vec2FaceConfig(Config):
    """Settings of the network; the defaults are the published base size (B)."""

    rep_dim: int = Field(default=512, ge=1)  # d, the vector's width
    dim: int = Field(default=768, ge=1)  # D of encoder and decoder alike (card pitfall 16)
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=12, ge=1)
    decoder_depth: int = Field(default=8, ge=1)
    decoder_heads: int = Field(default=16, ge=1)
    mlp_ratio: float = Field(default=4, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    z_channels: int = Field(default=256, ge=1)  # of the 7 × 7 map
    # ch · ch_mult; entry i is the width at a side of S / 2^i pixels, S the image's side
    channels: tuple[Width, ...] = Field(default=(128, 128, 256, 256, 512), min_length=2)
    n_res_blocks: int = Field(default=2, ge=1)  # per level
    norm_groups: int = Field(default=32, ge=1)  # of the image decoder's group norms
    # Vec2Face+ -------------------------------------------------------------------------------
    lora_rank: int = Field(default=0, ge=0)  # r; 0 = no adapters
    lora_alpha: float = Field(default=32, gt=0)  # α
    pose: bool = False  # whether the weights hold the net that makes a condition of landmarks
    # ours; the defaults are the official network ------------------------------------------------
    base: Literal["none", "mean"] = "none"  # an image stored with the weights, added to the output
    base_size: int = Field(default=112, ge=1)  # side at which it is stored
    position_std: float = Field(default=0.02, gt=0)  # initial deviation of both position tables
    late_upsample: bool = False  # the light image decoder: one convolution at the full side
    # unused entries of an official file, kept so that an export gives the same file
    unused: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _divides(self) -> "Vec2FaceConfig":
        for name, heads in (("heads", self.heads), ("decoder_heads", self.decoder_heads)):
            if self.dim % heads:
                raise ValueError(f"dim {self.dim} does not divide into {heads} {name}")
        normed = self.channels[1 if self.late_upsample else 0 :]
        uneven = [width for width in normed if width % self.norm_groups]
        if uneven:
            raise ValueError(f"channels {uneven} do not divide into {self.norm_groups} norm_groups")
        foreign = [name for name in self.unused if name not in UNUSED_KEYS]
        if foreign:
            raise ValueError(f"unused {foreign} are no official keys ({', '.join(UNUSED_KEYS)})")
        return self

    @property
    def image_size(self) -> int:
        """S, the picture's side in pixels."""
        return MAP_SIDE * 2 ** (len(self.channels) - 1)


SIZES = {
    # the published ones: vec2face_vit_{base,large,huge}_patch16
    "base": Vec2FaceConfig(),
    "large": Vec2FaceConfig(dim=1024, depth=24, heads=16),
    "huge": Vec2FaceConfig(dim=1280, depth=32, heads=16),
    # ours, for one CPU core: 4.96 M parameters, vectors of the embedded recognition net
    "small": Vec2FaceConfig(
        rep_dim=128, dim=192, depth=4, heads=6, decoder_depth=2, decoder_heads=6, z_channels=96,
        channels=(16, 32, 64, 128, 160), n_res_blocks=1, norm_groups=16,
        base="mean", base_size=56, late_upsample=True,
    ),
}  # fmt: skip
