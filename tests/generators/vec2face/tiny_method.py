"""The method small enough for unit tests, and pictures for it."""

import json
from pathlib import Path

import torch
from PIL import Image as Pillow

from masquerade.core.draws import Draws
from masquerade.core.tokens import Batch
from masquerade.generators.vec2face.method import Vec2Face

TINY = {
    "rep_dim": 128, "dim": 16, "depth": 1, "heads": 2, "decoder_depth": 1, "decoder_heads": 2,
    "z_channels": 8, "channels": (8, 8, 8, 8, 8), "n_res_blocks": 1, "norm_groups": 8,
    "embedder": "face-api", "perceptual": "embedder", "disc_dims": (8, 8, 8),
}  # fmt: skip


def tiny(**more) -> Vec2Face:
    torch.manual_seed(0)
    return Vec2Face(Vec2Face.Config(**{**TINY, **more}))


def overrides(**more) -> list[str]:
    values = {**TINY, **more}
    return [f"method.{k}={json.dumps(v)}" for k, v in values.items()]


def faces(n=4) -> Batch:
    """Smooth blobs, different in each row."""
    draws = Draws(3, torch.arange(n))
    coarse = draws.normal(3, 7, 7)
    images = torch.nn.functional.interpolate(coarse, size=(112, 112), mode="bicubic").tanh()
    return Batch({"image": images}, torch.arange(n), torch.arange(n) // 2)


def write_faces(root: Path) -> Path:
    """A folder of 12 blobs of 4 people."""
    for i, image in enumerate(faces(12)["image"]):
        path = root / f"person{i // 3}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        levels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        Pillow.fromarray(levels).save(path)
    return root
