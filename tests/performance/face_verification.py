"""Times the protocol of 6,000 pairs against the plain loop over folds and thresholds.

    python tests/performance/face_verification.py [--pairs 6000] [--width 512] [--rounds 3]

The plain way is that of the field's evaluation scripts: for each of ten folds and each threshold,
all pairs of the other folds are judged anew by NumPy (400 thresholds for the accuracy, 4,000 for
TAR@FAR). Both ways read the same distances and must give equal numbers before anything is timed;
embedding is no part of it. Printed too: what our protocol adds (exact threshold, ROC, EER, and the
interval over identities).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from masquerade.core.metrics.pair_folds import (
    contiguous_folds,
    decide,
    exact_threshold,
    far_threshold,
    grid_threshold,
    published_far_threshold,
)
from masquerade.core.metrics.pair_intervals import PairGroups, accuracy_interval, eer_interval
from masquerade.core.metrics.verification import eer, roc, squared_distances, unit_embeddings

FAR = 1e-3
Figures = tuple[float, float, float]


def plain(distances: np.ndarray, same: np.ndarray, folds: np.ndarray) -> Figures:
    """Mean accuracy, TAR and FAR: every threshold of every fold by itself."""
    accuracies, tars, fars = [], [], []
    for fold in range(10):
        train, test = folds != fold, folds == fold
        right = [np.mean((distances[train] < t) == same[train]) for t in np.arange(0, 4, 0.01)]
        t = np.arange(0, 4, 0.01)[int(np.argmax(right))]
        accuracies.append(np.mean((distances[test] < t) == same[test]))
        impostor = train & ~same
        grid = np.arange(0, 4, 0.001)
        rates = np.array([np.mean(distances[impostor] < t) for t in grid])
        t = 0.0
        if rates.max() >= FAR:
            high = int(np.argmax(rates >= FAR))
            share = (FAR - rates[high - 1]) / (rates[high] - rates[high - 1])
            t = grid[high - 1] + share * (grid[high] - grid[high - 1])
        tars.append(np.mean(distances[test & same] < t))
        fars.append(np.mean(distances[test & ~same] < t))
    return float(np.mean(accuracies)), float(np.mean(tars)), float(np.mean(fars))


def ours(distances: np.ndarray, same: np.ndarray, folds: np.ndarray) -> Figures:
    """The same three numbers."""
    accuracy = decide(distances, same, folds, grid_threshold).accuracy
    published = decide(distances, same, folds, published_far_threshold(FAR))
    return accuracy, published.mean_tar, published.mean_far


def more(distances: np.ndarray, same: np.ndarray, folds: np.ndarray) -> None:
    """What the plain way does not give: exact thresholds, ROC, EER."""
    decide(distances, same, folds, exact_threshold)
    decide(distances, same, folds, far_threshold(FAR))
    eer(roc(-distances, same))


def intervals(
    distances: np.ndarray, same: np.ndarray, folds: np.ndarray, groups: PairGroups
) -> None:
    """The two intervals of 2,000 resamples of the identities."""
    found = decide(distances, same, folds, grid_threshold)
    accuracy_interval(found.correct, same, found.fold, groups)
    eer_interval(-distances, same, groups)


def fastest(work: Callable[[], object], rounds: int) -> float:
    """The least processor seconds: other work on the machine must not flatter a ratio."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    same = np.tile(np.repeat([True, False], args.pairs // 20), 10)
    first = random.normal(size=(len(same), args.width))
    second = random.normal(size=first.shape) + np.where(same[:, None], 0.2 * first, 0)
    unit = unit_embeddings(np.concatenate([first, second]))
    rows = np.arange(len(same))
    distances, folds = squared_distances(unit, rows, rows + len(same)), contiguous_folds(len(same))
    people = random.integers(0, 1500, (2, len(same)))
    groups = PairGroups.of(people[0], np.where(same, people[0], people[1]))

    expected, found = plain(distances, same, folds), ours(distances, same, folds)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    print(f"{len(same)} pairs: accuracy {found[0]:.4f}, TAR {found[1]:.4f} at FAR {found[2]:.4f}")
    loop = fastest(lambda: plain(distances, same, folds), args.rounds)
    own = fastest(lambda: ours(distances, same, folds), args.rounds)
    extra = fastest(lambda: more(distances, same, folds), args.rounds)
    over = fastest(lambda: intervals(distances, same, folds, groups), args.rounds)
    embed = fastest(lambda: squared_distances(unit, rows, rows + len(same)), args.rounds)
    print(f"plain loop                       {loop:8.3f} s")
    print(f"ours, the same numbers           {own:8.3f} s   {loop / own:6.0f}×")
    print(f"exact thresholds, ROC, EER       {extra:8.3f} s")
    print(f"intervals over {groups.n} people     {over:8.3f} s")
    print(f"distances of {args.width}-d embeddings  {embed:8.3f} s")


if __name__ == "__main__":
    main()
