"""The Fréchet distance: closed forms, scipy's matrix root, fewer rows than columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.frechet import frechet


def rows(n: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((n, width)) @ random.standard_normal((width, width)) + 2


def by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    """The published formula, with scipy's root of the product."""
    one, other = (np.cov(x, rowvar=False) for x in (first, second))
    apart = first.mean(axis=0) - second.mean(axis=0)
    root = sqrtm(one @ other)
    return float(apart @ apart + np.trace(one + other - 2 * np.real(root)))


@pytest.mark.parametrize("width", [2, 5, 16])
def test_distance_equals_the_matrix_roots(width: int) -> None:
    first, second = rows(60, width, 1), rows(90, width, 2) - 1
    assert frechet(first, second).distance == pytest.approx(by_matrix_root(first, second), rel=1e-9)


def test_one_dimension_has_a_closed_form() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 50), random.normal(3, 2, 70)
    expected = (one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2
    assert frechet(one[:, None], other[:, None]).distance == pytest.approx(expected, rel=1e-12)


def test_covariances_that_commute_have_a_closed_form() -> None:
    """Centred axes of known length: the distance is the squared difference of the deviations."""
    base = np.concatenate([np.eye(3), -np.eye(3)])  # mean 0, covariance 0.4 I
    one, other = base * [1, 2, 3], base * [4, 4, 0]
    expected = 0.4 * ((4 - 1) ** 2 + (4 - 2) ** 2 + 3**2)
    assert frechet(one, other).distance == pytest.approx(expected, rel=1e-12)


def test_fewer_rows_than_columns_are_defined() -> None:
    """In the space that the rows span, where the covariances have full rank, it is the same."""
    low = rows(12, 4, 5), rows(9, 4, 6)
    basis = ortho_group.rvs(40, random_state=np.random.default_rng(4))[:4]
    lifted = [x @ basis for x in low]
    assert frechet(*lifted).distance == pytest.approx(frechet(*low).distance, rel=1e-9)
    few = [x[:3] @ basis for x in low]
    assert 0 < frechet(*few).distance < np.inf


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 6), st.integers(0, 10**6))
def test_equal_sets_are_0_apart_and_the_order_and_axes_do_not_matter(
    n: int, m: int, width: int, seed: int
) -> None:
    one, other = rows(n, width, seed), rows(m, width, seed + 1)
    scale = one.var() + other.var() + 1
    assert frechet(one, one).distance <= 1e-12 * scale
    assert frechet(one, other).distance == pytest.approx(frechet(other, one).distance, rel=1e-9)
    turned = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]
    assert frechet(one @ turned + 5, other @ turned + 5).distance == pytest.approx(
        frechet(one, other).distance, rel=1e-7, abs=1e-9 * scale
    )


def test_bad_rows_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"got shapes \(3, 2\) and \(3, 4\)"):
        frechet(rows(3, 2, 0), rows(3, 4, 0))
    with pytest.raises(ValidationError, match="two rows or more"):
        frechet(rows(1, 2, 0), rows(3, 2, 0))
    broken = rows(3, 2, 0)
    broken[1, 0] = np.nan
    with pytest.raises(ValidationError, match=r"second\[1\]"):
        frechet(rows(3, 2, 0), broken)
