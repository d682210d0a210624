"""Streamed error rates equal those of all scores at once, bit for bit, ties included."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.streamed_roc import Block, streamed_rates
from masquerade.core.metrics.verification import eer, roc, tar_at_far

FARS = [10.0**-digit for digit in range(1, 7)] + [0.3, 0.5, 0.9]


def blocks(scores: np.ndarray, same: np.ndarray, size: int) -> Callable[[], Iterable[Block]]:
    return lambda: (
        (scores[start : start + size], same[start : start + size])
        for start in range(0, len(scores), size)
    )


def check(scores: np.ndarray, same: np.ndarray) -> None:
    found = streamed_rates(blocks(scores, same, 97), FARS)
    curve = roc(scores.astype(np.float64), same)
    assert found.eer == pytest.approx(eer(curve), abs=1e-15)
    assert list(found.points) == [tar_at_far(curve, far, "nearest") for far in FARS]
    accepted = scores > np.float32(found.equal.threshold)
    assert accepted[same].sum() == found.equal.accepted_genuine
    assert accepted[~same].sum() == found.equal.accepted_impostor


@pytest.mark.parametrize("digits", [None, 2, 1])
@pytest.mark.parametrize("scale", [1.0, 1e-5])
@pytest.mark.parametrize("n", [5, 300, 5000])
def test_rates_equal_those_of_the_whole_roc(digits: int | None, scale: float, n: int) -> None:
    random = np.random.default_rng(n)
    for shift in (0.0, 0.05, 0.5):
        same = random.random(n) < 0.3
        same[:2] = True, False
        scores = random.normal(0, 0.1, n) + shift * same
        scores = scores if digits is None else scores.round(digits)
        check((scale * scores).astype(np.float32), same)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([-1.0, -0.5, -0.0, 0.0, 1e-30, 0.3, 1.0]), st.booleans()),
             min_size=2, max_size=40).filter(lambda pairs: len({same for _, same in pairs}) == 2)
)  # fmt: skip
def test_rates_equal_those_of_the_whole_roc_for_few_different_scores(pairs: list) -> None:
    scores, same = zip(*pairs, strict=True)
    check(np.array(scores, np.float32), np.array(same))


@pytest.mark.parametrize(
    ("scores", "same", "said"),
    [
        ([0.1, np.nan], [True, False], r"scores\[1\]: expected a finite number, got nan"),
        ([0.1, 0.2], [True, True], "2 genuine and 0 impostor"),
        ([], [], "0 genuine and 0 impostor"),
    ],
)
def test_bad_streams_are_refused(scores: list, same: list, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        streamed_rates(blocks(np.array(scores, np.float32), np.array(same, bool), 1), FARS)
