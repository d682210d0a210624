"""Intervals over people: weights by brute force, coverage, and never narrower than binomial."""

import numpy as np
import pytest
from scipy import stats

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.intervals import exact_interval
from masquerade.core.metrics.pair_intervals import (
    N_RESAMPLES,
    PairGroups,
    connected_groups,
    eer_interval,
    rate_interval,
)
from masquerade.core.metrics.verification import eer, roc


def test_weights_are_draws_of_people_and_their_products() -> None:
    groups = PairGroups.of([7, 7, 9, 3], [7, 9, 3, 3])
    assert (groups.first.tolist(), groups.second.tolist(), groups.n) == (
        [1, 1, 2, 0],
        [1, 2, 0, 0],
        3,
    )
    weights = np.concatenate(list(groups.weights(seed=0)))
    assert weights.shape == (N_RESAMPLES, 4)
    seven, three = weights[:, 0], weights[:, 3]  # the genuine pairs: how often each was drawn
    nine = 3 - seven - three
    assert (weights[:, 1] == seven * nine).all()
    assert (weights[:, 2] == nine * three).all()
    assert abs(seven.mean() - 1) < 0.05
    assert len(np.unique(weights, axis=0)) > 5
    np.testing.assert_array_equal(weights, np.concatenate(list(groups.weights(seed=0))))


def test_pairs_of_one_person_each_give_the_width_of_independent_pairs() -> None:
    random = np.random.default_rng(0)
    hits = random.random(2000) < 0.8
    people = np.arange(2000)
    low, high = rate_interval(hits, PairGroups.of(people, people), value=hits.mean())
    half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 2000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_people_who_fail_as_a_whole_widen_the_interval() -> None:
    """100 people of 20 pairs, each always right or always wrong: as wide as 100 throws."""
    right = np.random.default_rng(1).random(100) < 0.7
    hits, people = np.repeat(right, 20), np.repeat(np.arange(100), 20)
    low, high = rate_interval(hits, PairGroups.of(people, people), value=hits.mean())
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 100)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """A person's pairs are right with a chance of her own; its mean over people is 0.75."""
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        chance = random.beta(3, 1, size=60)
        hits = random.random((60, 15)) < chance[:, None]
        people = np.repeat(np.arange(60), 15)
        low, high = rate_interval(hits.ravel(), PairGroups.of(people, people), value=hits.mean())
        covered += low <= 0.75 <= high
    assert covered >= 52  # 95 % of 60 is 57; below 52 a true 95 % would fall once in 100 times


def test_it_covers_the_truth_with_nine_people_too() -> None:
    """20 pairs each: 93 % of 300 samples; the plain percentile interval covered 87 %."""
    covered = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        chance = random.beta(3, 1, size=9)
        hits = random.random((9, 20)) < chance[:, None]
        people = np.repeat(np.arange(9), 20)
        low, high = rate_interval(hits.ravel(), PairGroups.of(people, people), value=hits.mean())
        covered += low <= 0.75 <= high
    assert covered >= 135


def test_no_error_at_all_still_has_the_width_of_the_binomial() -> None:
    people = np.arange(50)
    interval = rate_interval(np.ones(50), PairGroups.of(people, people), value=1.0)
    assert interval == exact_interval(50, 50)
    assert interval[0] < 0.95


def test_kinds_keep_their_shares_and_folds_their_weight() -> None:
    """All genuine right, all impostors wrong: the share of genuine pairs, whatever is drawn."""
    same = np.array([1] * 30 + [0] * 10)
    people = np.arange(40)
    low, high = rate_interval(same, PairGroups.of(people, people), value=0.75, strata=same)
    assert (low, high) == exact_interval(30, 40)
    # folds of 1 and of 39 pairs count alike: the value is the mean of their means
    fold = np.array([0] + [1] * 39)
    hits = np.array([1.0] + [0.0] * 39)
    low, high = rate_interval(hits, PairGroups.of(people, people), value=0.5, parts=fold)
    assert low <= 0.5 <= high
    assert high - low > 0.5  # the one pair of the first fold is drawn or not


def test_eer_interval_holds_the_value_and_equals_a_loop() -> None:
    random = np.random.default_rng(0)
    same = np.arange(200) % 2 == 0
    scores = np.round(random.normal(same * 1.5, 1), 1)  # with ties
    first = np.arange(200) // 4
    second = np.where(same, first, (first + 1 + random.integers(0, 48, 200)) % 50)
    groups = PairGroups.of(first, second)
    value = eer(roc(scores, same))
    low, high = eer_interval(scores, same, groups, value=value)
    assert low < value < high
    rates = []
    for weights in groups.weights(seed=0):
        for row in weights:
            each = np.repeat(np.arange(200), row.astype(int))
            rates.append(eer(roc(scores[each], same[each])))
    least, most = exact_interval(value * 100, 100)
    tail = stats.norm.cdf(-stats.t.ppf(0.975, 49) * np.sqrt(50 / 49))
    assert low == pytest.approx(min(np.quantile(rates, tail), least), abs=1e-12)
    assert high == pytest.approx(max(np.quantile(rates, 1 - tail), most), abs=1e-12)


def test_connected_groups_join_through_others() -> None:
    assert connected_groups(6, [0, 4], [2, 2]).tolist() == [0, 1, 0, 2, 0, 3]
    assert connected_groups(3, [], []).tolist() == [0, 1, 2]


def test_lengths_that_differ_are_refused() -> None:
    groups = PairGroups.of([0, 1], [0, 1])
    with pytest.raises(ValidationError, match="hits and groups"):
        rate_interval([1, 0, 1], groups, value=0.5)
    with pytest.raises(ValidationError, match="scores and groups"):
        eer_interval([1, 0, 1], [1, 0, 1], groups, value=0.5)
