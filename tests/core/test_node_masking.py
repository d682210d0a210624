"""Masks of nodes: exact counts, floors, small graphs, and draws that repeat."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.draws import Draws
from masquerade.core.masking import GraphNodeMasker, NodeMasker


def draws(*ids: int, epoch: int = 0) -> Draws:
    return Draws(0, torch.tensor(ids), epoch)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.floats(0.05, 0.95), st.floats(0.0, 0.9))
def test_counts_are_the_official_floors(n: int, rate: float, replace: float) -> None:
    mask, corruption = NodeMasker(rate=rate, replace=replace).draw(torch.tensor([0, n]), draws(7))
    n_hidden = int(rate * n)
    assert mask.hidden.shape == (1, n_hidden)
    assert len(corruption.token) == int((1 - replace) * n_hidden)
    assert len(corruption.noise) == len(corruption.source) == int(replace * n_hidden)
    together = torch.cat([mask.visible[0], mask.hidden[0]])
    assert together.sort().values.tolist() == list(range(n))
    written = [*corruption.token.tolist(), *corruption.noise.tolist()]
    assert len(set(written)) == len(written)
    assert set(written) <= set(mask.hidden[0].tolist())
    # the two floors leave at most one hidden node with its own features
    assert n_hidden - len(written) in (0, 1)
    assert len(set(corruption.source.tolist())) == len(corruption.source)


def test_no_noise_node_is_not_every_node() -> None:
    """A count of 0 as a slice from the end would be all of them."""
    _, corruption = NodeMasker(rate=0.5, replace=0.1).from_noise(torch.arange(18), torch.arange(18))
    assert (len(corruption.token), len(corruption.noise)) == (8, 0)


def test_a_rate_of_zero_hides_nothing_and_predicts_all() -> None:
    mask, corruption = NodeMasker(rate=0.0).draw(torch.tensor([0, 5]), draws(1))
    assert mask.predict.shape == (1, 5)
    assert not len(corruption.token)
    assert not len(corruption.noise)


def test_each_step_draws_anew_and_the_same_step_alike() -> None:
    masker, ptr = NodeMasker(rate=0.5, replace=0.2), torch.tensor([0, 40])
    (first, a), (again, b), (other, _) = (
        masker.draw(ptr, draws(3, 4, epoch=epoch)) for epoch in (0, 0, 1)
    )
    assert torch.equal(first.hidden, again.hidden)
    assert torch.equal(a.source, b.source)
    assert not torch.equal(first.hidden, other.hidden)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.sampled_from([0.15, 0.25, 0.5]))
def test_each_molecule_hides_its_own_share(sizes: list[int], rate: float) -> None:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    mask, corruption = GraphNodeMasker(rate=rate).draw(ptr, draws(*range(len(sizes))))
    hidden = set(mask.hidden[0].tolist())
    for number, n in enumerate(sizes):
        inside = range(int(ptr[number]), int(ptr[number + 1]))
        assert len(hidden & set(inside)) == int(n * rate + 1)
    assert torch.equal(corruption.token, mask.hidden[0])
    assert not len(corruption.noise)
    assert sorted([*hidden, *mask.visible[0].tolist()]) == list(range(sum(sizes)))


def test_a_molecule_is_masked_alike_in_every_batch() -> None:
    masker = GraphNodeMasker(rate=0.25)
    alone, _ = masker.draw(torch.tensor([0, 9]), draws(5))
    beside, _ = masker.draw(torch.tensor([0, 4, 13]), draws(2, 5))
    assert {i + 4 for i in alone.hidden[0].tolist()} <= set(beside.hidden[0].tolist())


@pytest.mark.parametrize("rate", [0.5])
def test_every_node_is_hidden_equally_often(rate: float) -> None:
    masker, ptr = NodeMasker(rate=rate), torch.tensor([0, 10])
    counts = torch.zeros(10)
    for epoch in range(400):
        counts[masker.draw(ptr, draws(0, epoch=epoch))[0].hidden[0]] += 1
    assert bool(((counts / 400 - rate).abs() < 0.1).all())
