"""The learning rate at any instant: linear warm-up, then half a cosine or drops, per iteration."""

import math
from collections.abc import Sequence

from .settings import OptimSettings


def lr_at(
    epoch: float,
    *,
    lr: float,
    min_lr: float,
    warmup_epochs: float,
    epochs: float,
    warmup_start: float = 0.0,
    drop_epochs: Sequence[float] = (),
) -> float:
    """The learning rate at a fractional epoch (He et al., 2022; official `adjust_learning_rate`).

    Args:
        epoch: steps done / steps per epoch.
        lr: the peak, reached at `warmup_epochs`.
        min_lr: the value at `epochs`.
        warmup_epochs: length of the linear rise.
        epochs: length of the run.
        warmup_start: the share of `lr` that the rise begins at.
        drop_epochs: epochs done after which the rate is a tenth of what it was; with any, there is
            no cosine.

    Example:
        >>> [lr_at(e, lr=1.0, min_lr=0.0, warmup_epochs=2, epochs=10) for e in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if epoch < warmup_epochs:
        start = lr * warmup_start
        return start + (lr - start) * epoch / warmup_epochs
    if drop_epochs:
        return lr / 10 ** sum(drop <= epoch for drop in drop_epochs)
    # a run that is all warm-up has no cosine part
    done = min(1.0, (epoch - warmup_epochs) / max(epochs - warmup_epochs, 1e-12))
    return min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * done))


def lr_at_step(
    step: int, optim: OptimSettings, *, batch_size: int, steps: int, steps_per_epoch: int
) -> float:
    """The learning rate of the step number `step` (from 0) of a run of `steps`."""
    warmup = optim.warmup_epochs
    if optim.warmup_steps is not None:
        warmup = optim.warmup_steps / steps_per_epoch
    return lr_at(
        step // steps_per_epoch if optim.per_epoch else step / steps_per_epoch,
        lr=optim.learning_rate(batch_size),
        min_lr=optim.min_lr,
        warmup_epochs=warmup,
        epochs=steps / steps_per_epoch,
        warmup_start=optim.warmup_start,
        drop_epochs=optim.drop_epochs or (),
    )
