"""The shipped face net: dlib's 29-layer ResNet as face-api publishes it, in plain torch.

Weights: `face_recognition_model` of the npm package @vladmandic/face-api 1.7.15 (MIT, licence
beside them), byte for byte as published: uint8 with a scale and a minimum per tensor, some float32.
Architecture: dlib's `dnn_face_recognition` (King, 2017), restated from the published layout.
Vectors are 128 wide; two pictures closer than 0.6 (Euclidean) count as one person. It is dlib's
own net, quantized: the two are no independent judges of each other.
"""

# B images, C channels, H and W of a feature map.

import json
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ....core.errors import WeightsError
from ....core.hashing import sha256_bytes
from .embedders import Embedder, View
from .templates import DLIB_150

WEIGHTS = Path(__file__).parent / "weights" / "face-api.bin"
MANIFEST = WEIGHTS.with_suffix(".json")
SHA256 = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
WIDTH = 128
SAME_PERSON = 0.6  # distance below which dlib calls two vectors one person
_MEAN = (122.782, 117.001, 104.298)  # of RGB values 0…255
_DIVISOR = 256.0

# name → (input channels, channels, halves the map), in the order of the net
_BLOCKS = {
    "conv32_1": (32, 32, False), "conv32_2": (32, 32, False), "conv32_3": (32, 32, False),
    "conv64_down": (32, 64, True), "conv64_1": (64, 64, False), "conv64_2": (64, 64, False),
    "conv64_3": (64, 64, False), "conv128_down": (64, 128, True), "conv128_1": (128, 128, False),
    "conv128_2": (128, 128, False), "conv256_down": (128, 256, True),
    "conv256_1": (256, 256, False), "conv256_2": (256, 256, False),
    "conv256_down_out": (256, 256, True),
}  # fmt: skip
TAPS = ("conv32_3", "conv64_3", "conv128_2")  # 35², 17² and 8² of a 150² chip


class _Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, which down blocks average over 2×2.

    The published net zero-pads the smaller map at the right and bottom and missing channels.
    """

    def __init__(self, n_in: int, n_out: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        stride, padding = (2, 0) if down else (1, 1)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=padding)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(functional.relu_(self.conv1(x)))
        if self.down:
            x = functional.avg_pool2d(x, 2)
            side = max(x.shape[-1], out.shape[-1])
            out = _padded(out, out.shape[1], side)
            x = _padded(x, out.shape[1], side)
        return functional.relu_(out + x)


def _padded(x: Tensor, channels: int, side: int) -> Tensor:
    """Zeros behind the last channel and at the right and bottom."""
    more = side - x.shape[-1]
    return functional.pad(x, (0, more, 0, more, 0, channels - x.shape[1]))


class FaceApiNet(nn.Module):
    """The net on 150-pixel chips in [-1, 1]; scales, biases and input units are in its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.ModuleDict(
            {name: _Block(a, b, down=down) for name, (a, b, down) in _BLOCKS.items()}
        )
        self.fc = nn.Linear(256, WIDTH, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """(B, 128) of chips (B, 3, 150, 150)."""
        return self.view(chips).vectors

    def view(self, chips: Tensor) -> View:
        """Vectors (B, 128) and the maps (B, C, H, W) behind `TAPS`."""
        x, found = self._stem(chips), []
        for name, block in self.blocks.items():
            x = block(x)
            if name in TAPS:
                found.append(x)
        return View(self.fc(x.mean(dim=(2, 3))), found)

    def _stem(self, chips: Tensor) -> Tensor:
        return functional.max_pool2d(functional.relu_(self.conv32_down(chips)), 3, stride=2)


class FaceApi(Embedder):
    """The shipped extractor: 128-d, 150-pixel chips, differentiable.

    Example:
        >>> net = FaceApi()
        >>> net.embed(torch.zeros(1, 3, 150, 150), "dlib-150").shape
        torch.Size([1, 128])
    """

    def __init__(self) -> None:
        super().__init__(
            "face-api", SHA256, WIDTH, DLIB_150,
            differentiable=True, training_data=("dlib-faces-3M",),
        )  # fmt: skip
        self.net = FaceApiNet()
        self.net.load_state_dict(_folded(WEIGHTS, MANIFEST))
        # against channel first, 32 random pictures, one thread of a busy AVX-512 core (2026-11):
        # the forward pass a quarter faster, with the backward pass a tenth, equal to 3e-7. bfloat16
        # autocast is the caller's to choose: 1.9 and 1.6 times as fast again, and vectors (of
        # length 1.4) moved by up to 0.05
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.freeze()

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, 128) of chips (B, 3, 150, 150) in [-1, 1]."""
        return self.net(chips)

    def view(self, images: Tensor, template: str) -> View:
        """Vectors (B, 128); maps (B, 32, 35, 35), (B, 64, 17, 17) and (B, 128, 8, 8)."""
        seen = self.net.view(self._chips(images, template))
        return View(seen.vectors.float(), seen.taps)


def read_published(weights: Path, manifest: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a TensorFlow.js model: uint8 · scale + min, or float32 as they stand.

    Raises:
        WeightsError: the two files do not belong together.
    """
    data = weights.read_bytes()
    tensors: dict[str, NDArray[np.float32]] = {}
    offset = 0
    for entry in json.loads(manifest.read_text("utf-8"))[0]["weights"]:
        code = entry.get("quantization")
        dtype = np.dtype(code["dtype"] if code else entry["dtype"]).newbyteorder("<")
        count = prod(entry["shape"])
        if offset + count * dtype.itemsize > len(data):
            break
        values = np.frombuffer(data, dtype, count, offset).astype(np.float32)
        if code:
            values = values * np.float32(code["scale"]) + np.float32(code["min"])
        tensors[entry["name"]] = values.reshape(entry["shape"])
        offset += count * dtype.itemsize
    if offset != len(data):
        raise WeightsError(
            f"{weights}: expected the bytes that {manifest.name} lists, got {len(data)}",
            "install the package again",
        )
    return tensors


@lru_cache(maxsize=1)
def _folded(weights: Path, manifest: Path) -> Mapping[str, Tensor]:
    """The state of `FaceApiNet`: each scale and bias folded into its convolution.

    Raises:
        WeightsError: the file is not the published one.
    """
    found = sha256_bytes(weights.read_bytes())
    if found != SHA256:
        raise WeightsError(
            f"{weights}: expected sha256 {SHA256[:16]}…, got {found[:16]}…",
            "install the package again",
        )
    published = read_published(weights, manifest)
    state = {"fc.weight": torch.from_numpy(published["fc"].T.copy())}
    for name in _convolutions():
        ours = name if name == "conv32_down" else "blocks." + name.replace("/", ".")
        filters, bias, scale, shift = (
            torch.from_numpy(published[f"{name}/{part}"])
            for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
        )
        state[f"{ours}.weight"] = filters.permute(3, 2, 0, 1) * scale[:, None, None, None]
        state[f"{ours}.bias"] = bias * scale + shift
    _fold_input(state)
    return state


def _convolutions() -> list[str]:
    return ["conv32_down", *(f"{name}/conv{k}" for name in _BLOCKS for k in (1, 2))]


def _fold_input(state: dict[str, Tensor]) -> None:
    """Let the first convolution read x in [-1, 1] for (127.5 x + 127.5 − mean) / 256.

    Exact, since that convolution pads nothing.
    """
    weight = state["conv32_down.weight"]
    shift = (127.5 - torch.tensor(_MEAN)) / _DIVISOR
    state["conv32_down.bias"] = state["conv32_down.bias"] + torch.einsum("oihw,i->o", weight, shift)
    state["conv32_down.weight"] = (weight * (127.5 / _DIVISOR)).contiguous()
