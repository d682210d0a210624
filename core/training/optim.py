"""Parameter groups and optimizers.

The rule of the official MAE: parameters with one dimension and biases get no weight decay, frozen
parameters stay out (so the 3-D cls and mask tokens are decayed in pre-training). Fine-tuning
scales the learning rate down towards the input, layer by layer.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..errors import UsageError
from .lars import Lars
from .row_sgd import RowSgd
from .settings import OptimSettings

Named = Iterable[tuple[str, nn.Parameter]]


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay touches a parameter: not biases, not what has one dimension."""
    return parameter.ndim > 1 and not name.endswith(".bias")


def layer_scale_groups(
    named: Named,
    *,
    weight_decay: float,
    layer_decay: float = 1.0,
    layer_id: Callable[[str], int] | None = None,
    no_decay: Iterable[str] = (),
    decay_all: bool = False,
) -> list[dict[str, Any]]:
    """Groups whose learning rate falls by `layer_decay` per layer towards the input.

    Args:
        named: names and parameters; frozen ones are left out.
        weight_decay: for the parameters that `decays` names.
        layer_decay: the factor between neighbouring layers; 1 = none.
        layer_id: a parameter's layer by its name, told by the trunk: a ViT says 0 for the
            embedding, i + 1 for block i, depth + 1 for the rest. None = one layer.
        no_decay: further names without weight decay (fine-tuning: cls token, position table).
        decay_all: weight decay on everything but those.

    Returns:
        Groups with "params", "names", "weight_decay" and "lr_scale", which is
        layer_decay^(highest id − id); `set_lr` applies it.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> groups = layer_scale_groups(layer.named_parameters(), weight_decay=0.05)
        >>> [(g["names"], g["weight_decay"], g["lr_scale"]) for g in groups]
        [(['weight'], 0.05, 1.0), (['bias'], 0.0, 1.0)]
    """
    parameters = list(named)
    layers = {name: layer_id(name) if layer_id else 0 for name, _ in parameters}
    highest = max(layers.values(), default=0)
    spared = set(no_decay)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        decayed = (decay_all or decays(name, parameter)) and name not in spared
        fresh = {
            "params": [], "names": [], "weight_decay": weight_decay if decayed else 0.0,
            "lr_scale": layer_decay ** (highest - layers[name]),
        }  # fmt: skip
        group = groups.setdefault((layers[name], decayed), fresh)
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def has_fused(device: torch.device) -> bool:
    """Whether torch has fused AdamW and SGD kernels for the device."""
    return device.type in ("cuda", "cpu", "mps", "xpu")


def make_optimizer(groups: list[dict[str, Any]], optim: OptimSettings) -> Optimizer:
    """The optimizer that the settings name, over groups of `layer_scale_groups`.

    The learning rate starts at 0: the schedule sets it before every step.

    Raises:
        UsageError: nothing is trainable.
    """
    if not groups:
        raise UsageError("no parameter is trainable", "unfreeze some")
    if optim.optimizer == "lars":
        return Lars(groups, lr=0.0, momentum=optim.momentum, trust=optim.trust)
    fused = all(has_fused(p.device) for g in groups for p in g["params"])
    if optim.optimizer == "sgd":
        return RowSgd(groups, lr=0.0, momentum=optim.momentum, fused=fused)
    if optim.optimizer == "adam":
        return torch.optim.Adam(groups, lr=0.0, betas=optim.betas, eps=optim.eps, fused=fused)
    return torch.optim.AdamW(groups, lr=0.0, betas=optim.betas, eps=optim.eps, fused=fused)


def set_lr(optimizer: Optimizer, lr: float, peak: float | None = None) -> None:
    """Give every group its learning rate: `lr` times the group's own scale.

    Groups marked `"scheduled": False` get `peak` in the place of `lr` (adversaries).
    """
    for group in optimizer.param_groups:
        constant = peak is not None and not group.get("scheduled", True)
        group["lr"] = (peak if constant else lr) * group["lr_scale"]
