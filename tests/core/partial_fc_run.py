"""One forward and backward pass of a margin head, alone or as one of several processes.

python partial_fc_run.py OUT_FOLDER writes what each process gets as `RANK.pt`.
"""

import sys
from pathlib import Path

import torch

from masquerade.core.draws import Draws
from masquerade.core.margins import AdaMargin, ArcMargin, CosMargin, MagMargin
from masquerade.core.partial_fc import PartialFC
from masquerade.core.training.distributed import World, joined

N_CLASSES, WIDTH = 23, 7
LABELS = torch.tensor([0, 11, 22, 11, 3, 12, 21])
CASES = {
    f"{margin.kind} {rate}": (margin, rate)
    for margin in (ArcMargin(), CosMargin(), AdaMargin(scale=16.0), MagMargin(norms=(1.0, 4.0)))
    for rate in (1.0, 0.4)
}
EPOCH_KEY = Draws(5, torch.zeros(1, dtype=torch.int64))


def faces() -> torch.Tensor:
    """(7, 7) embeddings, the same in every process."""
    return torch.randn(len(LABELS), WIDTH, generator=torch.Generator().manual_seed(2))


def passed(margin, rate: float, world: World) -> dict[str, torch.Tensor]:
    """What a pass gives for this process's faces: unequal numbers of them in two processes."""
    head = PartialFC(N_CLASSES, WIDTH, margin, sample_rate=rate, seed=3, world=world)
    with torch.no_grad():
        head.weight *= 100  # of about unit length, as in a run: gradients of a size to compare
    mine = range(len(LABELS))[world.rank :: world.size]
    own = faces()[mine].requires_grad_()
    loss, parts = head(own, LABELS[mine], EPOCH_KEY)
    (loss * len(mine)).backward()
    gradient = head.weight.grad
    return {
        "loss": loss.detach(), "faces": own.grad, "weight": head.weight.detach(),
        "gradient": gradient.to_dense() if gradient.is_sparse else gradient,
        "statistics": head.statistics, **parts,
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu") as here:
        found = {name: passed(*case, here) for name, case in CASES.items()}
        torch.save(found, Path(sys.argv[1]) / f"{here.rank}.pt")
