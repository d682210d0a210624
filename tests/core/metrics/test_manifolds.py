"""Precision, recall, density, coverage against a restatement in loops."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics import manifolds
from masquerade.core.metrics.manifolds import manifold


def in_loops(real: np.ndarray, made: np.ndarray, k: int, k_density: int) -> dict[str, list]:
    """The definitions of the two papers, word by word."""

    def radius(rows: np.ndarray, i: int, k: int) -> float:
        others = [j for j in range(len(rows)) if j != i]
        return sorted(float(np.linalg.norm(rows[i] - rows[j])) for j in others)[k - 1]

    def holds(centre: np.ndarray, reach: float, point: np.ndarray) -> bool:
        return float(np.linalg.norm(centre - point)) <= reach + 1e-12

    n = range(len(real))
    return {
        "precision": [any(holds(real[i], radius(real, i, k), y) for i in n) for y in made],
        "recall": [any(holds(made[j], radius(made, j, k), x) for j in n) for x in real],
        "density": [
            sum(holds(real[i], radius(real, i, k_density), y) for i in n) / k_density for y in made
        ],
        "coverage": [any(holds(real[i], radius(real, i, k_density), y) for y in made) for i in n],
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_all_four_equal_loops(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifolds, "_ROWS", 7)
    random = np.random.default_rng(seed)
    real, made = random.normal(size=(23, 3)), random.normal(0.9, 1.1, size=(23, 3))
    found, expected = manifold(real, made, 3, 5), in_loops(real, made, 3, 5)
    for name, values in expected.items():
        assert getattr(found, name).tolist() == pytest.approx(values), name
    assert 0 < np.mean(expected["precision"]) < 1
    assert 0 < np.mean(expected["recall"]) < 1


def test_copies_of_the_real_set_reach_everything() -> None:
    real = np.random.default_rng(0).normal(size=(30, 4))
    found = manifold(real, real[::-1], 3, 5)
    assert all(getattr(found, name).all() for name in ("precision", "recall", "coverage"))
    assert found.density.mean() == pytest.approx(1.2)  # five neighbours and itself, over five


def test_one_picture_again_and_again_is_precise_and_recalls_nothing() -> None:
    real = np.random.default_rng(0).normal(size=(40, 4))
    found = manifold(real, np.repeat(real[:1] + 1e-3, 40, axis=0), 3, 5)
    assert found.precision.all()
    assert found.recall.sum() == 0
    assert found.coverage.mean() < 0.5


def test_sets_far_apart_share_nothing() -> None:
    real = np.random.default_rng(0).normal(size=(20, 4))
    found = manifold(real, real + 100, 3, 5)
    assert not (found.precision.any() or found.recall.any() or found.coverage.any())
    assert found.density.sum() == 0


def test_unequal_and_too_small_sets_are_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(ValidationError, match="equally many"):
        manifold(rows, rows[:8], 3, 5)
    with pytest.raises(ValidationError, match="more than 5"):
        manifold(rows[:5], rows[:5], 3, 5)
    with pytest.raises(ValidationError, match=r"generated\[0\]"):
        manifold(rows, np.full((9, 2), np.nan), 3, 5)
