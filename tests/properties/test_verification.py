"""What no list of pairs and no set of embeddings may change, for generated ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.metrics.pair_folds import (
    contiguous_folds,
    decide,
    exact_threshold,
    far_threshold,
    grid_threshold,
)
from masquerade.core.metrics.pair_intervals import (
    PairGroups,
    accuracy_interval,
    eer_interval,
    tar_interval,
)
from masquerade.core.metrics.verification import (
    eer,
    roc,
    squared_distances,
    tar_at_far,
    unit_embeddings,
)

seeds = st.integers(0, 2**32 - 1)
fars = st.floats(0.01, 0.99)


@st.composite
def scored_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, of both kinds."""
    n = draw(st.integers(2, 60))
    scores = draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n))
    same = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda s: 0 < sum(s) < n))
    return np.array(scores) / 3, np.array(same)


def embeddings(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(80, 5) rows, 120 pairs of them with all kinds in every fold."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(80, 5)) + np.repeat(random.normal(size=(20, 5)), 4, axis=0)
    first, second = random.integers(0, 80, (2, 120))
    second[::2] = first[::2] // 4 * 4 + (first[::2] + 1) % 4  # of the same person
    return rows, first, second, first // 4 == second // 4


def outcome(distances: np.ndarray, same: np.ndarray) -> tuple[float, ...]:
    folds = contiguous_folds(len(same))
    accuracies = [
        decide(distances, same, folds, r).accuracy for r in (grid_threshold, exact_threshold)
    ]
    return (*accuracies, decide(distances, same, folds, far_threshold(0.1)).tar)


@given(scored_pairs())
def test_roc_never_falls_and_runs_from_nothing_to_all(pairs: tuple) -> None:
    curve = roc(*pairs)
    assert (np.diff(curve.thresholds) < 0).all()
    assert (np.diff(curve.far) >= 0).all()
    assert (np.diff(curve.tar) >= 0).all()
    assert (np.diff(curve.far) + np.diff(curve.tar) > 0).all()  # no two points are one
    assert (curve.far[0], curve.tar[0], curve.far[-1], curve.tar[-1]) == (0, 0, 1, 1)
    assert 0 <= eer(curve) <= 1


@given(scored_pairs(), fars, fars)
def test_tar_never_falls_with_the_far_allowed(pairs: tuple, one: float, other: float) -> None:
    curve = roc(*pairs)
    low, high = sorted((one, other))
    for rule in ("exact", "nearest"):
        assert tar_at_far(curve, low, rule).tar <= tar_at_far(curve, high, rule).tar
    assert tar_at_far(curve, low).far <= low


@given(scored_pairs(), seeds)
def test_scores_do_not_depend_on_the_order_of_the_pairs(pairs: tuple, seed: int) -> None:
    scores, same = pairs
    order = np.random.default_rng(seed).permutation(len(scores))
    one, other = roc(scores, same), roc(scores[order], same[order])
    np.testing.assert_array_equal(one.far, other.far)
    np.testing.assert_array_equal(one.tar, other.tar)


@settings(max_examples=25)
@given(seeds)
def test_exchanging_the_pictures_of_pairs_changes_nothing(seed: int) -> None:
    rows, first, second, same = embeddings(seed)
    unit = unit_embeddings(rows)
    swap = np.random.default_rng(seed).random(len(same)) < 0.5
    exchanged = np.where(swap, second, first), np.where(swap, first, second)
    plain = squared_distances(unit, first, second)
    np.testing.assert_array_equal(plain, squared_distances(unit, *exchanged))


@settings(max_examples=25)
@given(seeds, st.floats(1e-6, 1e6))
def test_rotating_and_scaling_embeddings_changes_nothing(seed: int, scale: float) -> None:
    rows, first, second, same = embeddings(seed)
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(5, 5)))[0]
    lengths = scale * random.uniform(0.1, 10, (80, 1))
    plain = squared_distances(unit_embeddings(rows), first, second)
    turned = squared_distances(unit_embeddings(rows @ rotation * lengths), first, second)
    np.testing.assert_allclose(turned, plain, atol=1e-12)
    # distances that rounding moves over a threshold of the grid would be another matter
    assert outcome(np.round(turned, 9), same) == outcome(np.round(plain, 9), same)


@settings(max_examples=25)
@given(seeds)
def test_intervals_hold_the_value_and_do_not_know_the_sides_or_the_names(seed: int) -> None:
    rows, first, second, same = embeddings(seed)
    distances = squared_distances(unit_embeddings(rows), first, second)
    found = decide(distances, same, contiguous_folds(120), grid_threshold)
    people, swap = (
        np.stack([first // 4, second // 4]),
        np.random.default_rng(seed).random(120) < 0.5,
    )
    drawn = []
    for sides in (people, np.where(swap, people[::-1], people), 3 * people + 5):
        groups = PairGroups.of(*sides)
        drawn.append((
            accuracy_interval(found.correct, same, found.fold, groups),
            eer_interval(-distances, same, groups),
            tar_interval(found.accepted, same, groups, rate=1.0),
        ))  # fmt: skip
    ends = np.array([[interval for interval, _ in one] for one in drawn])
    np.testing.assert_allclose(ends[1:], ends[[0, 0]], atol=1e-9)  # sums may round otherwise
    values = found.accuracy, eer(roc(-distances, same)), found.tar
    for (interval, _), value in zip(drawn[0], values, strict=True):
        assert 0 <= interval[0] <= value <= interval[1] <= 1


@settings(max_examples=25)
@given(seeds)
def test_exact_training_accuracy_is_never_below_the_grids(seed: int) -> None:
    rows, first, second, same = embeddings(seed)
    distances = squared_distances(unit_embeddings(rows), first, second)
    sides = np.sort(distances[same]), np.sort(distances[~same])
    grid, exact = (
        ((distances < rule(*sides)) == same).mean() for rule in (grid_threshold, exact_threshold)
    )
    assert exact >= grid
