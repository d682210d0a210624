"""Nearness to real identities and its thresholds, against loops and by hand."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import leakage as module
from masquerade.core.metrics.leakage import RealIdentities, identity_places, threshold_at_far


def features(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, other = (
        rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        for rows in (first, second)
    )
    return one @ other.T


def test_each_pictures_nearest_real_identity_is_found() -> None:
    found = RealIdentities(np.float32([[1, 0], [0, 5]])).nearest([[2, 0], [3, 4], [0.1, -1]])
    assert found.nearest.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.cosine, [1, 0.8, 0.0995037], atol=1e-6)
    assert found.share(0.5) == pytest.approx(2 / 3)
    assert found.worst(2).tolist() == [0, 1]


def test_the_own_identity_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 4)
    pictures, real = features(11), features(5, seed=1)
    own = np.array([0, 1, 2, 3, 4, -1, -1, 2, 2, 2, 0])
    found = RealIdentities(real).nearest(pictures, own)
    table = cosines(pictures, real)
    table[np.flatnonzero(own >= 0), own[own >= 0]] = -9
    assert found.nearest.tolist() == table.argmax(axis=1).tolist()
    np.testing.assert_allclose(found.cosine, table.max(axis=1), atol=1e-6)


def test_strangers_are_each_identitys_nearest_other_one() -> None:
    real = features(9)
    table = cosines(real, real) - 9 * np.eye(9)
    found = RealIdentities(real).strangers()
    assert found.nearest.tolist() == table.argmax(axis=1).tolist()


def test_thresholds_let_through_no_more_than_their_rate() -> None:
    real, pictures = features(30, seed=2), features(80, seed=3)
    own = np.arange(80) % 31 - 1
    people = RealIdentities(real)
    pairs = cosines(real, real)[np.triu_indices(30, 1)]
    assert (pairs >= people.pair_threshold(0.05)).mean() == pytest.approx(0.05, abs=1 / 435)
    table = cosines(pictures, real)
    strange = table[np.arange(30)[None] != own[:, None]]
    threshold = people.picture_threshold(pictures, own, 0.01)
    assert (strange >= threshold).mean() == pytest.approx(0.01, abs=1 / len(strange))
    assert threshold > people.picture_threshold(pictures, own, 0.1)


def test_of_many_some_at_even_distances_give_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CALIBRATED", 20)
    real, pictures = features(50), features(90, seed=1)
    table = cosines(pictures, real)[::5, ::3]
    expected = threshold_at_far(table.reshape(-1), 0.1)
    found = RealIdentities(real).picture_threshold(pictures, None, 0.1)
    assert found == pytest.approx(expected, abs=1e-6)


def test_threshold_at_far_accepts_no_more_than_allowed_with_ties() -> None:
    scores = np.repeat(np.arange(10) / 10, 20)  # 200 scores, 20 of each
    assert threshold_at_far(scores, 0.1) == 0.9
    assert threshold_at_far(scores, 0.15) == 0.9  # 30 allowed: the ties at 0.8 would make 40
    assert threshold_at_far(scores, 0.05) > 0.9  # 10 allowed: the ties at 0.9 would make 20
    with pytest.raises(ValidationError, match="at least 1000 impostor scores, got 200"):
        threshold_at_far(scores, 0.01)


def test_features_of_two_nets_and_nobody_are_refused() -> None:
    with pytest.raises(ValidationError, match="one width"):
        RealIdentities(features(3, 5)).nearest(features(3, 4))
    with pytest.raises(ValidationError, match="expected some"):
        RealIdentities(features(0))
    with pytest.raises(ValidationError, match="the only real identity"):
        RealIdentities(features(1)).strangers()


def test_places_are_those_among_the_centres() -> None:
    assert identity_places([4, 4, 9, 0], [9, 4, 7]).tolist() == [1, 1, 0, -1]
