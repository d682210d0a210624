"""Approximate indexes: what they find is exact, how much they miss is measured, sizes are kept."""

import numpy as np
import pytest

from masquerade.core.errors import UsageError
from masquerade.core.search import search
from masquerade.core.search_indexes import IndexSettings, agreement, build, sample_of
from masquerade.core.vectors import ArrayVectors

N, WIDTH, M, K = 10_000, 16, 60, 10


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gallery, queries, and all their cosines in float64."""
    random = np.random.default_rng(0)
    gallery = random.standard_normal((N, WIDTH), dtype=np.float32)
    queries = random.standard_normal((M, WIDTH), dtype=np.float32)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (gallery, queries)]
    return gallery, queries, unit[1].astype(np.float64) @ unit[0].astype(np.float64).T


SETTINGS = {
    "ivf": IndexSettings(kind="ivf", probes=8),
    "ivf, one list": IndexSettings(kind="ivf", lists=100, probes=1),
    "hnsw": IndexSettings(kind="hnsw", links=8, breadth=16),
    "ivfpq": IndexSettings(kind="ivfpq", lists=16, probes=8, code_bytes=4),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_recall_agrees_with_a_full_count(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], name: str
) -> None:
    gallery, queries, full = rows
    vectors = ArrayVectors(gallery)
    settings = SETTINGS[name].resolved(N, M, WIDTH, 1 << 30)
    found = search(vectors, queries, K, index=build(vectors, "cosine", settings))
    true = np.argsort(-full, axis=1)[:, :K]
    counted = [len(set(a) & set(b)) for a, b in zip(found.rows, true, strict=True)]
    assert agreement(vectors, queries, found).tolist() == counted
    recall = np.mean(counted) / K
    assert 0.1 < recall < 0.999  # it can miss, so the figure can be wrong
    # what is found has its true similarity, in falling order
    inside = found.rows >= 0
    np.testing.assert_allclose(
        found.scores[inside], np.take_along_axis(full, np.maximum(found.rows, 0), 1)[inside],
        atol=1e-6,
    )  # fmt: skip
    assert (np.diff(np.where(inside, found.scores, -2.0), axis=1) <= 0).all()


def test_more_probes_find_more() -> None:
    random = np.random.default_rng(1)
    vectors = ArrayVectors(random.standard_normal((4000, 16), dtype=np.float32))
    queries = random.standard_normal((50, 16), dtype=np.float32)
    recalls = []
    for probes in (1, 8, 100):
        settings = IndexSettings(kind="ivf", lists=100, probes=probes).resolved(
            4000, 50, 16, 1 << 30
        )
        found = search(vectors, queries, K, index=build(vectors, "cosine", settings))
        recalls.append(agreement(vectors, queries, found).mean() / K)
    assert recalls[0] < recalls[1] < recalls[2] == 1.0


def test_a_list_with_fewer_rows_than_asked_gives_no_row() -> None:
    random = np.random.default_rng(2)
    vectors = ArrayVectors(random.standard_normal((400, 8), dtype=np.float32))
    settings = IndexSettings(kind="ivf", lists=10, probes=1).resolved(400, 2, 8, 1 << 30)
    found = search(vectors, vectors.values[:2], 390, index=build(vectors, "cosine", settings))
    assert found.rows.shape == (2, 390)
    missing = found.rows < 0
    assert missing.any(axis=1).all()
    assert np.isneginf(found.scores[missing]).all()
    assert np.isfinite(found.scores[~missing]).all()


def test_equal_rows_count_whichever_is_found() -> None:
    vectors = ArrayVectors(np.repeat(np.eye(4, dtype=np.float32), 100, axis=0))
    queries = np.eye(4, dtype=np.float32)
    found = search(vectors, queries, 5)
    found.rows[:] += 50  # other copies of the same rows
    assert agreement(vectors, queries, found).tolist() == [5] * 4


@pytest.mark.parametrize(
    ("n_rows", "n_queries", "memory", "kind"),
    [
        (100_000, 10_000, 1 << 30, "flat"),
        (1_000_000, 100_000, 8 << 30, "ivf"),
        (10_000_000, 10_000, 2 << 30, "ivfpq"),
    ],
)
def test_auto_asks_for_an_index_where_the_size_does(
    n_rows: int, n_queries: int, memory: int, kind: str
) -> None:
    settings = IndexSettings().resolved(n_rows, n_queries, 512, memory)
    assert settings.kind == kind
    assert settings.n_bytes(kind, n_rows, 512) <= memory // 2  # type: ignore[arg-type]
    assert settings.lists * 39 * 4 * 512 <= memory // 4  # its lists can be learned


@pytest.mark.parametrize(
    ("settings", "n_rows", "said"),
    [
        (IndexSettings(kind="ivf"), 10_000_000, "takes 19608 MiB, half of the memory is 512 MiB"),
        (IndexSettings(kind="hnsw"), 1_000_000, "allow more with memory_mib"),
        (IndexSettings(kind="ivfpq", code_bytes=60), 100_000, "bytes that divide the width"),
        (IndexSettings(kind="ivfpq"), 5000, "expected at least 9984 rows"),
    ],
)
def test_an_index_that_cannot_be_built_is_refused(
    settings: IndexSettings, n_rows: int, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        settings.resolved(n_rows, 10, 512, 1 << 30)


def test_samples_are_different_rows_and_stay_the_same() -> None:
    sample = sample_of(1000, 50, seed=0)
    assert len(set(sample.tolist())) == 50
    assert (np.diff(sample) > 0).all()
    assert (sample_of(1000, 50, 0) == sample).all()
    assert (sample_of(1000, 50, 1) != sample).any()
    assert sample_of(5, 50, 0).tolist() == [0, 1, 2, 3, 4]
    assert abs(sample_of(10_000, 1000, 3).mean() - 5000) < 500


@pytest.mark.gpu
def test_gpu_search_equals_the_processors() -> None:
    from masquerade.core import faiss_setup

    if faiss_setup.gpu_resources() is None:
        pytest.skip("the installed faiss has no GPU")
    random = np.random.default_rng(3)
    base = random.standard_normal((2000, 64), dtype=np.float32)
    scores, rows = faiss_setup.knn(base, base[:50], 10, "cosine")
    full = base[:50] @ base.T
    assert (np.sort(rows, axis=1) == np.sort(np.argsort(-full, axis=1)[:, :10], axis=1)).all()
    np.testing.assert_allclose(scores, np.sort(full, axis=1)[:, ::-1][:, :10], rtol=1e-4)
