"""The one place that imports FAISS: after torch, with torch's number of threads.

Both bring an OpenMP runtime. Loaded in one order everywhere, and never left with more threads
than torch uses, they share a process; `masquerade doctor` tries both orders on the machine.
"""

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .errors import MasqueradeError


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


def exact_search(
    base: NDArray[np.floating], queries: NDArray[np.floating], k: int, metric: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k rows of `base` nearest to each query, by an exact (Flat) index.

    Args:
        base: (N, D), searched as float32.
        queries: (M, D).
        k: how many, at most N.
        metric: "cosine" (inner product of what the caller has normalised) or "l2".

    Returns:
        Scores (M, k), higher = nearer (for "l2" the negative squared distance), and row numbers
        (M, k). Rows of equal score come in no promised order.
    """
    faiss = load_faiss()
    kind = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    index = kind(base.shape[1])
    index.add(np.ascontiguousarray(base, dtype=np.float32))
    scores, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return (scores if metric == "cosine" else -scores), rows
