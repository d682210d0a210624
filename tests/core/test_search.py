"""The search equals float64 brute force: sizes, metrics, ties, block sizes; and what it refuses."""

import tracemalloc

import numpy as np
import pytest

from masquerade.core.errors import DataError, ValidationError
from masquerade.core.search import Neighbours, search
from masquerade.core.vectors import ArrayVectors


def similarities(gallery: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """All of them in float64."""
    g, q = gallery.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        return -((q[:, None] - g[None]) ** 2).sum(axis=2)
    if metric == "cosine":
        g = g / np.linalg.norm(g, axis=1, keepdims=True)
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
    return q @ g.T


def check(found: Neighbours, full: np.ndarray, k: int) -> None:
    """The k largest, equal ones (to float64's rounding) by rising row."""
    order = np.argsort(-full, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(full, order, axis=1)
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-9 * np.abs(full).max())
    np.testing.assert_allclose(
        np.take_along_axis(full, found.rows, axis=1), found.scores, atol=1e-9 * np.abs(full).max()
    )
    gaps = np.abs(np.diff(np.sort(full, axis=1)[:, ::-1][:, : k + 1], axis=1)).min(axis=1)
    clear = gaps > 1e-9 * np.abs(full).max()  # ties aside
    assert (found.rows[clear] == order[clear]).all()


def test_exact_search_equals_brute_force_on_20_000_rows_of_width_512() -> None:
    random = np.random.default_rng(0)
    gallery = random.standard_normal((20_000, 512), dtype=np.float32)
    queries = random.standard_normal((100, 512), dtype=np.float32)
    found = search(ArrayVectors(gallery), queries, 20)
    full = similarities(gallery, queries, "cosine")
    check(found, full, 20)
    assert (found.rows == np.argsort(-full, axis=1)[:, :20]).all()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("kind", ["spread", "crowded", "repeated"])
@pytest.mark.parametrize("memory", [1 << 30, 1 << 16])
def test_search_equals_brute_force_where_float32_cannot_decide(
    metric: str, kind: str, memory: int
) -> None:
    """Crowded: all rows within 1e-5 of one another; repeated: each of ten rows thirty times."""
    random = np.random.default_rng(1)
    gallery, queries = random.normal(size=(300, 16)), random.normal(size=(25, 16))
    if kind == "crowded":
        gallery, queries = 1 + 1e-5 * gallery, 1 + 1e-5 * queries
    if kind == "repeated":
        gallery = np.repeat(gallery[:10], 30, axis=0)
    found = search(ArrayVectors(gallery), queries, 7, metric, memory_bytes=memory)  # type: ignore[arg-type]
    check(found, similarities(gallery, queries, metric), 7)
    if kind == "repeated":  # the first seven of the nearest row's thirty copies
        assert (found.rows == found.rows[:, :1] + np.arange(7)).all()
        assert (found.rows[:, 0] % 30 == 0).all()


def test_own_row_is_left_out_even_where_it_has_copies() -> None:
    gallery = np.repeat(np.eye(3), 2, axis=0)
    found = search(ArrayVectors(gallery), gallery, 5, own=np.arange(6))
    assert found.rows[:, 0].tolist() == [1, 0, 3, 2, 5, 4]
    assert all(row not in rows for row, rows in enumerate(found.rows.tolist()))
    assert found.rows.shape == (6, 5)
    alone = search(ArrayVectors(np.eye(1)), np.eye(1), 3, own=np.array([0]))
    assert alone.rows.shape == (1, 0)


def test_k_beyond_the_gallery_takes_all_of_it() -> None:
    found = search(ArrayVectors(np.eye(3)), np.eye(3)[[1]], 9)
    assert found.rows.tolist() == [[1, 0, 2]]


def test_result_does_not_depend_on_the_memory() -> None:
    random = np.random.default_rng(2)
    gallery, queries = random.normal(size=(5000, 32)), random.normal(size=(64, 32))
    many = search(ArrayVectors(gallery), queries, 30)
    few = search(ArrayVectors(gallery), queries, 30, memory_bytes=1 << 17)
    assert (many.rows == few.rows).all()
    np.testing.assert_array_equal(many.scores, few.scores)


def test_search_stays_within_its_memory() -> None:
    """48 MB of rows on disk's stead; the peak beside them is what was allowed."""
    gallery = np.random.default_rng(3).standard_normal((100_000, 120), dtype=np.float32)
    queries = gallery[:200].copy()
    search(ArrayVectors(gallery[:100]), queries[:1], 1)  # imports
    tracemalloc.start()
    search(ArrayVectors(gallery), queries, 10, memory_bytes=8 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2 << 20 < peak < 12 << 20


@pytest.mark.parametrize(
    ("gallery", "queries", "error", "said"),
    [
        (np.empty((0, 4)), np.ones((1, 4)), DataError, "the gallery is empty"),
        (np.ones((3, 4)), np.empty((0, 4)), DataError, "queries: expected at least one row"),
        (np.ones((3, 4)), np.ones((1, 5)), DataError, "width 4, got shape"),
        (np.ones((3, 4)), np.ones(4), DataError, "queries: expected"),
        (np.diag([1.0, 0, 1]), np.ones((1, 3)), ValidationError, "gallery row 1: .* length 0"),
        (np.diag([1.0, 1, np.nan]), np.ones((1, 3)), ValidationError, "gallery row 2: .* nan"),
        (np.diag([1.0, 1, np.inf]), np.ones((1, 3)), ValidationError, "gallery row 2: .* inf"),
        (np.eye(3), np.array([[1.0, 0, 0], [0, 0, 0]]), ValidationError, "query row 1: .* zero"),
    ],
)
def test_bad_input_is_one_sentence(
    gallery: np.ndarray, queries: np.ndarray, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        search(ArrayVectors(gallery), queries, 1)


def test_bad_rows_of_a_later_block_have_their_own_number() -> None:
    gallery = np.ones((3000, 64))
    gallery[2345] = 0
    with pytest.raises(ValidationError, match="gallery row 2345"):
        search(ArrayVectors(gallery), np.ones((1, 64)), 1, memory_bytes=1 << 18)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_rows_too_large_for_float32_are_still_ranked_right(metric: str) -> None:
    random = np.random.default_rng(4)
    gallery, queries = random.normal(size=(90, 4)), random.normal(size=(30, 4))
    expected = search(ArrayVectors(gallery), queries, 5, metric)  # type: ignore[arg-type]
    found = search(ArrayVectors(1e30 * gallery), 1e30 * queries, 5, metric)  # type: ignore[arg-type]
    assert (found.rows == expected.rows).all()


def test_zero_rows_are_fine_for_distances() -> None:
    found = search(ArrayVectors(np.array([[1.0, 0], [0, 0]])), np.zeros((1, 2)), 2, "l2")
    assert found.rows.tolist() == [[1, 0]]
    assert found.scores.tolist() == [[0.0, -1.0]]
