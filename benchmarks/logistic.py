"""L2-regularised multinomial logistic regression, its strength chosen on a split of train."""

# N train samples, M others, D width, R rank of the train rows, K classes.

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .features import Features, Scaler

_MAX_ITERATIONS = 500
_GRADIENT = 1e-5  # largest entry of the preconditioned gradient at which a fit ends


def stratified_split(
    train: Features, held_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to fit on and rows held out, class by class, by the samples' own draws.

    A sample's place depends on (seed, its key) alone, so every subject gets the same split. A
    class with one sample is fitted on, never held out.
    """
    order = sample_order(train.keys, seed, "probe split")
    labels = train.classes_of
    held: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        held.append(rows[: min(len(rows) - 1, max(1, round(held_share * len(rows))))])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), out), out


def sample_order(keys: Sequence[str], seed: int, stream: str) -> NDArray[np.int64]:
    """A random order of samples in which each one's rank is drawn from (seed, its key)."""
    import torch

    from ..core.draws import Draws
    from ..core.hashing import sample_id

    ids = torch.tensor([sample_id(key) for key in keys], dtype=torch.int64)
    noise = Draws(seed=seed, ids=ids, stream=stream).uniform(2).double()
    return np.lexsort(noise.numpy().T)


class Logistic:
    """Multinomial logistic regressions on one train set, of any penalty and on any of its rows.

    Minimises mean cross entropy + λ/2 ‖w‖² by L-BFGS. The penalty is invariant under rotation, so
    the rows are turned once to their principal axes (dropping what they do not span changes
    nothing: the solution lies in their span), where the Hessian is nearly diagonal: about
    variance / K + λ. Scaled by that, weak penalties converge in tens of steps instead of
    thousands, for narrow and wide features alike.

    Args:
        train: (N, D) features and labels; standardised by the statistics of all of them.
    """

    def __init__(self, train: Features) -> None:
        self._scaler = Scaler.fit(train)
        scaled = self._scaler(train.values)
        variances, axes = _principal_axes(scaled)
        self._variances, self._axes = variances, axes
        self._rows = scaled @ axes
        self._labels = np.searchsorted(np.unique(train.classes_of), train.classes_of)
        self._classes = np.unique(train.classes_of)

    def fit(
        self, rows: NDArray[np.int64], penalty: float, start: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The weights (1 + R, K), the constant first.

        Args:
            rows: which train rows to fit on.
            penalty: λ.
            start: weights of another penalty.
        """
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits

        n_classes = len(self._classes)
        curvature = np.concatenate([[1.0], self._variances]) / n_classes
        curvature[1:] += penalty
        scale = 1 / np.sqrt(curvature)[:, None]
        ones = np.ones((len(rows), 1))
        inputs = (np.hstack([ones, self._rows[rows]]) * scale.T).astype(np.float32)
        shrink = np.where(np.arange(len(scale)) > 0, penalty, 0.0)[:, None] * scale**2
        first = np.zeros((len(scale), n_classes)) if start is None else start / scale
        # on a busy machine threads wait for each other longer than they work: one thread took
        # 0.2 s where two took 24 s (1437 × 96, measured 2026-11)
        with threadpool_limits(1):
            found = minimize(
                _loss, first.ravel(), (inputs, self._labels[rows], shrink), "L-BFGS-B", jac=True,
                options={"maxiter": _MAX_ITERATIONS, "gtol": _GRADIENT, "ftol": 1e-9},
            )  # fmt: skip
        weights: NDArray[np.float64] = found.x.reshape(first.shape) * scale
        return weights

    def scores(
        self, weights: NDArray[np.float64], values: NDArray[np.float32], n_classes: int
    ) -> NDArray[np.float64]:
        """(M, n_classes) logits of (M, D) features; a class that train lacks has −∞."""
        found = np.full((len(values), n_classes), -np.inf)
        found[:, self._classes] = self._logits(weights, self._scaler(values) @ self._axes)
        return found

    def predict_rows(
        self, weights: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The most likely class of train rows."""
        return self._classes[self._logits(weights, self._rows[rows]).argmax(axis=1)]

    @staticmethod
    def _logits(weights: NDArray[np.float64], turned: NDArray[np.float64]) -> NDArray[np.float64]:
        return turned @ weights[1:] + weights[0]


def _principal_axes(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (R,) and axes (D, R) of centred rows, by the smaller of the two Gram matrices."""
    from threadpoolctl import threadpool_limits

    n, width = rows.shape
    wide = width > n
    with threadpool_limits(1):  # as in `fit`: 7 s where two threads took 20 s (4000 × 3072)
        values, vectors = np.linalg.eigh((rows @ rows.T if wide else rows.T @ rows) / n)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    values, vectors = values[kept], vectors[:, kept]
    axes = rows.T @ vectors / np.sqrt(values * n) if wide else vectors
    return values, axes


def _loss(
    flat: NDArray[np.float64],
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    shrink: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Mean cross entropy plus penalty, and its gradient, at scaled weights."""
    weights = flat.reshape(inputs.shape[1], -1)
    logits = (inputs @ weights.astype(np.float32)).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    likely = np.exp(logits)
    total = likely.sum(axis=1, keepdims=True)
    n = np.arange(len(labels))
    loss = (np.log(total[:, 0]) - logits[n, labels]).mean() + 0.5 * (shrink * weights**2).sum()
    likely /= total
    likely[n, labels] -= 1
    gradient = inputs.T @ (likely / len(n)).astype(np.float32) + shrink * weights
    return float(loss), gradient.ravel().astype(np.float64)
