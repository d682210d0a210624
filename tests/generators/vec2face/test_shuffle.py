"""The keyed shuffle: every place once, by row alone, and no pattern left."""

import pytest
import torch

from masquerade.generators.vec2face.shuffle import KeyedShuffle


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 1000, 4097])
def test_every_place_is_taken_once(n: int) -> None:
    places = KeyedShuffle(n, seed=1).places(torch.arange(n))
    assert sorted(places.tolist()) == list(range(n))


def test_a_row_has_its_place_alone_and_in_any_order() -> None:
    shuffle = KeyedShuffle(1000, seed=0)
    rows = torch.arange(1000)
    whole = shuffle.places(rows)
    assert (shuffle.places(rows.flip(0)).flip(0) == whole).all()
    assert all(int(shuffle.places(rows[i : i + 1])[0]) == int(whole[i]) for i in range(0, 1000, 97))
    assert (rows == torch.arange(1000)).all()


def test_other_seeds_and_streams_give_other_orders() -> None:
    rows = torch.arange(1000)
    first = KeyedShuffle(1000, seed=0).places(rows)
    for other in (KeyedShuffle(1000, seed=1), KeyedShuffle(1000, seed=0, stream="x")):
        assert (other.places(rows) == first).float().mean() < 0.02


def test_places_of_one_row_over_seeds_are_uniform() -> None:
    """χ² of 1,000 seeds over 10 places: 30 is beyond the 99.9 % point (27.9)."""
    counts = torch.zeros(10)
    for seed in range(1000):
        counts[int(KeyedShuffle(10, seed).places(torch.tensor([3]))[0])] += 1
    assert float(((counts - 100) ** 2 / 100).sum()) < 30


def test_neighbours_do_not_stay_neighbours() -> None:
    places = KeyedShuffle(10_000, seed=0).places(torch.arange(10_000)).float()
    both = torch.stack([places[:-1], places[1:]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.04  # four deviations


def test_millions_of_rows_need_no_memory() -> None:
    places = KeyedShuffle(15_000_000, seed=0).places(torch.tensor([0, 14_999_999]))
    assert ((places >= 0) & (places < 15_000_000)).all()
