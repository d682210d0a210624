"""Closed-set and open-set identification: by hand, against loops, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.identification import identified, open_set


def by_loops(rank: list, score: list, stranger: list, fpir: float) -> tuple[float, float]:
    """The best TPIR of all thresholds whose FPIR is at most the target, and its FPIR."""
    best, false = 0.0, 0.0
    for threshold in [*score, *stranger, -np.inf]:
        passed = sum(s > threshold for s in stranger) / len(stranger)
        if passed > fpir + 1e-12:
            continue
        right = sum(r == 1 and s > threshold for r, s in zip(rank, score, strict=True))
        if right / len(rank) > best:
            best, false = right / len(rank), passed
    return best, false


@pytest.mark.parametrize("fpir", [0.01, 0.1, 0.29, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_open_set_equals_the_best_of_all_thresholds(fpir: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = random.integers(0, 4, 80).tolist()
    score = random.normal(0.5, 0.2, 80).round(2).tolist()  # rounded: ties among both kinds
    stranger = random.normal(0.3, 0.2, 100).round(2).tolist()
    found = open_set(rank, score, stranger, fpir)
    tpir, _ = by_loops(rank, score, stranger, fpir)
    assert found.tpir == pytest.approx(tpir)
    assert found.fpir <= fpir


def test_ties_at_the_threshold_are_rejected_together() -> None:
    """Three strangers share the score that would let one too many through."""
    found = open_set([1, 1], [0.7, 0.8], [0.7, 0.7, 0.7, 0.1], 0.5)
    assert (found.threshold, found.fpir, found.tpir) == (0.7, 0.0, 0.5)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 1)), min_size=1, max_size=30),
    st.lists(st.floats(-1, 1), min_size=1, max_size=30),
)
def test_tpir_never_falls_with_fpir(mated: list, strangers: list) -> None:
    rank, score = zip(*mated, strict=True)
    rates = [open_set(rank, score, strangers, f) for f in (0.01, 0.1, 0.3, 0.6, 0.99)]
    assert (np.diff([rate.tpir for rate in rates]) >= 0).all()
    assert (np.diff([rate.fpir for rate in rates]) >= 0).all()
    closed = identified(rank, 1).mean()
    assert all(rate.tpir <= closed for rate in rates)


def test_identified_by_hand_and_rising() -> None:
    ranks = [1, 2, 0, 10, 11]
    assert [identified(ranks, k).mean() for k in (1, 5, 10, 20)] == [0.2, 0.4, 0.6, 0.8]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], [], [0.1], 0.5), "rank: expected at least one row"),
        (([1], [0.5], [], 0.5), "stranger: expected at least one row"),
        (([1], [np.nan], [0.1], 0.5), r"score\[0\]: expected finite"),
        (([1], [0.5], [0.1], 1.0), "expected a rate in"),
        (([1, 1], [0.5], [0.1], 0.5), "equal lengths, got 2 and 1"),
        (([-1], [0.5], [0.1], 0.5), r"rank\[0\]: expected a class >= 0"),
    ],
)
def test_bad_rows_are_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        open_set(*arguments)


def test_rank_below_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="k: expected at least 1"):
        identified([1], 0)
