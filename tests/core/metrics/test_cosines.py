"""Exact cosines against fractions and float64 by brute force."""

import math
from fractions import Fraction

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import cosines
from masquerade.core.metrics.cosines import (
    exact_cosine,
    largest_earlier,
    max_cosine,
    reaches,
    rounding_margin,
    unit_rows,
)


def rows(n: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32) * 3


def test_exact_cosine_is_the_true_one_to_the_last_bits() -> None:
    a, b = rows(2, 40)
    x, y = ([Fraction(float(v)) for v in w] for w in (a, b))
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    squared = dot**2 / (sum(p * p for p in x) * sum(q * q for q in y))
    assert exact_cosine(a, b) == pytest.approx(math.copysign(math.sqrt(squared), dot), rel=4e-16)


def test_exact_cosine_cancels_without_loss() -> None:
    a = np.float32([1e8, 1, -1e8, 1])
    b = np.float32([1e8, 1, 1e8, 1])
    assert exact_cosine(a, b) == 2 / (2e16 + 2)  # by hand; a float32 sum gives 0


@pytest.mark.parametrize("width", [2, 128, 512])
def test_margin_bounds_what_float32_products_are_wrong_by(width: int) -> None:
    vectors = rows(120, width) + 2  # all alike: no help from cancelling
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    unit = unit_rows(vectors)
    assert np.abs(unit @ unit.T - wide @ wide.T).max() < rounding_margin(width)


def test_reaches_decides_equality_exactly() -> None:
    vector, others = np.float32([1, 0]), np.float32([[0, 1], [3, 4]])
    products = unit_rows(others) @ vector
    assert reaches(vector, others, products, 0.6)
    assert not reaches(vector, others, products, math.nextafter(0.6, 1))


def test_max_cosine_equals_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 7)
    vectors = rows(60, 5)
    best = max((exact_cosine(vectors[i], vectors[j]), -i, -j) for j in range(60) for i in range(j))
    found = max_cosine(vectors)
    assert (found.value, -found.first, -found.second) == best


def test_max_cosine_tells_pairs_apart_that_float32_cannot() -> None:
    base = rows(1, 64)[0]
    near = [base * np.float32(1), base.copy(), base.copy()]
    near[1][0] += np.float32(3e-4)
    near[2][0] += np.float32(2e-4)
    unit = unit_rows(np.stack(near))
    products = (unit @ unit.T)[np.triu_indices(3, 1)]
    assert np.ptp(products) < rounding_margin(64)
    found = max_cosine(np.stack(near))
    assert (found.first, found.second) == (1, 2)  # 1e-4 apart, the others 2e-4 and 3e-4


def test_largest_earlier_never_looks_at_later_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 3)
    unit = unit_rows(np.float32([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0.1]]))
    np.testing.assert_allclose(largest_earlier(unit), [-2, 0, 1, 1, 0.995037], atol=1e-6)


@pytest.mark.parametrize("bad", [[np.nan, 1], [0, 0], [np.inf, 1]])
def test_bad_rows_are_named(bad: list) -> None:
    with pytest.raises(ValidationError, match="faces row 1: expected a finite vector"):
        unit_rows(np.float32([[1, 2], bad]), "faces")


def test_one_vector_has_no_pair() -> None:
    with pytest.raises(ValidationError, match="at least two rows"):
        max_cosine(np.float32([[1, 2]]))
