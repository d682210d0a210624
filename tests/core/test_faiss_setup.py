"""Where FAISS computes: on the processor here; on a GPU where the installed faiss has one."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from masquerade.core import faiss_setup


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """What was found out about GPUs is asked anew in each test."""
    faiss_setup.gpu_resources.cache_clear()
    yield
    faiss_setup.gpu_resources.cache_clear()


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal((3000, 8), np.float32), random.standard_normal(
        (30, 8), np.float32
    )


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_neighbours_are_those_of_all_rows(rows: tuple, metric: str) -> None:
    base, queries = rows
    full = queries @ base.T
    if metric == "l2":
        full = -((queries[:, None] - base[None]) ** 2).sum(axis=2)
    scores, found = faiss_setup.knn(base, queries, 5, metric)
    np.testing.assert_array_equal(found, np.argsort(-full, axis=1)[:, :5])
    np.testing.assert_allclose(scores, np.sort(full, axis=1)[:, ::-1][:, :5], rtol=1e-4, atol=1e-5)


def test_a_gpu_is_used_where_faiss_has_one(rows: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the GPU build: its functions, computed on the processor."""
    base, queries = rows
    real, asked = faiss_setup.load_faiss(), []

    def knn_gpu(resources: Any, xq: np.ndarray, xb: np.ndarray, k: int, *, metric: int) -> Any:
        asked.append((resources, k))
        return real.knn(xq, xb, k, metric=metric)

    def to_all_gpus(index: Any, co: Any) -> Any:
        asked.append(("index", co.shard))
        return index

    gpu = SimpleNamespace(
        METRIC_L2=real.METRIC_L2, METRIC_INNER_PRODUCT=real.METRIC_INNER_PRODUCT, knn=real.knn,
        StandardGpuResources=lambda: "resources", get_num_gpus=lambda: 1, knn_gpu=knn_gpu,
        GpuMultipleClonerOptions=SimpleNamespace, index_cpu_to_all_gpus=to_all_gpus,
    )  # fmt: skip
    expected = faiss_setup.knn(base, queries, 5, "cosine")
    faiss_setup.gpu_resources.cache_clear()
    monkeypatch.setattr(faiss_setup, "load_faiss", lambda: gpu)
    found = faiss_setup.knn(base, queries, 5, "cosine")
    np.testing.assert_array_equal(found[1], expected[1])
    faiss_setup.knn(base, queries, 2100, "cosine")  # more than a GPU finds: on the processor
    assert faiss_setup.on_gpu("an index") == "an index"
    assert asked == [("resources", 5), ("index", True)]


def test_without_gpu_everything_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    real = faiss_setup.load_faiss()
    none = SimpleNamespace(StandardGpuResources=lambda: "resources", get_num_gpus=lambda: 0)
    monkeypatch.setattr(faiss_setup, "load_faiss", lambda: none)
    assert faiss_setup.gpu_resources() is None
    assert faiss_setup.on_gpu("an index") == "an index"
    assert real is not none
