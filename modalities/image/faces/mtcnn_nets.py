"""The three nets of MTCNN (Zhang, Zhang, Li and Qiao, 2016, figure 2) and their shipped weights.

Proposal net P scores every 12-pixel window of a picture, refinement net R looks at 24-pixel
crops, output net O at 48-pixel crops and adds five landmarks. Parameter names are those of the
published state dicts (facenet-pytorch, MIT; licence beside the file), with `p.`, `r.`, `o.` put
before them.
"""

# B crops, S crop side, h and w cells of P's map.

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....core.errors import WeightsError
from ....core.hashing import sha256_file
from ....core.weights import read_weights

WEIGHTS = Path(__file__).parent / "weights" / "mtcnn.safetensors"


@dataclass(frozen=True)
class Layout:
    """The layers of one net.

    Attributes:
        convolutions: (channels, kernel, side of the max pooling after it; 0 = none) of each.
        flat: values before the dense layer; 0 = none, the heads are 1 × 1 convolutions.
        dense: its width.
        heads: outputs of each head: face or not, box, landmarks.
    """

    convolutions: tuple[tuple[int, int, int], ...]
    flat: int
    dense: int
    heads: tuple[int, ...]


LAYOUTS = {
    "p": Layout(((10, 3, 2), (16, 3, 0), (32, 3, 0)), 0, 0, (2, 4)),
    "r": Layout(((28, 3, 3), (48, 3, 3), (64, 2, 0)), 576, 128, (2, 4)),
    "o": Layout(((32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)), 1152, 256, (2, 4, 10)),
}


class CascadeNet(nn.Module):
    """One of the three: convolutions with PReLU and max pooling, a dense layer, sibling heads."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self._steps: list[tuple[str, str, int]] = []
        channels = 3
        for number, (width, kernel, pool) in enumerate(layout.convolutions, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(channels, width, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(width))
            self._steps.append((f"conv{number}", f"prelu{number}", pool))
            channels = width
        last = len(layout.convolutions) + 1
        if layout.dense:
            self.add_module(f"dense{last}", nn.Linear(layout.flat, layout.dense))
            self.add_module(f"prelu{last}", nn.PReLU(layout.dense))
            self._dense = (f"dense{last}", f"prelu{last}")
            last += 1
        self._heads = []
        for number, width in enumerate(layout.heads, start=1):
            name = f"dense{last}_{number}" if layout.dense else f"conv{last}_{number}"
            head = nn.Linear(layout.dense, width) if layout.dense else nn.Conv2d(channels, width, 1)
            self.add_module(name, head)
            self._heads.append(name)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Scores and corrections of crops.

        Args:
            crops: (B, 3, S, S) pixels as (value − 127.5) / 128; P takes any size.

        Returns:
            The probability of a face (B,), box corrections (B, 4) as shares of the box's sides
            (left, top, right, bottom), and for O landmarks (B, 10) as shares of the box (five x,
            then five y). P gives maps (B, h, w) and (B, 4, h, w), a cell each 2 pixels.
        """
        x = crops
        for convolution, slope, pool in self._steps:
            x = self.get_submodule(slope)(self.get_submodule(convolution)(x))
            if pool:
                x = functional.max_pool2d(x, pool, 2, ceil_mode=True)
        if self.layout.dense:
            x = x.permute(0, 3, 2, 1).flatten(1)  # the published weights count columns first
            x = self.get_submodule(self._dense[1])(self.get_submodule(self._dense[0])(x))
        scores, *rest = (self.get_submodule(name)(x) for name in self._heads)
        return (scores.softmax(1)[:, 1], *rest)


@dataclass(frozen=True)
class Cascade:
    """The three nets with their weights, frozen.

    Attributes:
        p: proposals.
        r: refinement.
        o: output.
        sha256: of the weights file.
    """

    p: CascadeNet
    r: CascadeNet
    o: CascadeNet
    sha256: str


@cache
def shipped(device: str = "cpu") -> Cascade:
    """The nets with the shipped weights.

    Raises:
        WeightsError: the shipped file is damaged.
    """
    state = read_weights(WEIGHTS).state
    nets = {name: _load(name, layout, state) for name, layout in LAYOUTS.items()}
    for net in nets.values():
        net.eval().requires_grad_(False).to(torch.device(device))
    return Cascade(**nets, sha256=sha256_file(WEIGHTS))


def _load(name: str, layout: Layout, state: dict[str, Tensor]) -> CascadeNet:
    net = CascadeNet(layout)
    own = {key[2:]: value for key, value in state.items() if key.startswith(f"{name}.")}
    try:
        net.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(f"{WEIGHTS} is damaged", "install masquerade-suite again") from error
    return net
