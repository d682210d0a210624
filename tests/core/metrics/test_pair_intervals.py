"""Intervals over people: influences by brute force, widths in closed form, and what is refused.

How often they hold a known truth: test_interval_coverage.py.
"""

import numpy as np
import pytest
from scipy import stats

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.intervals import exact_interval, joint_freedom
from masquerade.core.metrics.pair_intervals import (
    PairGroups,
    accuracy_difference_interval,
    accuracy_interval,
    connected_groups,
    eer_interval,
    tar_interval,
)
from masquerade.core.metrics.verification import eer, exchange_rate, roc

Listed = tuple[np.ndarray, np.ndarray, np.ndarray, PairGroups]


def listed(n_people: int, each: int, seed: int = 0, spread: float = 0.0) -> Listed:
    """Scores, kinds, folds and people of `each` genuine and impostor pairs a person.

    The scores of a person's pairs are moved by a number of her own, `spread` wide.
    """
    random = np.random.default_rng(seed)
    own = np.repeat(np.arange(n_people), each)
    other = (own + 1 + random.integers(0, n_people - 1, len(own))) % n_people
    first, second = np.tile(own, 2), np.concatenate([own, other])
    same = np.repeat([True, False], len(own))
    moved = spread * random.normal(size=n_people)
    scores = random.normal(2.0 * same) + moved[first] + moved[second]
    order = random.permutation(len(same))
    groups = PairGroups.of(first[order], second[order])
    return scores[order], same[order], np.arange(len(same)) % 10, groups


def test_groups_are_counted_anew_and_influence_goes_to_both_people() -> None:
    groups = PairGroups.of([7, 7, 9, 3], [7, 9, 3, 3])
    assert groups.first.tolist() == [1, 1, 2, 0]
    assert groups.second.tolist() == [1, 2, 0, 0]
    assert groups.n == 3
    # by hand: the pairs of 7 and 7, 7 and 9, 9 and 3, 3 and 3
    assert groups.influence(np.array([1.0, 10, 100, 1000])).tolist() == [1100, 11, 110]


def test_variance_is_that_of_all_pairs_of_pairs_with_a_person_in_common() -> None:
    """Brute force: Σ e e' over pairs that share a person, the pair with itself once."""
    _, same, _, groups = listed(9, 4)
    pulls = np.random.default_rng(1).normal(size=len(same))
    expected = 0.0
    for i in range(len(same)):
        for j in range(len(same)):
            people = [{int(groups.first[k]), int(groups.second[k])} for k in (i, j)]
            if people[0] & people[1]:
                expected += pulls[i] * pulls[j]
    found = (groups.influence(pulls) ** 2).sum() - groups.twice(pulls)
    assert found == pytest.approx(expected)


def test_effective_number_is_of_pairs_where_these_are_fewer_than_people() -> None:
    groups = PairGroups.of(np.arange(40), np.arange(40, 80))
    assert groups.effective(np.ones(40)) == pytest.approx(40)
    groups = PairGroups.of(np.repeat(np.arange(5), 8), np.repeat(np.arange(5), 8))
    assert groups.effective(np.ones(40)) == pytest.approx(5)


def test_genuine_pairs_of_one_person_each_have_the_width_of_independent_ones() -> None:
    random = np.random.default_rng(0)
    n = 2000
    same = np.repeat([True, False], n)
    people = np.arange(n)
    groups = PairGroups.of(
        np.concatenate([people, people]), np.concatenate([people, (people + 1) % n])
    )
    accepted = np.where(same, random.random(2 * n) < 0.8, random.random(2 * n) < 0.1)
    (low, high), method = tar_interval(accepted, same, groups, rate=0.0)
    assert method == "bootstrap"
    tar = accepted[:n].mean()
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(tar * (1 - tar) / n), rel=0.05)


def test_people_who_fail_as_a_whole_widen_the_interval() -> None:
    """100 people of 20 pairs, each always right or always wrong: as wide as 100 throws."""
    right = np.random.default_rng(1).random(100) < 0.7
    person = np.repeat(np.arange(100), 20)
    groups = PairGroups.of(np.tile(person, 2), np.concatenate([person, (person + 1) % 100]))
    same = np.repeat([True, False], 2000)
    correct = np.where(same, np.tile(right[person], 2), True).astype(float)
    (low, high), _ = accuracy_interval(correct, same, np.arange(4000) % 10, groups)
    share = right.mean()
    error = np.sqrt(share * (1 - share) / 100) / 2  # genuine pairs are half of all
    assert (high - low) / 2 == pytest.approx(1.984 * error, rel=0.06)


def test_threshold_that_impostors_set_widens_a_tar() -> None:
    """By hand: r = 2 and 1,000 separate impostor pairs, 10 of them accepted."""
    same = np.repeat([True, False], 1000)
    first = np.concatenate([np.arange(1000), np.arange(1000, 2000)])
    second = np.concatenate([np.arange(1000), np.arange(2000, 3000)])
    accepted = np.where(same, np.arange(2000) % 5 > 0, np.arange(2000) % 100 == 0).astype(float)
    (low, high), _ = tar_interval(accepted, same, PairGroups.of(first, second), rate=2.0)
    error = np.sqrt(0.8 * 0.2 / 1000 + 2.0**2 * 0.01 * 0.99 / 1000)
    # Welch: 999 degrees of freedom of the genuine pairs, 9 of the ten impostors that were accepted,
    # which stand in the influence of two people each
    variances = np.array([0.8 * 0.2 / 1000, 2 * 2.0**2 * 0.01 * 0.99 / 1000])
    free = variances.sum() ** 2 / (variances**2 / [999, 9]).sum()
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, free) * error, rel=0.05)


def test_few_impostors_that_set_the_threshold_are_few_degrees_of_freedom() -> None:
    assert joint_freedom((0.0, 1000), (1.0, 10)) == 9
    assert joint_freedom((1.0, 1000), (0.0, 10)) == pytest.approx(999)
    assert joint_freedom((1.0, 41), (1.0, 41)) == pytest.approx(80)
    assert 9 < joint_freedom((1.0, 1000), (3.0, 10)) < 999


def test_eer_weighs_its_rates_by_the_slope() -> None:
    scores, same, _, groups = listed(200, 5)
    value = eer(roc(scores, same))
    rate = exchange_rate(roc(scores, same), value)
    assert 0.5 < rate < 2  # two normal distributions of one width cross with the slope 1
    (low, high), method = eer_interval(scores, same, groups)
    assert method == "bootstrap"
    assert low < value < high
    error = np.sqrt((rate**2 + 1) * value * (1 - value) / 1000) / (rate + 1)
    assert (high - low) / 2 == pytest.approx(1.97 * error, rel=0.1)


def test_people_of_their_own_widen_every_interval() -> None:
    widths = []
    for spread in (0.0, 1.0):
        scores, same, fold, groups = listed(100, 20, spread=spread)
        correct = (scores > 1) == same
        value = eer(roc(scores, same))
        found = (
            accuracy_interval(correct.astype(float), same, fold, groups)[0],
            eer_interval(scores, same, groups)[0],
            tar_interval((scores > 2).astype(float), same, groups, rate=1.0)[0],
        )
        assert found[1][0] <= value <= found[1][1]
        widths.append([high - low for low, high in found])
    assert (np.array(widths[1]) > 1.5 * np.array(widths[0])).all()


def test_kinds_keep_their_shares_and_folds_their_weight() -> None:
    """All genuine right, all impostors wrong: no person changes the share, so none is known."""
    _, same, fold, groups = listed(40, 3)
    correct = same.astype(float)
    (low, high), method = accuracy_interval(correct, same, fold, groups)
    n = int(groups.effective(np.ones(len(same))))
    assert ((low, high), method) == (exact_interval(n / 2, n), "exact")
    # a fold of two pairs counts as much as one of 238
    fold = np.zeros(len(same), int)
    fold[[int(np.argmax(same)), int(np.argmin(same))]] = 1
    correct = (fold == 1).astype(float)
    (low, high), _ = accuracy_interval(correct, same, fold, groups)
    assert low < 0.5 < high
    assert high - low > 0.5


def test_few_people_take_each_as_one_trial() -> None:
    scores, same, fold, groups = listed(12, 30)
    correct = ((scores > 1) == same).astype(float)
    n = int(groups.effective(np.ones(len(same))))
    assert 10 <= n <= 12
    (low, high), method = accuracy_interval(correct, same, fold, groups)
    assert method == "exact"
    assert high - low > 0.3
    assert low <= correct.mean() <= high
    assert eer_interval(scores, same, groups)[1] == "exact"
    assert tar_interval(correct, same, groups, rate=0.0)[1] == "exact"
    assert accuracy_difference_interval(correct - 0.5, same, fold, groups) is None


def test_no_error_at_all_still_has_the_width_of_trials() -> None:
    _, same, fold, groups = listed(50, 2)
    (low, high), method = accuracy_interval(np.ones(len(same)), same, fold, groups)
    n = int(groups.effective(np.ones(len(same))))
    assert ((low, high), method) == (exact_interval(n, n), "exact")
    assert low < 0.95


def test_difference_of_equal_nets_is_unknown_and_of_others_is_around_the_mean() -> None:
    scores, same, fold, groups = listed(60, 10)
    one, other = ((scores > t) == same for t in (1.0, 1.6))
    assert accuracy_difference_interval(np.zeros(len(same)), same, fold, groups) is None
    gaps = one.astype(float) - other
    low, high = accuracy_difference_interval(gaps, same, fold, groups) or (0, 0)
    assert low < gaps.mean() < high
    low2, high2 = accuracy_difference_interval(-gaps, same, fold, groups) or (0, 0)
    assert (-high2, -low2) == pytest.approx((low, high))


def test_connected_groups_join_through_others() -> None:
    assert connected_groups(6, [0, 4], [2, 2]).tolist() == [0, 1, 0, 2, 0, 3]
    assert connected_groups(3, [], []).tolist() == [0, 1, 2]


def test_lengths_that_differ_are_refused() -> None:
    groups = PairGroups.of([0, 1], [0, 1])
    with pytest.raises(ValidationError, match="values and folds"):
        accuracy_interval([1, 0, 1], [1, 0, 1], [0, 1], groups)
    with pytest.raises(ValidationError, match="values and groups"):
        accuracy_interval([1, 0, 1], [1, 0, 1], [0, 1, 1], groups)
    with pytest.raises(ValidationError, match="accepted and groups"):
        tar_interval([1, 0, 1], [1, 0, 1], groups, rate=0.0)
    with pytest.raises(ValidationError, match="scores and groups"):
        eer_interval([1, 0, 1], [1, 0, 1], groups)
