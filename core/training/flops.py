"""Model FLOPs utilisation: the share of the machine's peak that the model's own arithmetic uses.

MFU = 3 · forward FLOPs of a sample · samples per second / peak (backward counts twice the
forward; nothing that is recomputed counts). FLOPs are counted from the shapes of one real
forward pass, so tokens that are never encoded are never counted.
"""

from copy import deepcopy

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..draws import Draws
from ..step import StepContext
from ..tokens import Batch

# dense bf16 tensor-core peaks in FLOP/s, from the makers' data sheets
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def peak_flops(device: torch.device, precision: str) -> float | None:
    """The device's peak in FLOP/s, or None where it is not known (CPUs, float32)."""
    if device.type != "cuda" or precision != "bf16":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAKS.items() if key in name), None)


def forward_flops(method: nn.Module, batch: Batch, draws: Draws, step: StepContext) -> int:
    """The FLOPs (2 per multiply-add, matrix products only) of one sample's forward pass.

    It runs on a copy, so that a method with running statistics stays as it is, in evaluation mode,
    since batch norm learns nothing from one sample; attention is computed by the plain backend,
    whose products the counter knows on every device.

    Args:
        method: the method, not compiled.
        batch: any batch; its first sample is used.
        draws: of that batch.
        step: where training stands.
    """
    counter = FlopCounterMode(display=False)
    one = batch.rows(0, 1)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        deepcopy(method).eval()(one, Draws(draws.seed, one.ids, draws.epoch, draws.stream), step)
    return counter.get_total_flops()
