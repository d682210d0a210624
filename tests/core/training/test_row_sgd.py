"""SGD by rows: torch's own for dense gradients, a loop over rows for sparse ones."""

import torch
from torch import nn

from masquerade.core.training.optim import make_optimizer
from masquerade.core.training.row_sgd import RowSgd
from masquerade.core.training.settings import OptimSettings

LR, MOMENTUM, DECAY = 0.1, 0.9, 0.01


def groups(parameter):
    return [{"params": [parameter], "names": ["w"], "weight_decay": DECAY, "lr_scale": 1.0}]


def test_dense_gradients_are_torchs_own():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(5, 3)) for _ in range(2))
    own = RowSgd(groups(ours), lr=LR, momentum=MOMENTUM)
    plain = torch.optim.SGD(groups(theirs), lr=LR, momentum=MOMENTUM)
    for _ in range(4):
        ours.grad = torch.randn(5, 3)
        theirs.grad = ours.grad.clone()
        own.step()
        plain.step()
    assert torch.equal(ours, theirs)


def test_sparse_gradients_move_their_rows_and_leave_all_others():
    """By a loop: velocity and decay of a row count in the steps that name it, and in no other."""
    torch.manual_seed(1)
    table = nn.Parameter(torch.randn(6, 2))
    optimizer = make_optimizer(groups(table), OptimSettings(optimizer="sgd", momentum=MOMENTUM))
    assert isinstance(optimizer, RowSgd)
    optimizer.param_groups[0]["lr"] = LR
    weights, velocities = table.detach().clone(), torch.zeros(6, 2)
    for rows in ([0, 3], [3, 5], [0], [2, 3]):
        before = table.detach().clone()
        gradient = torch.randn(len(rows), 2)
        # twice, as two micro-batches: sparse gradients add up
        for half in (gradient * 0.25, gradient * 0.75):
            (
                nn.functional.embedding(torch.tensor(rows), table, sparse=True) * half
            ).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for row, slope in zip(rows, gradient, strict=True):
            velocities[row] = MOMENTUM * velocities[row] + slope + DECAY * weights[row]
            weights[row] = weights[row] - LR * velocities[row]
        torch.testing.assert_close(table.detach(), weights, atol=1e-6, rtol=0)
        others = [row for row in range(6) if row not in rows]
        assert torch.equal(table.detach()[others], before[others])
    stored = optimizer.state[table]["momentum_buffer"]
    torch.testing.assert_close(stored, velocities, atol=1e-6, rtol=0)
