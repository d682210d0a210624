"""Ranked-list metrics: by hand, against loops over whole rankings, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.retrieval import (
    RankedHits,
    average_precision,
    hit_rate_at,
    ndcg_at,
    recall_at,
    reciprocal_rank_at,
)

METRICS = {
    "recall": recall_at,
    "hit": hit_rate_at,
    "ndcg": ndcg_at,
    "mrr": reciprocal_rank_at,
}


def by_loops(relevant: list[bool], n_relevant: int, k: int) -> dict[str, float]:
    """All metrics of one ranking, item by item."""
    found, precisions, gain, first = 0, 0.0, 0.0, 0.0
    for place, right in enumerate(relevant, 1):
        if not right:
            continue
        found += 1
        precisions += found / place
        if place <= k:
            gain += 1 / np.log2(place + 1)
            first = first or 1 / place
    inside = sum(relevant[:k])
    ideal = sum(1 / np.log2(place + 1) for place in range(1, min(k, n_relevant) + 1))
    return {
        "recall": inside / n_relevant, "hit": float(inside > 0), "ndcg": gain / ideal,
        "mrr": first, "ap": precisions / n_relevant,
    }  # fmt: skip


def hits_of(rankings: list[list[bool]], n_relevant: list[int]) -> RankedHits:
    query, place = np.nonzero(np.array(rankings))
    return RankedHits.of(query, place + 1, n_relevant)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_metrics_equal_loops_over_rankings(k: int) -> None:
    random = np.random.default_rng(k)
    rankings = (random.random((50, 30)) < 0.2).tolist()
    n_relevant = [sum(ranking) + int(random.integers(0, 3)) or 1 for ranking in rankings]
    hits = hits_of(rankings, n_relevant)
    expected = [by_loops(r, n, k) for r, n in zip(rankings, n_relevant, strict=True)]
    for name, metric in METRICS.items():
        np.testing.assert_allclose(metric(hits, k), [row[name] for row in expected], rtol=1e-12)
    np.testing.assert_allclose(average_precision(hits), [row["ap"] for row in expected], rtol=1e-12)


def test_metrics_by_hand() -> None:
    """Relevant at places 1 and 3 of two: AP = (1 + 2/3) / 2; ideal gain 1 + 1 / log2 3."""
    hits = RankedHits.of([0, 0], [3, 1], [2])
    assert average_precision(hits).tolist() == [pytest.approx(5 / 6)]
    assert ndcg_at(hits, 10).tolist() == [pytest.approx(1.5 / (1 + 1 / np.log2(3)))]
    assert recall_at(hits, 2).tolist() == [0.5]
    assert reciprocal_rank_at(hits, 10).tolist() == [1.0]


def test_queries_without_any_hit_score_zero() -> None:
    hits = RankedHits.of([1], [2], [1, 1, 4])
    assert hit_rate_at(hits, 5).tolist() == [0, 1, 0]
    assert average_precision(hits).tolist() == [0, 0.5, 0]
    nothing = RankedHits.of([], [], [3])
    assert [metric(nothing, 1).tolist() for metric in METRICS.values()] == [[0.0]] * 4


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=6))
def test_recall_and_hit_rate_never_fall_with_k(rankings: list[list[bool]]) -> None:
    hits = hits_of(rankings, [max(1, sum(ranking)) for ranking in rankings])
    for metric in (recall_at, hit_rate_at, reciprocal_rank_at):
        curve = np.stack([metric(hits, k) for k in range(1, 15)])
        assert (np.diff(curve, axis=0) >= 0).all()
        assert ((curve >= 0) & (curve <= 1)).all()
    complete = np.array([any(ranking) for ranking in rankings])
    assert (recall_at(hits, 12) == complete).all()


@pytest.mark.parametrize(
    ("query", "rank", "relevant", "said"),
    [
        ([0], [1], [0], r"n_relevant\[0\]: expected at least 1"),
        ([0, 0], [2, 2], [3], "1 taken twice"),
        ([0], [0], [1], "lowest rank 0"),
        ([0, 0], [1, 2], [1], r"n_relevant\[0\]: expected at least the 2 hits"),
        ([3], [1], [1, 1], "highest query 3"),
        ([0], [1, 2], [1], "equal lengths"),
        ([], [], [], "at least one row"),
    ],
)
def test_bad_hits_are_refused(query: list, rank: list, relevant: list, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RankedHits.of(query, rank, relevant)


def test_k_below_one_is_refused() -> None:
    hits = RankedHits.of([0], [1], [1])
    for metric in METRICS.values():
        with pytest.raises(ValidationError, match="k: expected at least 1, got 0"):
            metric(hits, 0)
