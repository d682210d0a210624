"""Unique identities against brute force, at one bound and along the curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import cosines
from masquerade.core.metrics.separability import (
    NO_EARLIER,
    counted,
    nearest_earlier,
    separability,
    unique_identities,
)


def features(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def table(centres: np.ndarray) -> np.ndarray:
    wide = centres / np.linalg.norm(centres.astype(np.float64), axis=1, keepdims=True)
    return wide @ wide.T


def test_unique_identities_equal_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 16)
    centres = features(100)
    brute = [bool((table(centres)[j, :j] <= 0.4).all()) for j in range(100)]
    assert unique_identities(centres).tolist() == brute
    assert 0 < sum(brute) < 100


def test_nearest_earlier_equals_brute_force_over_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 16)
    centres = features(70, 5, seed=3)
    found = nearest_earlier(centres)
    assert found[0] == NO_EARLIER
    brute = [table(centres)[j, :j].max() for j in range(1, 70)]
    np.testing.assert_allclose(found[1:], brute, rtol=0, atol=1e-14)


def test_equal_identities_are_never_unique_even_at_a_bound_near_one() -> None:
    centres = np.repeat(features(1), 5, axis=0)
    np.testing.assert_allclose(nearest_earlier(centres)[1:], 1, atol=1e-14)
    assert unique_identities(centres, 0.999).tolist() == [True] + 4 * [False]


def test_unique_identities_count_earlier_ones_that_are_not_unique() -> None:
    """Row 2 resembles row 1 alone, which resembles row 0: greedy removal would keep row 2."""
    angles = np.deg2rad([0, 60, 120])
    centres = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert unique_identities(centres, tau=0.4).tolist() == [True, False, False]


def test_unique_identities_at_the_bound_itself_are_unique() -> None:
    centres = np.float32([[1, 0], [3, 4]])
    assert unique_identities(centres, tau=0.6).tolist() == [True, True]
    assert unique_identities(centres, tau=np.nextafter(0.6, 0)).tolist() == [True, False]


def test_separability_counts_in_steps() -> None:
    centres = np.float32(np.repeat(np.eye(3), [1, 2, 2], axis=0))
    found = separability(centres, step=2)
    assert (found.n, found.unique) == ((2, 4, 5), (2, 3, 3))
    assert found.share == 0.6


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(0, 10**6), st.floats(-1, 1), st.floats(-1, 1))
def test_more_are_unique_at_a_higher_bound_and_among_more(
    n: int, seed: int, one: float, other: float
) -> None:
    nearest = nearest_earlier(features(n, 3, seed))
    ends = tuple(range(1, n + 1))
    low, high = (counted(nearest, tau, ends).unique for tau in sorted((one, other)))
    assert all(a <= b for a, b in zip(low, high, strict=True))
    assert all(a <= b <= a + 1 for a, b in zip(low, low[1:], strict=False))
    assert low[0] == 1


def test_a_zero_centre_is_refused() -> None:
    with pytest.raises(ValidationError, match="centres row 1"):
        nearest_earlier(np.float32([[1, 0], [0, 0]]))
