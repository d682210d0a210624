"""Frozen image models that teach: patch features, and where the class token looks.

A teacher is named by a weights file or run folder of this suite: the tower of CLIP (imported as
`clip-visual`), or any method with a ViT trunk that has a class token, such as the masked
autoencoder. `random` is an untrained tower, always the same one: a control, not a teacher.
"""

# B images, S their side, h w the patch grid, C the features' width.

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ...core.clip_visual import SLUG, ClipVisual, ClipVisualConfig, class_attention
from ...core.config import build
from ...core.encoders import ViTEncoder
from ...core.errors import WeightsError
from ...core.layers import Block
from ...core.tokens import Batch
from ...core.weights import WeightsFile, read_own_weights
from .adapter import Image

RANDOM = "random"
_RANDOM_TOWER = ClipVisualConfig(dim=64, depth=2, heads=4, out_dim=64)
_log = logging.getLogger(__name__)


class Net(Protocol):
    """What a teacher's net offers.

    Attributes:
        width: C.
        side: S.
    """

    @property
    def width(self) -> int:
        """C."""

    @property
    def side(self) -> int:
        """S."""

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) features and (B, 1, h, w) attention of (B, 3, S, S) normalized images."""


class ImageTeacher:
    """A frozen net; no module, so that it is no part of whoever learns from it.

    Args:
        net: it; kept in evaluation mode, without gradients.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.width, self.side = net.width, net.side
        if isinstance(net, nn.Module):
            net.eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Patch features (B, C, h, w) and class attention (B, 1, h, w), float32.

        Args:
            images: (B, 3, S, S), RGB, normalized by ImageNet's mean and deviation.
        """
        if isinstance(self.net, nn.Module):
            self.net.to(images.device)
        features, attention = self.net.read(images)
        return features.float(), attention.float()


class TrunkNet(nn.Module):
    """A ViT trunk with a class token, read as a teacher.

    Args:
        encoder: the trunk.
        side: of the images that it reads.
        patch_size: of its patches.
    """

    def __init__(self, encoder: ViTEncoder, side: int, patch_size: int) -> None:
        super().__init__()
        self.encoder, self.side, self.patch_size = encoder, side, patch_size
        self.width = encoder.dim

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The normed patch tokens as a map, and the last block's class attention."""
        last = self.encoder.blocks[-1]
        assert isinstance(last, Block)  # noqa: S101 - a ViT's
        seen: list[Tensor] = []
        handle = last.attn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            batch = Batch({"image": images}, ids=torch.arange(len(images), device=images.device))
            latents = self.encoder.encode(Image.tokenize(batch, self.patch_size))
        finally:
            handle.remove()
        grid = [self.side // self.patch_size] * 2
        attention = class_attention(last.attn, seen[0])
        features = latents[:, 1:].transpose(1, 2).unflatten(2, grid)
        return features, attention[:, None].unflatten(2, grid)


def open_teacher(name: str) -> ImageTeacher:
    """The teacher of a weights file or run folder, or `random`.

    Raises:
        WeightsError: no such file, or no image trunk with a class token in it.
    """
    if name == RANDOM:
        _log.warning("the image teacher is random: what it teaches is no knowledge of images")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ImageTeacher(ClipVisual(_RANDOM_TOWER))
    file = read_own_weights(Path(name), SLUG)
    opening: Callable[[WeightsFile], nn.Module] = (
        _tower if file.header.get("method") == SLUG else _trunk
    )
    net = opening(file)
    own = net.encoder if isinstance(net, TrunkNet) else net
    prefix = "encoder." if isinstance(net, TrunkNet) else ""
    state = {k.removeprefix(prefix): v for k, v in file.state.items() if k.startswith(prefix)}
    wrong = own.state_dict().keys() ^ state.keys()
    if wrong:
        raise WeightsError(f"{file.path}: the trunk's weights differ in '{min(wrong)}'")
    own.load_state_dict(state)
    return ImageTeacher(net)  # type: ignore[arg-type]


def _tower(file: WeightsFile) -> nn.Module:
    return ClipVisual(build(ClipVisualConfig, file.header["config"], "method"))


def _trunk(file: WeightsFile) -> nn.Module:
    """The plain ViT that a method's settings and weights describe."""
    config = file.header.get("config", {})
    known = {"image_size", "patch_size", "dim", "depth", "heads", "mlp_ratio"} <= config.keys()
    if not known or "encoder.cls_token" not in file.state:
        raise WeightsError(
            f"{file.path} ({file.header.get('method')}) has no image trunk with a class token",
            "name weights of clip-visual or mae",
        )
    side, patch = config["image_size"], config["patch_size"]
    encoder = ViTEncoder(
        patch_values=3 * patch**2, grid=(side // patch, side // patch), dim=config["dim"],
        depth=config["depth"], heads=config["heads"], mlp_ratio=config["mlp_ratio"],
        mask_token="encoder.mask_token" in file.state,
    )  # fmt: skip
    return TrunkNet(encoder, side, patch)
