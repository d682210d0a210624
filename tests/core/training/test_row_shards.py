"""Parameters shared out over processes: what the trainer scales, collects, slices and refuses.

Whole runs of two processes: tests/methods/image/test_arcface.py.
"""

import pytest
import torch
from torch import nn

from masquerade.core.errors import UsageError
from masquerade.core.margins import ArcMargin
from masquerade.core.partial_fc import PartialFC
from masquerade.core.training.distributed import World
from masquerade.core.training.row_shards import RowShards
from masquerade.core.training.settings import OptimSettings, TrainSettings

TRAIN, SGD = TrainSettings(), OptimSettings(optimizer="sgd")


class Shared(nn.Module):
    """A method's outline: a net, and class weights of 10 identities."""

    SHARDED = "head"

    def __init__(self, world, rate=1.0):
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.head = PartialFC(10, 2, ArcMargin(), sample_rate=rate, world=world)


def test_state_tensors_of_the_rows_are_recognized_by_name():
    """The second of three processes holds rows 3 … 5."""
    world = World(1, 3)
    shards = RowShards(Shared(world), world)
    whole = torch.arange(20.0).view(10, 2)
    tensors = {
        "head.weight": whole,
        "optimizer/head.weight/momentum_buffer": whole,
        "optimizer/head.weight/step": torch.tensor(3.0),
        "ema/head.weight": whole,
        "head.statistics": torch.ones(2),
        "net.weight": torch.ones(10, 2),
    }
    own = shards.own(tensors)
    rows = {name for name, value in own.items() if torch.equal(value, whole[3:6])}
    assert rows == {"head.weight", "optimizer/head.weight/momentum_buffer", "ema/head.weight"}
    others = tensors.keys() - rows
    assert all(own[name] is tensors[name] for name in others)
    assert "head.weight" in shards
    assert "net.weight" not in shards
    alone = RowShards(Shared(World()), World())
    assert all(torch.equal(value, tensors[name]) for name, value in alone.whole(tensors).items())


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_scaled_as_ddp_scales_the_others(sparse):
    world = World(0, 4)
    method = Shared(world)
    values = torch.tensor([[8.0, 0.0], [0.0, 4.0]])
    rows = torch.tensor([[0, 1]])
    gradient = torch.sparse_coo_tensor(rows, values, (2, 2), check_invariants=True)
    method.head.weight.grad = gradient if sparse else values.clone()
    squares = RowShards(method, world).settle()
    assert squares.item() == pytest.approx(2.0**2 + 1.0**2)
    found = method.head.weight.grad
    wanted = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert torch.equal(found.to_dense() if sparse else found, wanted)


def test_what_cannot_be_trained_is_refused():
    two = World(0, 2)
    sampled = RowShards(Shared(World(), rate=0.5), World())
    with pytest.raises(UsageError, match=r"need optim\.optimizer 'sgd', got 'adamw'"):
        sampled.check(OptimSettings(), TRAIN)
    sampled.check(SGD, TrainSettings(accumulate=2))
    with pytest.raises(UsageError, match=r"train\.accumulate 2 .*over 2 processes, expected 1"):
        RowShards(Shared(two), two).check(SGD, TrainSettings(accumulate=2))
    RowShards(Shared(two), two).check(OptimSettings(), TRAIN)


def test_methods_without_shared_rows_are_left_alone(toy):
    world = World(0, 2)
    shards = RowShards(toy.Toy(), world)
    assert not shards.named
    assert not shards.spread
    assert shards.settle().item() == 0
    state = {"blocks.0.weight": torch.ones(1)}
    assert shards.whole(state) == shards.own(state) == state
    shards.check(OptimSettings(), TrainSettings(accumulate=4))
