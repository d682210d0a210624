"""How often one set's values exceed another's: the value, and an interval over people."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.exceedance import exceedance


def clustered(n_people: int, each: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    values = random.normal(shift, 1, (n_people, 1)) + random.normal(0, 0.1, (n_people, each))
    return values.reshape(-1), np.repeat(np.arange(n_people), each)


def width(found: tuple[float, tuple[float, float], str]) -> float:
    return found[1][1] - found[1][0]


def test_value_counts_pairs_and_half_of_the_ties() -> None:
    value, (low, high), method = exceedance([1, 2, 2], [0, 1, 2], [2, 0], [0, 1])
    assert value == pytest.approx((0 + 1 + 0.5 + 1 + 0.5 + 1) / 6)
    assert 0 <= low <= value <= high <= 1
    assert method == "exact"  # of two people


def test_interval_is_over_people_not_over_pictures() -> None:
    """Ten almost equal pictures of each person are worth little more than one."""
    one = [*clustered(50, 1, 0.5, 0), *clustered(60, 1, 0, 1)]
    many = [*clustered(50, 10, 0.5, 0), *clustered(60, 10, 0, 1)]
    assert width(exceedance(*many)) == pytest.approx(width(exceedance(*one)), rel=0.25)
    alone = exceedance(many[0], np.arange(500), many[2], np.arange(600))
    assert width(alone) < 0.5 * width(exceedance(*many))


def test_both_sets_people_widen_it() -> None:
    few, more = clustered(35, 2, 0.2, 0), clustered(400, 2, 0, 1)
    turned = exceedance(*more, *few)
    assert turned[0] == pytest.approx(1 - exceedance(*few, *more)[0])
    assert width(turned) == pytest.approx(width(exceedance(*few, *more)), rel=0.1)
    assert width(turned) > 1.5 * width(exceedance(*clustered(400, 2, 0.2, 2), *more))


def test_interval_covers_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(150):
        one, other = clustered(40, 2, 0, 2 * seed), clustered(60, 2, 0, 2 * seed + 1)
        low, high = exceedance(*one, *other)[1]
        inside += low <= 0.5 <= high
    assert 0.90 <= inside / 150 <= 0.99


def test_names_of_people_do_not_change_it() -> None:
    one, other = clustered(32, 3, 0.3, 0), clustered(31, 4, 0, 1)
    assert exceedance(one[0], one[1] * 7 + 2, *other) == exceedance(*one, *other)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValidationError, match="others and other_groups"):
        exceedance([1, 2], [0, 1], [1, 2], [0])
