"""L2-regularised multinomial logistic regression, its strength chosen on a split of train."""

# N train samples, M others, D width, C strengths.

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .features import Features, Scaler

_MAX_ITERATIONS = 300


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


class LogisticPath:
    """Logistic regressions of one train set over several strengths, from strong to weak.

    Args:
        train: (N, D) features and their labels.
    """

    def __init__(self, train: Features) -> None:
        self._scaler = Scaler.fit(train)
        self._labels = train.classes_of
        scaled = self._scaler(train.values)
        self._rotation: NDArray[np.float64] | None = None
        if scaled.shape[1] > len(scaled):
            # the solution lies in the span of the train rows and the penalty is invariant under
            # rotation, so N coordinates in that span give exactly the same classifier as all D
            self._rotation = np.linalg.qr(scaled.T)[0]
        self._rows = self._turned(scaled)

    def _turned(self, scaled: NDArray[np.float64]) -> NDArray[np.float32]:
        # float32: half the memory traffic, which is what a fit of wide features waits for
        turned = scaled if self._rotation is None else scaled @ self._rotation
        return turned.astype(np.float32)

    def predict(
        self, values: NDArray[np.float32], strengths: Sequence[float]
    ) -> Iterator[NDArray[np.int64]]:
        """The predicted classes of (M, D) features at each inverse penalty C, as asked for.

        Args:
            values: (M, D).
            strengths: scikit-learn's C, ascending: each fit starts at the one before.

        Yields:
            One (M,) array per strength.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        rows = self._turned(self._scaler(values))
        if len(np.unique(self._labels)) == 1:
            yield from [np.full(len(rows), self._labels[0])] * len(strengths)
            return
        model = LogisticRegression(max_iter=_MAX_ITERATIONS, warm_start=True)
        for strength in strengths:
            # on a busy machine threads wait for each other longer than they work: one thread took
            # 0.2 s where two took 24 s (1437 × 96), and half as long at 4000 × 3072 (2026-11)
            with warnings.catch_warnings(), threadpool_limits(1):
                # a weak penalty may stop at the limit: still a classifier, judged by its score
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=strength).fit(self._rows, self._labels)
                predicted = model.predict(rows).astype(np.int64)
            yield predicted
