"""IResNet, the residual face net of ArcFace, with or without squeeze-and-excitation.

Duta et al., 2020 (improved residual block) as InsightFace builds it (Deng et al., 2019): BN-conv-
BN-PReLU-conv-BN blocks, no pooling before the last linear layer. Vec2Face's recognisers put
squeeze-and-excitation on the *shortcut*, before the addition (`se`); MagFace's quality of a face
is the norm of the same net's vector. Our parameter names are the official ones.
"""

# B images, C channels, H and W of a feature map, D width of the embedding.

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BeforeValidator, Field, field_validator
from torch import Tensor, nn

from .config import Config
from .keymap import Key

SLUG = "iresnet"
SIDE = 112  # pixels of the aligned faces that it reads
LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
_STRIDE = 16  # side of a picture / side of the last map
_SE_REDUCTION = 16
_ANCHOR = "layer1.0.conv1.weight"  # every IResNet has it: what stands before is a wrapper's prefix


def _of_depth(value: object) -> object:
    """A published depth as its blocks per stage; anything else as it is."""
    if not isinstance(value, int):
        return value
    if value not in LAYERS:
        depths = ", ".join(map(str, LAYERS))
        raise ValueError(f"expected one of the depths {depths}, or four numbers of blocks")
    return LAYERS[value]


class IResNetConfig(Config):
    """Settings of IResNet; the defaults are IResNet-100.

    Example:
        >>> IResNetConfig(layers=50, se=True).layers
        (3, 4, 14, 3)
    """

    # blocks per stage, or a published depth
    layers: Annotated[tuple[int, int, int, int], BeforeValidator(_of_depth)] = LAYERS[100]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    dim: int = Field(default=512, ge=1)  # D
    se: bool = False
    dropout: float = Field(default=0.4, ge=0, lt=1)  # before the last linear layer, in training

    @field_validator("layers", "widths")
    @classmethod
    def _positive(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 1:
            raise ValueError("expected whole numbers from 1")
        return values


class SqueezeExcite(nn.Module):
    """Channel gates from the map's mean: two bias-free 1×1 convolutions (Hu et al., 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _SE_REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), each channel scaled by its gate."""
        gates = self.fc2(self.fc1(x.mean(dim=(2, 3), keepdim=True)).relu())
        return x * gates.sigmoid()


class IBlock(nn.Module):
    """The improved residual block.

    Args:
        n_in: input channels.
        n_out: output channels.
        stride: of the second convolution and the shortcut.
        se: gate the shortcut's channels.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, *, se: bool = False) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.prelu = nn.PReLU(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
            )
            if stride != 1 or n_in != n_out
            else None
        )
        self.attn = SqueezeExcite(n_out) if se else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_out, H / stride, W / stride) of (B, n_in, H, W)."""
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out = self.bn3(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return out + (shortcut if self.attn is None else self.attn(shortcut))


class IResNet(nn.Module):
    """The net: aligned 112-pixel faces in [-1, 1] to raw vectors.

    Args:
        config: the settings.

    Example:
        >>> net = IResNet(IResNetConfig(layers=(1, 1, 1, 1), widths=(4, 4, 8, 8), dim=16)).eval()
        >>> net(torch.zeros(1, 3, 112, 112)).shape
        torch.Size([1, 16])
    """

    slug: ClassVar[str] = SLUG
    Config: ClassVar[type[IResNetConfig]] = IResNetConfig
    KEYMAP: ClassVar[tuple[Key, ...]] = (Key("*", "*"),)

    def __init__(self, config: IResNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        before = (widths[0], *widths[:3])
        for stage, sides in enumerate(zip(before, widths, config.layers, strict=True), start=1):
            self.add_module(f"layer{stage}", _stage(*sides, se=config.se))
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(widths[3] * (SIDE // _STRIDE) ** 2, config.dim)
        self.features = nn.BatchNorm1d(config.dim)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)
        nn.init.constant_(self.features.weight, 1.0)
        self.features.weight.requires_grad_(False)  # noqa: FBT003 - torch's own signature

    def forward(self, images: Tensor) -> Tensor:
        """(B, D) raw vectors; their norm is what MagFace calls quality."""
        return self.head(self.maps(images)[-1])

    def head(self, last: Tensor) -> Tensor:
        """The vectors (B, D) float32 of the last stage's map."""
        flat = self.dropout(self.bn2(last).flatten(1))
        # as in the official code: the vectors' last bits decide between near identities
        with torch.autocast(last.device.type, enabled=False):
            return self.features(self.fc(flat.float()))

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps behind the four stages: sides 56, 28, 14 and 7."""
        x, found = self.prelu(self.bn1(self.conv1(images))), []
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
            found.append(x)
        return found

    # official containers -----------------------------------------------------------------------

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The net's own part of a published state, and sentences on what was left out.

        Trainers save the net inside others (`module.`, `backbone.`, MagFace's `features.module.`)
        beside the margin head's class weights, which no extractor needs. States of old PyTorch
        lack the counters of batch norm.
        """
        anchors = [name for name in state if name.endswith(_ANCHOR)]
        prefix = min(anchors, key=len).removesuffix(_ANCHOR) if anchors else ""
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        width = own["fc.bias"].shape[0] if "fc.bias" in own else 0
        heads = []
        for name, value in state.items():
            if name.startswith(prefix):
                continue
            if value.ndim == 2 and width in value.shape:
                heads.append(f"left out: {name} (class weights of a margin head)")
            else:  # reported as unexpected
                own[name if name not in own else f"beside the net: {name}"] = value
        for name in [k for k in own if k.endswith(".running_var")]:
            own.setdefault(name.replace("running_var", "num_batches_tracked"), torch.tensor(0))
        return own, tuple(heads)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """A published file's content: the bare state."""
        return dict(state)

    @classmethod
    def container_of(cls, names: set[str]) -> str:  # noqa: ARG003 - there is one container
        """The one container: the whole net."""
        return "net"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of the net's weights fix."""
        found: dict[str, Any] = {"se": any(".attn." in name for name in shapes)}
        numbers = [re.match(r"layer([1-4])\.(\d+)\.conv2\.weight", name) for name in shapes]
        stages = [int(match[1]) for match in numbers if match]
        if set(stages) == {1, 2, 3, 4}:
            found["layers"] = [stages.count(stage) for stage in (1, 2, 3, 4)]
            found["widths"] = [shapes[f"layer{n}.0.conv2.weight"][0] for n in (1, 2, 3, 4)]
        if "fc.weight" in shapes:
            found["dim"] = shapes["fc.weight"][0]
        return found

    @classmethod
    def from_container(
        cls,
        container: str,  # noqa: ARG003 - there is one container
        config: IResNetConfig,
        shapes: Mapping[str, tuple[int, ...]],  # noqa: ARG003
    ) -> "IResNet":
        """The net that weights fill."""
        return cls(config)


def _stage(n_in: int, n_out: int, n_blocks: int, *, se: bool) -> nn.Sequential:
    first = IBlock(n_in, n_out, 2, se=se)
    return nn.Sequential(first, *(IBlock(n_out, n_out, 1, se=se) for _ in range(n_blocks - 1)))
