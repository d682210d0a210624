"""The one place that imports FAISS: after torch, with torch's number of threads.

Both bring an OpenMP runtime. Loaded in one order everywhere, and never left with more threads
than torch uses, they share a process; `masquerade doctor` tries both orders on the machine.
"""

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MasqueradeError

GPU_NEIGHBOURS = 2048  # the most that faiss finds on a GPU


def load_faiss() -> ModuleType:
    """The faiss module, imported after torch and set to torch's number of threads.

    Raises:
        MasqueradeError: it cannot be imported.
    """
    import torch

    try:
        import faiss
    except ImportError as error:
        raise MasqueradeError(
            f"the package 'faiss' cannot be imported ({error})",
            "pip install --force-reinstall faiss-cpu; `masquerade doctor` tells more",
        ) from error
    faiss.omp_set_num_threads(torch.get_num_threads())
    module: ModuleType = faiss
    return module


@cache
def gpu_resources() -> Any:  # noqa: ANN401 - faiss has no types
    """FAISS's handle on the GPUs; None where the installed faiss or the machine has none."""
    faiss = load_faiss()
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        return None
    return faiss.StandardGpuResources()


def on_gpu(index: Any) -> Any:  # noqa: ANN401 - faiss has no types
    """The index on all GPUs, a part on each; the very index where `gpu_resources` has none."""
    if gpu_resources() is None:
        return index
    faiss = load_faiss()
    options = faiss.GpuMultipleClonerOptions()
    options.shard = True
    return faiss.index_cpu_to_all_gpus(index, co=options)


def knn(
    base: NDArray[np.float32], queries: NDArray[np.float32], k: int, metric: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k rows of `base` nearest to each query, over all rows; on the GPU where faiss has it.

    Args:
        base: (N, D), read where it lies.
        queries: (M, D).
        k: how many, at most N.
        metric: "l2", or anything else for the inner product.

    Returns:
        Scores (M, k), higher = nearer (for "l2" the negative squared distance), and row numbers
        (M, k). Rows of equal score come in no promised order.
    """
    faiss = load_faiss()
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    resources = gpu_resources() if k <= GPU_NEIGHBOURS else None
    if resources is None:
        scores, rows = faiss.knn(queries, base, k, metric=kind)
    else:
        scores, rows = faiss.knn_gpu(resources, queries, base, k, metric=kind)
    return (-scores if metric == "l2" else scores), rows
