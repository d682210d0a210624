"""Intervals over people and seeds: by hand, and how often they cover."""

import numpy as np
import pytest
from scipy import stats

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.pair_intervals import PairGroups, accuracy_difference_interval
from masquerade.core.metrics.seeded_pairs import with_seeds


def pairs(n_people: int, each: int) -> tuple[PairGroups, np.ndarray]:
    """As many genuine as impostor pairs of each person, and which are genuine."""
    person = np.repeat(np.arange(n_people), each)
    other = (person + 1 + np.tile(np.arange(each), n_people) % (n_people - 1)) % n_people
    groups = PairGroups.of(np.tile(person, 2), np.concatenate([person, other]))
    return groups, np.repeat([1, 0], len(person))


def test_half_widths_add_as_squares() -> None:
    """By hand: s = 0.01, t(2) = 4.302653, so the seeds' half-width is 0.024841."""
    low, high = with_seeds((0.70, 0.76), [0.74, 0.75, 0.76])
    half = 4.302653 * 0.01 / np.sqrt(3)
    assert low == pytest.approx(0.75 - np.hypot(0.05, half), abs=1e-7)
    assert high == pytest.approx(0.75 + np.hypot(0.01, half), abs=1e-7)


def test_equal_seeds_add_nothing_and_two_are_too_few() -> None:
    assert with_seeds((0.7, 0.9), [0.8, 0.8, 0.8]) == pytest.approx((0.7, 0.9))
    assert with_seeds((0.7, 0.9), [0.8, 0.8]) is None
    with pytest.raises(ValidationError, match="expected finite"):
        with_seeds((0.7, 0.9), [0.8, np.nan, 0.8])


def test_means_over_three_seeds_are_covered() -> None:
    """120 studies of 40 people and 3 seeds, both of which move the score; the truth is 0."""
    random = np.random.default_rng(1)
    groups, same = pairs(40, 4)
    fold = np.zeros(len(same), int)
    inside = 0
    for _ in range(120):
        person, net = random.normal(0, 0.15, 40), random.normal(0, 0.03, (3, 1))
        noise = random.normal(0, 0.2, (3, len(same)))
        scores = (person[groups.first] + person[groups.second]) / 2 + net + noise
        people = accuracy_difference_interval(scores.mean(axis=0), same, fold, groups)
        assert people is not None
        low, high = with_seeds(people, scores.mean(axis=1)) or (0, 0)
        inside += low <= 0 <= high
    # 95 % of 120 are 114; fewer than this happens to an honest interval once in 10,000
    assert inside >= stats.binom.ppf(1e-4, 120, 0.95)
