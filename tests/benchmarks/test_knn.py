"""Nearest neighbours against a float64 brute force, with ties decided by hand."""

import numpy as np
import pytest

from masquerade.benchmarks import knn
from masquerade.benchmarks.features import Features


def brute_force(
    train: np.ndarray, test: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """All similarities in loops; equal ones by rising row."""
    scores, rows = [], []
    for query in test:
        near = [
            (query * base).sum() if metric == "cosine" else -((query - base) ** 2).sum()
            for base in train
        ]
        order = sorted(range(len(train)), key=lambda row: (-near[row], row))[:k]
        scores.append([near[row] for row in order])
        rows.append(order)
    return np.array(scores), np.array(rows)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_neighbours_equal_brute_force_on_random_rows(metric: str, k: int) -> None:
    random = np.random.default_rng(0)
    train, test = random.normal(size=(200, 12)), random.normal(size=(40, 12))
    scores, rows = knn.neighbours(train, test, k, metric)
    expected_scores, expected_rows = brute_force(train, test, k, metric)
    assert (rows == expected_rows).all()
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neighbours_equal_brute_force_where_most_rows_tie(metric: str) -> None:
    random = np.random.default_rng(1)
    train = random.integers(0, 2, (150, 3)).astype(float)  # 8 distinct rows, each about 19 times
    test = random.integers(0, 2, (30, 3)).astype(float)
    scores, rows = knn.neighbours(train, test, 5, metric)
    expected_scores, expected_rows = brute_force(train, test, 5, metric)
    assert (rows == expected_rows).all()
    np.testing.assert_array_equal(scores, expected_scores)


def test_duplicates_are_found_by_rising_row() -> None:
    train = np.repeat(np.eye(4), 50, axis=0)
    _, rows = knn.neighbours(train, np.eye(4)[[2]], 3, "cosine")
    assert rows.tolist() == [[100, 101, 102]]


def test_k_larger_than_train_takes_all() -> None:
    _, rows = knn.neighbours(np.eye(3), np.eye(3)[[1]], 9, "l2")
    assert rows.tolist() == [[1, 0, 2]]


MAJORITY, WEIGHTED = knn.Settings(), knn.Settings(vote="weighted", temperature=0.5)


@pytest.mark.parametrize(
    ("near", "classes", "settings", "winner"),
    [
        ([0.9, 0.5, 0.4, 0.3, 0.2], [0, 1, 1, 1, 0], MAJORITY, 1),  # three of five
        ([0.9, 0.8, 0.7, 0.1, 0.1], [2, 2, 0, 1, 1], MAJORITY, 2),  # 2:2, 1.7 against 0.2
        ([0.5, 0.4, 0.4, 0.5, 0.3], [2, 2, 1, 1, 0], MAJORITY, 1),  # 2:2, 0.9 each: lower class
        ([0.9, 0.5, 0.4, 0.3, 0.2], [0, 1, 1, 1, 0], WEIGHTED, 0),  # e^1.8 + e^.4 against 6.8
        ([1.0, 0.0, 0.0], [0, 1, 1], WEIGHTED, 0),  # e^2 = 7.4 against 2
        ([0.2, 0.0, 0.0], [0, 1, 1], WEIGHTED, 1),  # e^0.4 = 1.5 against 2
    ],
)
def test_votes_by_hand(near: list, classes: list, settings: knn.Settings, winner: int) -> None:
    assert knn.vote(np.array([near]), np.array([classes]), settings).tolist() == [winner]


def a_split(values: np.ndarray, labels: list[int]) -> Features:
    keys = tuple(map(str, range(len(values))))
    return Features(values.astype(np.float32), np.array(labels), keys, ("a", "b"))


def test_prepared_rows_by_hand() -> None:
    train = a_split(np.array([[3.0, 4.0], [0.0, 0.0]]), [0, 1])
    base, queries = knn.prepared(
        train, np.array([[0, 2]], np.float32), knn.Settings(metric="cosine", standardise=False)
    )
    np.testing.assert_allclose(base, [[0.6, 0.8], [0, 0]], atol=1e-7)  # a zero row stays zero
    assert queries.tolist() == [[0, 1]]
    base, _ = knn.prepared(
        train, np.array([[0, 2]], np.float32), knn.Settings(metric="l2", standardise=False)
    )
    np.testing.assert_allclose(base, train.values / np.sqrt(12.5), atol=1e-7)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_scale_and_shift_of_features_change_nothing(scale: float, metric: str) -> None:
    random = np.random.default_rng(0)
    values, queries = random.normal(size=(80, 6)), random.normal(size=(20, 6))
    labels = (np.arange(80) % 2).tolist()
    settings = knn.Settings(metric=metric)  # type: ignore[arg-type]

    def predicted(values: np.ndarray, queries: np.ndarray) -> list[int]:
        train = a_split(values, labels)
        rows = knn.prepared(train, queries.astype(np.float32), settings)
        scores, near = knn.neighbours(*rows, 5, metric)
        return knn.vote(scores, train.classes_of[near], settings).tolist()

    assert predicted(scale * (values + 1), scale * (queries + 1)) == predicted(values, queries)
