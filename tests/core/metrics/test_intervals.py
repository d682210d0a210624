"""Intervals against closed forms, brute force, and simulated data with a known truth."""

from itertools import product
from math import comb

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.intervals import (
    bootstrap_interval,
    exact_interval,
    paired_interval,
    proportion_interval,
    seeds_interval,
    wilson_interval,
)


def test_bootstrap_of_three_items_equals_the_enumeration_of_all_resamples() -> None:
    values = [0.0, 1.0, 4.0]
    means = sorted(sum(draw) / 3 for draw in product(values, repeat=3))  # 27 equally likely
    low, high = bootstrap_interval(values, n_resamples=200_000)
    assert low == pytest.approx(np.quantile(means, 0.025, method="inverted_cdf"))
    assert high == pytest.approx(np.quantile(means, 0.975, method="inverted_cdf"))


def test_bootstrap_approaches_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    low, high = bootstrap_interval(values, n_resamples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_has_a_seed_and_pinned_numbers() -> None:
    values = np.arange(10.0)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    # these numbers stand in records: a change of them is a new version of every protocol
    assert bootstrap_interval(values) == (2.8, 6.3)


def test_stratified_bootstrap_of_pure_classes_has_no_width() -> None:
    # by hand: within each class all items are equal, so no resample differs
    interval = bootstrap_interval([0.0, 0.0, 1.0, 1.0, 1.0], strata=[0, 0, 1, 1, 1])
    assert interval == (0.5, 0.5)


def test_wilson_and_exact_equal_published_values() -> None:
    # Newcombe (1998), table I: 81 of 263
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
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


def test_proportion_interval_takes_the_wider_method_where_bootstrap_is_too_narrow() -> None:
    assert proportion_interval([1.0] * 29)[1] == "exact"
    assert proportion_interval([1.0] * 96 + [0.0] * 4)[1] == "exact"
    assert proportion_interval([1.0] * 95 + [0.0] * 5)[1] == "bootstrap"
    (low, high), _ = proportion_interval([1.0] * 100)
    assert low == pytest.approx(0.025 ** (1 / 100))
    assert high == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("n", "p"), [(40, 0.5), (100, 0.8), (600, 0.9), (20, 0.9)])
def test_proportion_interval_covers_the_truth(n: int, p: float) -> None:
    """1,000 draws each; 93 % at least, and 97 % at most where it is not the exact interval."""
    random = np.random.default_rng(0)
    held, methods = 0, set()
    for _ in range(1000):
        (low, high), method = proportion_interval((random.random(n) < p).astype(float))
        held += low <= p <= high
        methods.add(method)
    assert held >= 930
    if methods == {"bootstrap"}:
        assert held <= 970


def test_seeds_interval_covers_the_truth_and_needs_five() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        low, high = seeds_interval(random.normal(3.0, 1.0, 5)) or (0, 0)
        held += low <= 3.0 <= high
    assert 930 <= held <= 970
    assert seeds_interval([1.0, 2.0, 3.0, 4.0]) is None


def test_pairing_finds_a_difference_that_the_means_hide() -> None:
    common = np.array([0.1, 0.5, 0.9, 0.3, 0.7])  # seeds differ far more than the subjects
    first, second = common + np.array([0.02, 0.03, 0.02, 0.03, 0.02]), common
    low, high = paired_interval(first, second, over="seeds") or (0, 0)
    # by hand: mean 0.024, s = 0.005477, t(4) = 2.7764, half = 0.0068
    assert (low, high) == pytest.approx((0.024 - 0.0068, 0.024 + 0.0068), abs=2e-5)
    unpaired = seeds_interval(first) or (0, 0)
    assert unpaired[0] < second.mean() < unpaired[1]


def test_paired_items_below_thirty_have_no_interval() -> None:
    assert paired_interval(np.ones(29), np.zeros(29), over="items") is None
    assert paired_interval(np.ones(30), np.zeros(30), over="items") == (1.0, 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values_are_refused_with_their_row(bad: float) -> None:
    with pytest.raises(ValidationError, match=r"values\[1\]: expected finite numbers"):
        bootstrap_interval([0.0, bad])
    with pytest.raises(ValidationError, match=r"second\[0\]"):
        paired_interval([0.0], [bad], over="seeds")
    with pytest.raises(ValidationError, match="at least one row"):
        seeds_interval([])
    with pytest.raises(ValidationError, match="equal lengths, got 2 and 1"):
        paired_interval([0.0, 1.0], [0.0], over="seeds")
    with pytest.raises(ValidationError, match=r"values\[0\]: expected a score in 0 … 1, got 2"):
        proportion_interval([2.0])
    with pytest.raises(ValidationError, match="got 3 of 2"):
        wilson_interval(3, 2)
