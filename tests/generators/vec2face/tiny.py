"""A network small enough for unit tests: 28 × 28 pictures, every official part."""

import torch
from torch import Tensor

from masquerade.core.draws import Draws
from masquerade.core.masking import RowMask
from masquerade.generators.vec2face.config import GENERATION_ROWS, Vec2FaceConfig
from masquerade.generators.vec2face.model import Vec2FaceNet

SETTINGS = {
    "rep_dim": 6, "dim": 16, "depth": 2, "heads": 2, "decoder_depth": 1, "decoder_heads": 4,
    "z_channels": 8, "channels": (8, 8, 16), "n_res_blocks": 1, "norm_groups": 4,
}  # fmt: skip


def tiny(**changes) -> Vec2FaceNet:
    """The network in eval mode, its weights drawn from seed 0."""
    torch.manual_seed(0)
    return Vec2FaceNet(Vec2FaceConfig(**(SETTINGS | changes))).eval()


def vectors(n: int = 3) -> Tensor:
    return Draws(1, torch.arange(n)).normal(SETTINGS["rep_dim"])


def masks(n: int = 3, rate: float | None = None, masker=GENERATION_ROWS) -> RowMask:
    return masker.draw(Draws(2, torch.arange(n)), rate=rate)
