"""The folded protocols against a restatement in loops, from the published text alone."""

import statistics

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.pair_folds import (
    contiguous_folds,
    decide,
    exact_threshold,
    far_threshold,
    grid_threshold,
    published_far_threshold,
)
from masquerade.core.metrics.verification import squared_distances, unit_embeddings

Data = tuple[list[list[float]], list[bool]]


def random_pairs(n: int, width: int, seed: int, *, noise: float = 1.0) -> Data:
    """Embeddings 2i and 2i + 1 of pair i, and whether it is genuine; kinds come mixed."""
    random = np.random.default_rng(seed)
    same = random.random(n) < 0.5
    first = random.normal(size=(n, width))
    other = random.normal(size=(n, width))
    second = np.where(same[:, None], first, other) + noise * random.normal(size=(n, width))
    rows = np.stack([first, second], axis=1).reshape(2 * n, width)
    return (rows * random.uniform(0.1, 9, size=(2 * n, 1))).tolist(), same.tolist()


def ours(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, same = data
    even = np.arange(0, len(rows), 2)
    distances = squared_distances(unit_embeddings(rows), even, even + 1)
    return distances, np.array(same), contiguous_folds(len(same))


def loop_distances(rows: list[list[float]]) -> list[float]:
    found = []
    for i in range(0, len(rows), 2):
        a, b = ([x / sum(v * v for v in row) ** 0.5 for x in row] for row in rows[i : i + 2])
        found.append(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    return found


def loop_ten_fold(distances: list[float], same: list[bool]) -> tuple[list[float], list[float]]:
    """Accuracy and threshold of each of ten contiguous folds; one pair at a time."""
    n, start, folds = len(same), 0, []
    for k in range(10):  # the first n mod 10 folds hold one pair more
        size = n // 10 + (1 if k < n % 10 else 0)
        folds.append(range(start, start + size))
        start += size
    accuracies, thresholds = [], []
    for held_out in folds:
        best, chosen = -1, 0.0
        for step in range(400):
            t, right = step * 0.01, 0
            for i in range(n):
                if i not in held_out and (distances[i] < t) == same[i]:
                    right += 1
            if right > best:
                best, chosen = right, t
        hits = [(distances[i] < chosen) == same[i] for i in held_out]
        accuracies.append(sum(hits) / len(hits))
        thresholds.append(chosen)
    return accuracies, thresholds


@pytest.mark.parametrize("seed", range(5))
def test_ten_fold_equals_the_loop_to_the_last_digit(seed: int) -> None:
    data = random_pairs(103 + 4 * seed, 6 + seed, seed)  # 103 … 119: folds of two sizes
    accuracies, thresholds = loop_ten_fold(loop_distances(data[0]), data[1])
    found = decide(*ours(data), grid_threshold)
    assert found.accuracies == tuple(accuracies)
    assert found.thresholds.tolist() == thresholds
    assert found.accuracy == statistics.fmean(accuracies)
    assert 0.5 < found.accuracy < 1


@pytest.mark.parametrize("seed", range(5))
def test_exact_threshold_is_never_below_the_grid_on_its_training_folds(seed: int) -> None:
    distances, same, folds = ours(random_pairs(150, 4, seed, noise=2.0))
    grid, exact = (
        decide(distances, same, folds, rule) for rule in (grid_threshold, exact_threshold)
    )
    for k in range(10):
        train = folds != k
        by_grid, by_exact = (
            int(((distances[train] < t) == same[train]).sum())
            for t in (grid.thresholds[k], exact.thresholds[k])
        )
        # … and it is the best of all cuts
        cuts = [*distances[train], np.inf]
        assert by_exact == max(int(((distances[train] < t) == same[train]).sum()) for t in cuts)
        assert by_exact >= by_grid


def test_exact_threshold_separates_neighbouring_floats() -> None:
    below = np.array([1.0])
    above = np.array([np.nextafter(1.0, 2.0)])
    assert below[0] < exact_threshold(below, above) <= above[0]
    assert exact_threshold(np.array([1.0]), np.array([0.5])) == 0.5  # accepting nothing: 1 of 2
    assert exact_threshold(np.array([1.0, 2.0]), np.array([0.5])) == np.inf


def test_thresholds_are_strict_and_the_first_of_equal_ones() -> None:
    # every threshold above 0.5 and up to 2 separates: the first on the grid is 0.51
    same = np.array([True, False] * 10)
    distances = np.where(same, 0.5, 2.0)
    found = decide(distances, same, contiguous_folds(20), grid_threshold)
    assert set(found.thresholds.tolist()) == {51 * 0.01}
    assert found.accuracy == 1


def test_random_embeddings_give_half_on_twenty_thousand_pairs() -> None:
    random = np.random.default_rng(0)
    unit = unit_embeddings(random.normal(size=(40_000, 32)))
    even = np.arange(0, 40_000, 2)
    same = np.tile(np.repeat([True, False], 1000), 10)
    distances = squared_distances(unit, even, even + 1)
    folds = contiguous_folds(20_000)
    for rule in (grid_threshold, exact_threshold):
        assert abs(decide(distances, same, folds, rule).accuracy - 0.5) < 0.015
    assert abs(decide(distances, same, folds, far_threshold(0.01)).tar - 0.01) < 0.005


def test_identical_pictures_give_all() -> None:
    unit = unit_embeddings(np.random.default_rng(0).normal(size=(200, 16)))
    first, second = (
        np.arange(200),
        np.where(np.arange(200) % 2, np.arange(200), np.roll(range(200), 7)),
    )
    same = first == second
    found = decide(
        squared_distances(unit, first, second), same, contiguous_folds(200), grid_threshold
    )
    assert found.accuracy == 1.0
    assert set(found.thresholds.tolist()) == {0.01}  # a distance of 0 is not below 0.00


def test_far_threshold_is_the_largest_within_the_target() -> None:
    random = np.random.default_rng(3)
    impostor = np.sort(np.round(random.uniform(0, 4, 200), 2))  # with ties
    for target in (0.01, 0.1, 0.29):
        t = far_threshold(target)(np.empty(0), impostor)
        assert (impostor < t).mean() <= target
        assert (impostor < np.nextafter(t, 9)).mean() > target


def published_by_loop(
    distances: np.ndarray, same: np.ndarray, folds: np.ndarray, target: float
) -> tuple[float, float]:
    tars, fars = [], []
    for k in sorted(set(folds.tolist())):
        train = [d for d, s, f in zip(distances, same, folds, strict=True) if not s and f != k]
        rates = [sum(d < i * 0.001 for d in train) / len(train) for i in range(4000)]
        threshold = 0.0
        if max(rates) >= target:
            i = next(i for i in range(4000) if rates[i] >= target)
            share = (target - rates[i - 1]) / (rates[i] - rates[i - 1])
            threshold = (i - 1) * 0.001 + share * (i * 0.001 - (i - 1) * 0.001)
        for kind, out in ((True, tars), (False, fars)):
            own = [
                d for d, s, f in zip(distances, same, folds, strict=True) if s == kind and f == k
            ]
            out.append(sum(d < threshold for d in own) / len(own))
    return statistics.fmean(tars), statistics.fmean(fars)


@pytest.mark.parametrize("target", [0.02, 0.1])
def test_published_tar_equals_the_loop(target: float) -> None:
    distances, same, folds = ours(random_pairs(120, 5, 9))
    found = decide(distances, same, folds, published_far_threshold(target))
    assert (found.mean_tar, found.mean_far) == published_by_loop(distances, same, folds, target)


def test_published_threshold_is_zero_where_the_far_is_never_reached() -> None:
    assert published_far_threshold(0.5)(np.empty(0), np.full(10, 4.0)) == 0.0


def test_published_mean_does_not_exist_without_both_kinds_in_every_fold() -> None:
    same = np.array([True] * 10 + [False] * 10)
    found = decide(np.linspace(0, 2, 20), same, contiguous_folds(20), published_far_threshold(0.1))
    with pytest.raises(ValidationError, match="fold 5 holds no genuine pair"):
        _ = found.mean_tar
    with pytest.raises(ValidationError, match="fold 0 holds no impostor pair"):
        _ = found.mean_far


@pytest.mark.parametrize(
    ("distances", "same", "folds", "message"),
    [
        ([0.1, 0.2, np.nan], [1, 0, 1], [0, 1, 2], r"distances\[2\]: expected finite"),
        ([0.1, 0.2, 0.3], [1, 0, 1], [0, 0, 0], "at least two folds, got 1"),
        ([0.1, 0.2, 0.3], [1, 0, 1], [0, 1, 0], "no genuine pair lies outside fold 0"),
        ([0.1, 0.2, 0.3], [1, 0, 1], [0, 1], "equal lengths"),
    ],
)
def test_bad_folds_are_refused(distances: list, same: list, folds: list, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        decide(distances, same, folds, grid_threshold)


def test_fewer_pairs_than_folds_are_refused() -> None:
    assert contiguous_folds(12).tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(ValidationError, match="at least 10 pairs"):
        contiguous_folds(9)
