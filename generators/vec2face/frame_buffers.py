"""The embedding frame as part of the weights."""

# d vector width, C identities.

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .frame import ARCFACE_NORM, Frame


class FrameBuffers(nn.Module):
    """The embedding frame as part of the weights, and the training identities' centres in it.

    Args:
        width: d.
        centres: C.
    """

    def __init__(self, width: int, centres: int = 0) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.norm: Tensor
        self.centres: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("norm", torch.tensor(ARCFACE_NORM, dtype=torch.float64))
        self.register_buffer("centres", torch.zeros(centres, width))

    def forward(self, raw: Tensor) -> Tensor:
        """Raw vectors (B, d) in the frame's units."""
        return (raw - self.mean) * self.scale.to(raw.dtype)

    def get(self) -> Frame:
        """The frame for NumPy."""
        mean = self.mean.detach().cpu().numpy()
        return Frame(mean, float(self.scale), float(self.norm))

    def put(
        self, frame: Frame, raw: NDArray[np.floating], labels: NDArray[np.int64] | None
    ) -> None:
        """Store a frame, and the centres of raw vectors (n, d) with identities (n,)."""
        from ...core.metrics.faces import identity_centres

        self.mean.copy_(torch.from_numpy(frame.mean))
        self.scale.fill_(frame.scale)
        self.norm.fill_(frame.norm)
        if labels is not None:
            centres = identity_centres(frame.to_frame(raw), labels)[1]
            self.centres = torch.from_numpy(np.float32(centres)).to(self.mean.device)

    def resize(self, centres: int) -> None:
        """Make place for so many centres."""
        self.centres = self.centres.new_zeros(centres, self.centres.shape[1])

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As usual; the number of centres is the state's."""
        stored = state.get(f"{prefix}centres")
        if stored is not None and stored.shape[1:] == self.centres.shape[1:]:
            self.resize(len(stored))
        super()._load_from_state_dict(state, prefix, *rest)
