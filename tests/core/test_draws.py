"""Draws: the generator's published answers, and that a row depends on nothing but its keys."""

import pytest
import torch

from masquerade.core.draws import Draws, philox

# known answers of Philox4x32-10 from the Random123 distribution (Salmon et al., 2011)
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, wanted) -> None:
    words = philox(tuple(torch.tensor(c) for c in counter), key)
    assert tuple(int(w) for w in words) == wanted


def draws(ids, **keys) -> Draws:
    return Draws(seed=keys.pop("seed", 0), ids=torch.tensor(ids), **keys)


def test_a_row_does_not_depend_on_its_batch() -> None:
    together = draws([3, 8, 2**40 + 1], epoch=2).uniform(7)
    for row, number in enumerate([3, 8, 2**40 + 1]):
        assert torch.equal(draws([number], epoch=2).uniform(7)[0], together[row])


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"epoch": 1}, {"stream": "mask"}, {"ids": [2**32 + 5]}]
)
def test_every_key_changes_the_numbers(other) -> None:
    base = draws([5]).uniform(64)
    changed = draws(other.pop("ids", [5]), **other).uniform(64)
    assert (base != changed).all()


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert torch.equal(draws([1]).bits(10)[:, :7], draws([1]).bits(7))


def test_moments_of_uniform_and_normal() -> None:
    rows = draws(list(range(500)))
    uniform, normal = rows.uniform(200), rows.normal(200)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005  # five standard errors: 5·0.289/√100,000
    assert abs(uniform.var() - 1 / 12) < 0.002
    assert abs(normal.mean()) < 0.016
    assert abs(normal.std() - 1) < 0.012
    assert abs((normal**4).mean() - 3) < 0.16


def test_integers_and_permutation_cover_their_range() -> None:
    rows = draws(list(range(100)))
    values = rows.integers(7, 50)
    assert values.unique().tolist() == list(range(7))
    counts = torch.bincount(values.flatten(), minlength=7)
    assert (counts - 5000 / 7).abs().max() < 5 * (5000 / 7) ** 0.5
    order = rows.permutation(11)
    assert torch.equal(order.sort(1).values, torch.arange(11).expand(100, -1))
    assert len(order.unique(dim=0)) == 100


def test_step_draws_are_one_row_of_the_batch() -> None:
    first, second = draws([1, 2]), draws([9])
    assert torch.equal(first.step(4).uniform(3), second.step(4).uniform(3))
    assert not torch.equal(first.step(4).uniform(3), first.step(5).uniform(3))


def test_views_of_a_row_are_independent_of_each_other_and_of_the_batch() -> None:
    rows = draws([5, 9]).views(3)
    numbers = rows.uniform(6)
    assert torch.equal(numbers[0], draws([5]).uniform(6)[0])
    assert torch.equal(numbers[3:], draws([9]).views(3).uniform(6))
    assert len({tuple(row.tolist()) for row in numbers}) == 6
