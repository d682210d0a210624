"""What the Vec2Face golden tests share: their files, the network, stand-ins for frozen nets."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from vectors import Golden, golden_files

from masquerade.generators.vec2face.keymap import wrap
from masquerade.methods.weights import import_official, load_method

_OTHERS = re.compile(r"vec2face_(plus|fr)(_.+)?")  # cases with tests of their own


def generator_files() -> list:
    """The files of the generator itself: `vec2face` and its other settings."""
    found = golden_files("vec2face")
    return [p for p in found if p.values[0] is None or not _OTHERS.fullmatch(p.values[0].stem)]


def official_weights(golden: Golden) -> dict:
    """The weights that an official file would hold."""
    return {k: v for k, v in golden.group("weight").items() if not k.startswith("standin_")}


def settings(golden: Golden) -> dict:
    """What the weights do not tell: heads, and the adapters' strength."""
    config = golden.config
    given = {"heads": config["num_heads"], "decoder_heads": config["decoder_num_heads"]}
    return given | ({"lora_alpha": config["alpha"]} if "alpha" in config else {})


def import_golden(golden: Golden, folder: Path) -> Path:
    """Our weights file of the official one that holds the golden weights."""
    state = {k: torch.from_numpy(v.copy()) for k, v in official_weights(golden).items()}
    torch.save({**wrap(state), "model_ema": None, "epoch": 99}, folder / "official.pth")
    imported = import_official("vec2face", folder / "official.pth", overrides=settings(golden))
    imported.save(folder / "ours.safetensors")
    return folder / "ours.safetensors"


def build_parts(golden: Golden) -> nn.ModuleDict:
    """The `net`, and where the file has one, the `discriminator`, imported, in eval mode."""
    with TemporaryDirectory() as folder:
        method = load_method(import_golden(golden, Path(folder)), expect="vec2face")
    parts = {"net": method.net, "discriminator": method.discriminator}
    return nn.ModuleDict({k: part for k, part in parts.items() if part is not None}).eval()


def pooled_linear(golden: Golden, name: str, side: int) -> Callable[[Tensor], Tensor]:
    """A stand-in: a linear layer on the picture averaged to `side` × `side`, channel-major."""
    weight, bias = (
        golden.tensor(f"weight/standin_{name}.fc.{part}") for part in ("weight", "bias")
    )
    return lambda images: adaptive_avg_pool2d(images, side).flatten(1) @ weight.T + bias


def pooled_difference(images: Tensor, targets: Tensor) -> Tensor:
    """The stand-in for LPIPS: (B,) mean squared differences of 4 × 4 averages."""
    pooled = [torch.nn.functional.avg_pool2d(x, 4) for x in (images, targets)]
    return (pooled[0] - pooled[1]).square().mean((1, 2, 3))
