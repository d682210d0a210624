"""Intervals over groups: coverage, agreement with a restated bootstrap, and the fallback."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.group_intervals import grouped_interval, ratio_interval
from masquerade.core.metrics.intervals import bootstrap_interval, exact_interval


def people(random: np.random.Generator, n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """0/1 outcomes of `size` pictures of each of n people, each with a rate of their own."""
    rates = random.beta(2, 2, n)
    values = (random.random((n, size)) < rates[:, None]).astype(float)
    return values.ravel(), np.repeat(np.arange(n), size)


def test_interval_covers_the_truth_where_an_interval_over_items_does_not() -> None:
    """60 repeats: pictures of one person are alike, so 60 × 20 pictures are no 1,200 trials."""
    random = np.random.default_rng(0)
    grouped = plain = 0
    for _ in range(60):
        values, groups = people(random, 60, 20)
        (low, high), method = grouped_interval(values, groups)
        assert method == "bootstrap"
        grouped += low <= 0.5 <= high
        low, high = bootstrap_interval(values, n_resamples=200)
        plain += low <= 0.5 <= high
    assert grouped >= 52
    assert plain <= 45


def test_interval_equals_a_restated_bootstrap_within_its_noise() -> None:
    random = np.random.default_rng(1)
    values, groups = people(random, 40, 5)
    by_person = values.reshape(40, 5).mean(axis=1)
    means = [by_person[random.integers(0, 40, 40)].mean() for _ in range(4000)]
    (low, high), _ = grouped_interval(values, groups)
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_groups_of_one_item_are_the_plain_bootstrap() -> None:
    values = (np.random.default_rng(2).random(200) < 0.3).astype(float)
    found, _ = grouped_interval(values, np.arange(200))
    np.testing.assert_allclose(found, bootstrap_interval(values), atol=0.02)


@pytest.mark.parametrize(
    ("sums", "counts"),
    [([3.0] * 10, [5] * 10), ([5.0] * 40, [5] * 40), ([0.0] * 38 + [1.0] * 2, [5] * 40)],
)
def test_few_groups_or_few_errors_take_each_group_as_one_trial(sums: list, counts: list) -> None:
    found, method = ratio_interval(sums, counts)
    share = sum(sums) / sum(counts)
    assert method == "exact"
    assert found == exact_interval(round(share * len(sums), 9), len(sums))
    assert found[0] <= share <= found[1]


def test_same_seed_same_interval_and_names_of_groups_do_not_matter() -> None:
    values, groups = people(np.random.default_rng(3), 50, 4)
    first = grouped_interval(values, groups)
    assert grouped_interval(values, groups + 7) == first
    assert grouped_interval(values, groups, seed=1) != first


@pytest.mark.parametrize(
    ("sums", "counts", "said"),
    [
        ([2.0], [1], "group 0: expected scores in 0 … 1"),
        ([0.0], [0], "group 0"),
        ([np.nan], [1], "finite"),
        ([1.0, 1.0], [1], "equal lengths"),
    ],
)
def test_bad_groups_are_refused(sums: list, counts: list, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ratio_interval(sums, counts)
