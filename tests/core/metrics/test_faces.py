"""Scores of face sets against brute force and values by hand."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import cosines
from masquerade.core.metrics.faces import (
    consistency,
    d_prime,
    identity_centres,
    leakage,
    pair_scores,
    separability,
    threshold_at_far,
    unique_identities,
)


def features(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def test_unique_identities_equal_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 16)
    centres = features(100)
    wide = centres / np.linalg.norm(centres.astype(np.float64), axis=1, keepdims=True)
    table = wide @ wide.T
    brute = [bool((table[j, :j] <= 0.4).all()) for j in range(100)]
    assert unique_identities(centres).tolist() == brute
    assert 0 < sum(brute) < 100


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


def test_identity_centres_are_means_in_order_of_appearance() -> None:
    labels, centres = identity_centres([[1, 0], [4, 4], [3, 2]], [7, 2, 7])
    assert labels.tolist() == [7, 2]
    assert centres.tolist() == [[2, 1], [4, 4]]


def test_consistency_is_the_cosine_with_the_own_centre() -> None:
    values, labels = features(12), np.array([5, 1, 1, 5, 3, 3, 5, 1, 3, 5, 1, 3])
    found = consistency(values, labels)
    for row, label in enumerate(labels):
        centre = values[labels == label].astype(np.float64).mean(axis=0)
        cosine = values[row] @ centre / np.linalg.norm(values[row]) / np.linalg.norm(centre)
        assert found[row] == pytest.approx(cosine, abs=1e-6)


def test_pair_scores_hold_every_pair_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "_ROWS", 4)
    values, labels = features(10), np.arange(10) % 3
    genuine, impostor = pair_scores(values, labels)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    pairs = [(i, j) for j in range(10) for i in range(j)]
    same = sorted(float(unit[i] @ unit[j]) for i, j in pairs if labels[i] == labels[j])
    np.testing.assert_allclose(np.sort(genuine), same, atol=1e-6)
    assert len(genuine) + len(impostor) == 45


def test_d_prime_by_hand() -> None:
    # means 4 and 1, variances 1 and 1; and scores that cross once
    assert d_prime([3, 5], [0, 2]) == 3
    with pytest.raises(ValidationError, match="equal"):
        d_prime([1, 1], [0, 0])


def test_threshold_at_far_accepts_no_more_than_allowed_with_ties() -> None:
    scores = np.repeat(np.arange(10) / 10, 20)  # 200 scores, 20 of each
    assert threshold_at_far(scores, 0.1) == 0.9
    assert threshold_at_far(scores, 0.15) == 0.9  # 30 allowed: the ties at 0.8 would make 40
    assert threshold_at_far(scores, 0.05) > 0.9  # 10 allowed: the ties at 0.9 would make 20
    with pytest.raises(ValidationError, match="at least 1000 impostor scores, got 200"):
        threshold_at_far(scores, 0.01)


def test_leakage_finds_each_pictures_nearest_real_identity() -> None:
    real = np.float32([[1, 0], [0, 5]])
    found = leakage([[2, 0], [3, 4], [0.1, -1]], real)
    assert found.nearest.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.cosine, [1, 0.8, 0.0995037], atol=1e-6)
    assert found.share(0.5) == pytest.approx(2 / 3)
    assert found.worst(2).tolist() == [0, 1]


def test_leakage_refuses_features_of_two_nets() -> None:
    with pytest.raises(ValidationError, match="one width"):
        leakage(features(3, 4), features(3, 5))
