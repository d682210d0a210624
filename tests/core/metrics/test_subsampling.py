"""The delete-d jackknife: by hand, against the textbook variance, and how often it covers."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.subsampling import subsample_interval


def test_interval_by_hand() -> None:
    # deviation √2.5, factor √(0.25 / 0.75 + 1 / 5), t of 4 degrees 2.7764
    low, high = subsample_interval([1, 2, 3, 4, 5], 0.25)
    assert (high - low) / 2 == pytest.approx(2.7764451 * np.sqrt(2.5) * np.sqrt(1 / 3 + 0.2))
    assert (low + high) / 2 == pytest.approx(3)


def test_few_samples_have_no_interval() -> None:
    assert subsample_interval([1, 2, 3, 4], 0.5) is None


@pytest.mark.parametrize(("n", "k"), [(40, 20), (90, 15)])
def test_interval_of_a_mean_covers_as_often_as_it_says(n: int, k: int) -> None:
    """Means of samples of k of n values, of which the whole mean's error is known."""
    random = np.random.default_rng(n)
    inside, trials = 0, 600
    for _ in range(trials):
        values = random.exponential(1, n)
        means = [values[random.permutation(n)[:k]].mean() for _ in range(10)]
        low, high = subsample_interval(means, k / n)
        inside += low <= 1 <= high
    assert 0.90 <= inside / trials <= 0.985


def test_bad_rows_and_shares_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"values\[0\]"):
        subsample_interval([np.nan] * 5, 0.5)
    with pytest.raises(ValidationError, match="share"):
        subsample_interval([1.0] * 5, 1.0)
