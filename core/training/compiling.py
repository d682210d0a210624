"""Compiling the repeated blocks of a method: short compile times, no graph breaks.

A method's forward draws masks with keys that change at every step, which would recompile a graph
of the whole; nearly all the time is spent in its blocks, and equal blocks share one graph.
"""

import torch
from torch import nn


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """The members of every innermost `nn.ModuleList` inside a module."""
    found: list[nn.Module] = []
    for child in module.children():
        inner = repeated_blocks(child)
        if isinstance(child, nn.ModuleList) and not inner:
            found.extend(child)
        found.extend(inner)
    return found


def compile_blocks(module: nn.Module) -> int:
    """Compile the repeated blocks in place (parameter names stay) and say how many."""
    blocks = repeated_blocks(module)
    for block in blocks:
        block.compile(fullgraph=True)  # a graph break is an error, not a slow block
    return len(blocks)


def wants_compile(setting: bool | str, device: torch.device) -> bool:
    """What the setting "auto" means on a device: CUDA only."""
    return device.type == "cuda" if setting == "auto" else bool(setting)
