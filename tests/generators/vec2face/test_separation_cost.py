"""The cost law against a count of the operations done."""

import numpy as np
import pytest

from masquerade.core.errors import UsageError
from masquerade.generators.vec2face.separation_cost import (
    Rates,
    measure_rates,
    plan_cost,
    product_bound_s,
)

RATES = Rates(flops_per_s=1e9, draw_s=1e-3)


def test_cost_counts_one_product_per_pair() -> None:
    n, width = 2000, 64
    pairs = n * (n - 1) / 2  # each: 64 multiplications and as many additions
    assert plan_cost(n, width, 1.0, RATES).flops == pytest.approx(pairs * 2 * width, rel=1e-3)
    assert product_bound_s(n, n, width, 1e9) == plan_cost(n, width, 1.0, RATES).flops / 1e9


def test_cost_grows_with_the_square_and_with_the_tries() -> None:
    one = plan_cost(10_000, 512, 1.0, Rates(1e9, 0.0))
    assert plan_cost(30_000, 512, 1.0, Rates(1e9, 0.0)).seconds == pytest.approx(9 * one.seconds)
    assert plan_cost(10_000, 512, 3.0, Rates(1e9, 0.0)).seconds == pytest.approx(3 * one.seconds)
    assert plan_cost(10_000, 512, 3.0, RATES).seconds > 30


def test_a_hundred_thousand_fit_six_gigabytes() -> None:
    assert plan_cost(100_000, 512, 1.0, RATES).n_bytes < 6e9


def test_measured_rates_are_sane() -> None:
    rates = measure_rates(64, times=1)
    assert 1e7 < rates.flops_per_s < 1e15
    assert np.isfinite(rates.draw_s)
    assert rates.draw_s > 0


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="tried_ratio"):
        plan_cost(10, 10, 0.5, RATES)
