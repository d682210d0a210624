"""ROC, EER and TAR@FAR against brute force and values by hand."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.intervals import exact_interval
from masquerade.core.metrics.verification import (
    accepted_at,
    eer,
    roc,
    squared_distances,
    supports,
    tar_at_far,
    unit_embeddings,
)


def with_ties(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    same = random.random(n) < 0.4
    return np.round(random.normal(same * 1.2, 1), 1), same


def brute_rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> tuple[float, float]:
    accepted = [score > threshold for score in scores]
    genuine = [a for a, s in zip(accepted, same, strict=True) if s]
    impostor = [a for a, s in zip(accepted, same, strict=True) if not s]
    return sum(impostor) / len(impostor), sum(genuine) / len(genuine)


def test_roc_counts_equal_a_loop_at_every_threshold_with_ties() -> None:
    scores, same = with_ties()
    curve = roc(scores, same)
    assert len(curve.thresholds) == len(set(scores.tolist())) + 1
    for t, far, tar in zip(curve.thresholds, curve.far, curve.tar, strict=True):
        assert (far, tar) == brute_rates(scores, same, t)
    assert (curve.far[0], curve.tar[0], curve.far[-1], curve.tar[-1]) == (0, 0, 1, 1)
    assert (curve.n_genuine, curve.n_impostor) == (same.sum(), (~same).sum())


def test_eer_by_hand_and_by_loop() -> None:
    separate = roc([1, 2, 3, 4, -1, -2, -3, -4], [1] * 4 + [0] * 4)
    assert eer(separate) == 0
    # at the threshold 1 one impostor of four is accepted and nobody rejected, at 1.5 the reverse
    assert eer(roc([1.2, 2, 3, 4, 0, 0, 0, 1.5], [1] * 4 + [0] * 4)) == 0.25
    assert eer(roc([0, 0], [1, 0])) == 0.5
    scores, same = with_ties(seed=1)
    rates = [brute_rates(scores, same, t) for t in (*sorted(set(scores), reverse=True), -np.inf)]
    gaps = [abs(far - (1 - tar)) for far, tar in rates]
    far, tar = rates[gaps.index(min(gaps))]
    assert eer(roc(scores, same)) == pytest.approx((far + 1 - tar) / 2, abs=1e-15)


def test_exact_tar_is_the_largest_whose_far_is_within_the_target() -> None:
    scores, same = with_ties(seed=2)
    for target in (0.05, 0.1, 0.29, 0.5):
        found = tar_at_far(roc(scores, same), target)
        rates = [brute_rates(scores, same, t) for t in (*scores, -np.inf)]
        assert found.tar == max(tar for far, tar in rates if far <= target)
        assert found.far <= target
        assert brute_rates(scores, same, found.threshold) == (found.far, found.tar)


def test_nearest_tar_takes_the_larger_of_equally_near_ones() -> None:
    curve = roc([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0])  # FAR 0, 0.5 and 1
    assert tar_at_far(curve, 0.25, "nearest").far == 0.5  # 0 is as near, TAR is larger here
    assert tar_at_far(curve, 0.24, "nearest").far == 0.0
    assert tar_at_far(curve, 0.24, "nearest").tar == 0.5
    assert tar_at_far(curve, 0.6, "nearest").tar == 1.0  # above FAR 0.5 …
    assert tar_at_far(curve, 0.6, "exact").tar == 1.0


def test_a_target_of_ten_impostors_is_supported_and_nine_are_not() -> None:
    assert supports(0.01, 1000)
    assert not supports(0.01, 999)
    assert [accepted_at(far, 100) for far in (0.29, 0.57, 0.1)] == [29, 57, 10]  # 0.29·100 < 29
    found = tar_at_far(roc(np.arange(20), np.arange(20) % 2), 0.1)
    assert not found.supported
    assert found.interval == exact_interval(found.accepted_genuine, 10)
    for wrong in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValidationError, match="rate in"):
            accepted_at(wrong, 100)


@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([0.1, np.nan], [1, 0], r"scores\[1\]: expected finite"),
        ([0.1, 0.2], [1, 1], "got 2 genuine and 0 impostor"),
        ([0.1, 0.2], [False, False], "got 0 genuine and 2 impostor"),
        ([0.1, 0.2], [1, 2], r"same\[1\]: expected 0 or 1"),
        ([0.1, 0.2], [1, 0, 1], "expected equal lengths"),
        ([], [], "at least one row"),
    ],
)
def test_bad_scores_are_refused(scores: list, same: list, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        roc(scores, same)


def test_distances_of_unit_embeddings_equal_two_minus_two_cosines() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 8))
    unit = unit_embeddings(rows)
    first, second = np.triu_indices(40, 1)
    found = squared_distances(unit, first, second)
    for a, b, distance in zip(first, second, found, strict=True):
        cosine = rows[a] @ rows[b] / np.sqrt((rows[a] @ rows[a]) * (rows[b] @ rows[b]))
        assert distance == pytest.approx(2 - 2 * cosine, abs=1e-12)
    assert squared_distances(unit, first, first).tolist() == [0.0] * len(first)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], "the embedding of bob is zero"),
        ([[1.0, 0.0], [np.nan, 1.0]], "the embedding of bob is not finite"),
        ([[np.inf, 0.0], [1.0, 1.0]], "the embedding of ann is not finite"),
        ([[1.0, 0.0], [1.0, 0.0, 0.0]], "rows of different lengths"),
        ([1.0, 2.0], "expected shape"),
    ],
)
def test_bad_embeddings_are_refused_by_name(rows: list, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        unit_embeddings(rows, ["ann", "bob"])
