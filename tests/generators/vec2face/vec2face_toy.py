"""Weights of an untrained small generator, and requests for data sets of it."""

from pathlib import Path

import numpy as np
import torch

from masquerade.core.draws import Draws
from masquerade.core.weights import save_method
from masquerade.generators.engine.synthesis import Request
from masquerade.generators.vec2face.frame import ARCFACE_STD, Frame
from masquerade.generators.vec2face.method import Vec2Face

WIDTH = 128
N_CENTRES = 160
SETTINGS = {
    "rep_dim": WIDTH, "dim": 16, "depth": 1, "heads": 2, "decoder_depth": 1, "decoder_heads": 2,
    "z_channels": 8, "channels": (8, 8, 8, 8, 8), "n_res_blocks": 1, "norm_groups": 8,
    "embedder": "face-api", "perceptual": "embedder", "disc_dims": (8, 8, 8),
}  # fmt: skip


def write_weights(path: Path, *, n_centres: int = N_CENTRES, **changes) -> Path:
    """Weights whose frame fits their own pictures, with random class centres.

    The output is made ten times as strong, so that vectors give pictures that differ visibly.
    """
    torch.manual_seed(0)
    method = Vec2Face(Vec2Face.Config(**{**SETTINGS, **changes}), adversary=False).eval()
    draws = Draws(7, torch.arange(24))
    with torch.inference_mode():
        method.net.image_decoder.conv_out.weight.mul_(10)
        if method.net.pose is not None:  # it starts without influence
            method.net.pose.linear.weight.normal_(std=0.05)
        pictures = method.generate(draws.normal(method.config.rep_dim), draws).clamp(-1, 1)
        if method.config.rep_dim == WIDTH:
            raw = method.embedder().embed(pictures, method.template).numpy()
            method.frame.put(Frame.fit(raw), raw, None)
    centres = Draws(8, torch.arange(n_centres)).normal(method.config.rep_dim) * ARCFACE_STD
    method.frame.centres = centres
    save_method(method, path)
    return path


def request_for(weights: Path, out: Path, identities: int = 5, images: int = 4, **more) -> Request:
    """A request of two shards or more; `settings` and all else as in `Request`."""
    values = {
        "images_per_shard": 2 * images, "batch_size": 4, "workers": 1, "device": "cpu",
        "format": "png", **more,
    }  # fmt: skip
    return Request("vec2face", out, identities, images, weights, **values)


def raw_vectors(n: int, weights_frame: Frame, width: int = WIDTH) -> np.ndarray:
    """Raw vectors that are such of the frame."""
    own = np.random.default_rng(4).normal(0, ARCFACE_STD, (n, width)).astype(np.float32)
    return weights_frame.from_frame(own)
