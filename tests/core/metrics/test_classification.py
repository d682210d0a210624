"""Class scores against loops, by hand, with ties and with bad rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.classification import (
    accuracy,
    correct,
    mean_class_accuracy,
    top_k_accuracy,
)

labelled = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


@given(labelled)
def test_accuracy_equals_counting_in_a_loop(rows: tuple[list[int], list[int]]) -> None:
    labels, predicted = rows
    right = 0
    for label, guess in zip(labels, predicted, strict=True):
        right += label == guess
    assert accuracy(labels, predicted) == right / len(labels)


@given(labelled)
def test_mean_class_accuracy_equals_a_loop_over_classes(rows: tuple[list[int], list[int]]) -> None:
    labels, predicted = rows
    shares = []
    for label in set(labels):
        own = [guess == label for truth, guess in zip(labels, predicted, strict=True)
               if truth == label]  # fmt: skip
        shares.append(sum(own) / len(own))
    assert mean_class_accuracy(labels, predicted) == pytest.approx(sum(shares) / len(shares))


def test_mean_class_accuracy_is_not_accuracy_on_a_lopsided_set() -> None:
    labels, predicted = [0] * 9 + [1], [0] * 10
    assert accuracy(labels, predicted) == 0.9
    assert mean_class_accuracy(labels, predicted) == 0.5  # by hand: (1 + 0) / 2


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_top_k_equals_sorting_with_ties_against_the_label(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (7, 4)).astype(float)  # few values: many ties
    labels = random.integers(0, 4, 7)
    right = 0
    for row, label in zip(scores, labels, strict=True):
        before = sum(row[c] > row[label] or (row[c] == row[label] and c != label) for c in range(4))
        right += before < k
    assert top_k_accuracy(labels, scores, k) == right / 7


def test_top_k_of_constant_scores_earns_nothing() -> None:
    assert top_k_accuracy([0, 1, 2], np.zeros((3, 3)), 1) == 0.0
    assert top_k_accuracy([0, 1, 2], np.zeros((3, 3)), 2) == 0.0
    assert top_k_accuracy([0, 1, 2], np.zeros((3, 3)), 3) == 1.0


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([], [], "at least one row"),
        ([0, 1], [0], "equal lengths, got 2 and 1"),
        ([0, -1], [0, 0], r"labels\[1\]: expected a class >= 0, got -1"),
        ([0, 1], [0.0, 1.0], "predicted: expected whole numbers"),
        ([[0, 1]], [[0, 1]], r"1 dimension\(s\), got shape \(1, 2\)"),
    ],
)
def test_bad_rows_are_refused_by_name(labels: list, predicted: list, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        correct(labels, predicted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_scores_are_refused_and_do_not_rank_first(bad: float) -> None:
    scores = np.zeros((3, 2))
    scores[2, 1] = bad
    with pytest.raises(ValidationError, match=r"scores\[2\]: expected finite"):
        top_k_accuracy([0, 0, 1], scores, 1)


def test_labels_all_missing_is_a_message_not_a_zero_division() -> None:
    with pytest.raises(ValidationError, match="at least one row"):
        accuracy(np.array([], dtype=int), np.array([], dtype=int))


def test_top_k_refuses_k_and_labels_out_of_range() -> None:
    with pytest.raises(ValidationError, match=r"k: expected 1 … 2"):
        top_k_accuracy([0], [[0.0, 1.0]], 3)
    with pytest.raises(ValidationError, match=r"labels\[1\]: expected a class below 2, got 2"):
        top_k_accuracy([0, 2], np.zeros((2, 2)), 1)
