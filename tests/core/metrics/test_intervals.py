"""Intervals against closed forms and by hand, and which method is given where.

How often they hold a known truth: test_interval_coverage.py.
"""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.intervals import (
    bootstrap_error,
    class_mean_interval,
    effective_number,
    exact_interval,
    paired_interval,
    proportion_interval,
    ratio_interval,
    seeds_interval,
    share_interval,
)


def people(random: np.random.Generator, n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """0/1 outcomes of `size` pictures of each of n people, each with a rate of her own."""
    rates = random.beta(2, 2, n)
    values = (random.random((n, size)) < rates[:, None]).astype(float)
    return values.ravel(), np.repeat(np.arange(n), size)


def by_hand(value: float, error: float, groups: int) -> tuple[float, ...]:
    """Student's t on the scale of the logit."""
    half = stats.t.ppf(0.975, groups - 1) * error / (value * (1 - value))
    centre = np.log(value / (1 - value))
    return tuple(1 / (1 + np.exp(-(centre + sign * half))) for sign in (-1, 1))


def test_exact_interval_equals_published_values() -> None:
    # Newcombe (1998), table I: 81 of 263
    assert exact_interval(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    # closed form: 0 of n has the upper end 1 - (alpha / 2)^(1 / n)
    assert exact_interval(0, 20) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert exact_interval(20, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))


@pytest.mark.parametrize("n", [1, 5, 12])
def test_exact_interval_never_covers_less_than_95_percent(n: int) -> None:
    ends = [exact_interval(right, n) for right in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 99):
        covered = sum(
            comb(n, right) * p**right * (1 - p) ** (n - right)
            for right in range(n + 1)
            if ends[right][0] <= p <= ends[right][1]
        )
        assert covered >= 0.95 - 1e-12


def test_a_broken_count_widens_the_exact_interval() -> None:
    low, high = exact_interval(7.5, 10)
    assert low == exact_interval(7, 10)[0]
    assert high == exact_interval(8, 10)[1]


def test_bootstrap_error_of_three_groups_is_that_of_all_resamples() -> None:
    influence = np.array([-3.0, 1.0, 2.0])
    sums = [sum(draw) for draw in product(influence, repeat=3)]  # 27 equally likely
    expected = np.std(sums) * np.sqrt(3 / 2)
    assert bootstrap_error(influence) == pytest.approx(expected, rel=0.05)


def test_bootstrap_error_has_a_seed_and_pinned_numbers() -> None:
    influence = np.linspace(-0.01, 0.01, 40)
    assert bootstrap_error(influence) == bootstrap_error(influence)
    assert bootstrap_error(influence) != bootstrap_error(influence, seed=1)
    # this stands behind records: a change of it is a new version of every protocol
    assert bootstrap_error(influence) == pytest.approx(0.03910863564076471, rel=1e-12)


def test_chunks_do_not_change_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    influence = np.linspace(-0.01, 0.01, 40)
    whole = bootstrap_error(influence)
    monkeypatch.setattr("masquerade.core.metrics.intervals._CHUNK", 500)
    assert bootstrap_error(influence) == pytest.approx(whole, rel=1e-12)


def test_effective_number_counts_equal_groups_and_discounts_large_ones() -> None:
    assert effective_number(np.full(30, 7.0)) == pytest.approx(30)
    assert effective_number(np.array([*np.ones(29), 1000.0])) < 1.1
    assert effective_number(np.zeros(5)) == 0
    assert effective_number(np.array([1.0, -1.0])) == 2


def test_items_that_are_right_or_wrong_have_the_exact_interval() -> None:
    for n_right in (0, 3, 50, 100):
        values = [1.0] * n_right + [0.0] * (100 - n_right)
        assert proportion_interval(values) == (exact_interval(n_right, 100), "exact")


def test_broken_scores_have_the_bootstrap_from_thirty_on() -> None:
    values = np.random.default_rng(0).beta(2, 1, 200)
    interval, method = proportion_interval(values)
    assert method == "bootstrap"
    error = values.std(ddof=1) / np.sqrt(200)
    assert interval == pytest.approx(by_hand(values.mean(), error, 200), abs=0.1 * error)
    n = 29
    assert proportion_interval(values[:n])[1] == "exact"
    assert proportion_interval(values[:n])[0] == exact_interval(
        round(float(values[:n].mean()) * n, 9), n
    )


def test_groups_widen_the_interval_as_far_as_their_items_are_alike() -> None:
    values, groups = people(np.random.default_rng(0), 100, 20)
    (low, high), method = proportion_interval(values, groups)
    assert method == "bootstrap"
    by_person = values.reshape(100, 20).mean(axis=1)
    error = by_person.std(ddof=1) / 10
    assert (low, high) == pytest.approx(by_hand(values.mean(), error, 100), abs=0.1 * error)
    alone = proportion_interval(values)[0]
    assert high - low > 1.8 * (alone[1] - alone[0])


def test_names_and_order_of_groups_do_not_matter() -> None:
    values, groups = people(np.random.default_rng(3), 50, 4)
    first = proportion_interval(values, groups)
    assert proportion_interval(values, groups + 7) == first
    order = np.random.default_rng(0).permutation(len(values))
    assert proportion_interval(values[order], groups[order]) == first
    assert proportion_interval(values, groups, seed=1) != first


@pytest.mark.parametrize(
    ("sums", "counts"),
    [
        ([3.0] * 10, [5] * 10),  # ten groups
        ([5.0] * 31 + [4.0] * 9, [5] * 40),  # nine that err
        ([0.0] * 31 + [1.0] * 9, [5] * 40),  # nine that do not err wholly
    ],
)
def test_few_groups_or_few_errors_take_each_group_as_one_trial(sums: list, counts: list) -> None:
    found, method = ratio_interval(sums, counts)
    share, n = sum(sums) / sum(counts), len(sums)
    assert method == "exact"
    assert found == exact_interval(round(share * n, 9), n)
    assert found[0] <= share <= found[1]


def test_ten_groups_that_err_are_enough() -> None:
    assert ratio_interval([5.0] * 30 + [4.0] * 10, [5] * 40)[1] == "bootstrap"


def test_one_large_group_is_little_more_than_one_trial() -> None:
    """60 groups, of which one holds 900 of 1,018 items: 1.3 groups, not 60."""
    counts = np.array([900, *[2] * 59])
    (low, high), method = ratio_interval(counts - 1.0, counts)
    assert method == "exact"
    assert (low, high) == exact_interval((counts - 1.0).sum() / counts.sum(), 1)


def test_whole_groups_of_one_size_are_trials_and_of_others_are_not() -> None:
    whole = np.repeat([1.0, 0.0], 25)
    assert ratio_interval(3 * whole, np.full(50, 3)) == (exact_interval(25, 50), "exact")
    sizes = np.tile([2, 3], 25)
    assert ratio_interval(sizes * whole, sizes)[1] == "bootstrap"


def test_mean_over_classes_equals_the_variance_of_its_strata() -> None:
    random = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [20, 40, 100])
    items = random.beta(3, 1, 160)
    (low, high), method = class_mean_interval(items, classes) or ((0, 0), "")
    assert method == "bootstrap"
    own = [items[classes == c] for c in range(3)]
    value = np.mean([v.mean() for v in own])
    error = np.sqrt(sum(v.var(ddof=1) / len(v) for v in own)) / 3
    groups = effective_number(1 / (3 * np.bincount(classes)[classes]))
    assert (low, high) == pytest.approx(by_hand(value, error, groups), abs=0.1 * error)


def test_mean_over_classes_has_none_where_too_little_is_known() -> None:
    right = np.tile([1.0, 0.0], 50)
    assert class_mean_interval(right, np.arange(100) % 5) is not None
    assert class_mean_interval(right, [*np.arange(99) % 5, 7]) is None  # a class of one item
    assert class_mean_interval(right[:20], np.arange(20) % 5) is None
    assert class_mean_interval([1.0] * 95 + [0.0] * 5, np.arange(100) % 5) is None


def test_variance_that_two_groups_share_is_taken_off_once() -> None:
    influence = np.repeat([0.01, -0.01], 50)
    whole, _ = share_interval(0.5, influence, groups=100, outcomes=50)
    less, _ = share_interval(0.5, influence, groups=100, outcomes=50, twice=0.3 * 0.01)
    assert np.diff(less)[0] == pytest.approx(np.sqrt(0.7) * np.diff(whole)[0], rel=0.03)
    least, _ = share_interval(0.5, influence, groups=100, outcomes=50, twice=1.0)
    assert np.diff(least)[0] == pytest.approx(np.sqrt(0.5) * np.diff(whole)[0], rel=0.03)


def test_no_spread_at_all_still_has_the_width_of_trials() -> None:
    found = share_interval(0.75, np.zeros(40), groups=40, outcomes=20)
    assert found == (exact_interval(30, 40), "exact")


def test_seeds_need_five() -> None:
    assert seeds_interval([1.0, 2.0, 3.0, 4.0]) is None
    low, high = seeds_interval([1.0, 2.0, 3.0, 4.0, 5.0]) or (0, 0)
    # by hand: mean 3, s = 1.5811, t(4) = 2.7764
    assert (low, high) == pytest.approx((3 - 1.96324, 3 + 1.96324), abs=1e-4)


def test_pairing_finds_a_difference_that_the_means_hide() -> None:
    common = np.array([0.1, 0.5, 0.9, 0.3, 0.7])  # seeds differ far more than the subjects
    first, second = common + np.array([0.02, 0.03, 0.02, 0.03, 0.02]), common
    low, high = paired_interval(first, second, over="seeds") or (0, 0)
    # by hand: mean 0.024, s = 0.005477, t(4) = 2.7764, half = 0.0068
    assert (low, high) == pytest.approx((0.024 - 0.0068, 0.024 + 0.0068), abs=2e-5)
    unpaired = seeds_interval(first) or (0, 0)
    assert unpaired[0] < second.mean() < unpaired[1]


def test_paired_items_need_thirty_and_ten_that_differ() -> None:
    first, second = np.ones(100), np.ones(100)
    second[:9] = 0
    assert paired_interval(first, second, over="items") is None
    second[9] = 0
    low, high = paired_interval(first, second, over="items") or (0, 0)
    assert low < 0.1 < high
    half = stats.t.ppf(0.975, 9) * np.sqrt(0.1 * 0.9 / 99)  # ten that differ
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert paired_interval(first[:29], 1 - second[:29], over="items") is None
    # where nearly all differ alike, the few that do not decide how much is known
    assert paired_interval(np.ones(40), np.zeros(40), over="items") is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values_are_refused_with_their_row(bad: float) -> None:
    with pytest.raises(ValidationError, match=r"values\[1\]: expected finite numbers"):
        proportion_interval([0.0, bad])
    with pytest.raises(ValidationError, match=r"second\[0\]"):
        paired_interval([0.0], [bad], over="seeds")
    with pytest.raises(ValidationError, match=r"sums\[0\]"):
        ratio_interval([bad], [1])


@pytest.mark.parametrize(
    ("sums", "counts", "said"),
    [
        ([2.0], [1], "group 0: expected scores in 0 … 1"),
        ([0.0], [0], "group 0"),
        ([1.0, 1.0], [1], "equal lengths"),
    ],
)
def test_bad_groups_are_refused(sums: list, counts: list, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ratio_interval(sums, counts)


def test_bad_rows_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least one row"):
        seeds_interval([])
    with pytest.raises(ValidationError, match="equal lengths, got 2 and 1"):
        paired_interval([0.0, 1.0], [0.0], over="seeds")
    with pytest.raises(ValidationError, match=r"values\[0\]: expected a score in 0 … 1, got 2"):
        proportion_interval([2.0])
    with pytest.raises(ValidationError, match="values and classes: expected equal lengths"):
        class_mean_interval([1.0, 0.0], [0])
    with pytest.raises(ValidationError, match="got 3 of 2"):
        exact_interval(3, 2)
