"""Scores of face sets against brute force and values by hand."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import cosines
from masquerade.core.metrics.faces import (
    auc,
    consistency,
    d_prime,
    identity_centres,
    pair_scores,
    placements,
)


def features(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


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


def test_auc_counts_ordered_pairs_and_half_of_the_ties() -> None:
    random = np.random.default_rng(1)
    genuine, impostor = random.integers(0, 9, 40), random.integers(0, 7, 60)
    pairs = [(g > i) + 0.5 * (g == i) for g in genuine for i in impostor]
    assert auc(genuine, impostor) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auc(impostor, genuine) == pytest.approx(1 - np.mean(pairs), abs=1e-12)
    assert placements([0.5, 2], [0, 1, 2]).tolist() == pytest.approx([1 / 3, 2.5 / 3])
