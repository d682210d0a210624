"""Greedy separation against the pair-by-pair way, at ties, and where it must stop."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from masquerade.core.errors import UsageError, ValidationError
from masquerade.core.metrics.cosines import exact_cosine
from masquerade.generators.vec2face import separation
from masquerade.generators.vec2face.sampling import GaussianSampler
from masquerade.generators.vec2face.separation import SeparationSettings, separate


@dataclass(frozen=True)
class Table:
    """A sampler of given rows, over and over."""

    rows: np.ndarray

    @property
    def width(self) -> int:
        return self.rows.shape[1]

    def draw(self, seed: int, start: int, stop: int) -> np.ndarray:
        return self.rows[np.arange(start, stop) % len(self.rows)]

    def facts(self) -> dict:
        return {"kind": "table"}


def plain(rows: np.ndarray, tau: float) -> list[int]:
    """Which rows greedy separation keeps, pair by pair."""
    kept: list[int] = []
    for row in range(len(rows)):
        if all(exact_cosine(rows[row], rows[other]) < tau for other in kept):
            kept.append(row)
    return kept


def crowded(n: int = 300, width: int = 8) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, width)).astype(np.float32) + 0.5


@pytest.mark.parametrize("block", [1, 7, 64, 1024])
@pytest.mark.parametrize("tau", [0.3, 0.7])
def test_kept_are_those_of_the_plain_way_in_any_block(
    block: int, tau: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separation, "TILE", 5)
    rows = crowded()
    wanted = plain(rows, tau)
    found = separate(Table(rows), len(wanted), SeparationSettings(tau=tau), seed=0, block=block)
    assert found.candidates.tolist() == wanted
    assert (found.vectors == rows[wanted]).all()
    assert found.tried == wanted[-1] + 1
    pairs = [(i, j) for j in range(len(wanted)) for i in range(j)]
    cosines = {(i, j): exact_cosine(rows[wanted[i]], rows[wanted[j]]) for i, j in pairs}
    best = max(cosines, key=lambda pair: cosines[pair])
    assert found.largest is not None
    assert (found.largest.first, found.largest.second) == best
    assert found.largest.value == cosines[best] < tau


@pytest.mark.parametrize(("tau", "kept"), [(0.6, [0, 2]), (math.nextafter(0.6, 1), [0, 1])])
def test_a_cosine_of_exactly_tau_is_too_much(tau: float, kept: list) -> None:
    """(1, 0) and (3, 4) have 0.6; float32 products cannot tell it from its neighbours."""
    rows = np.float32([[1, 0], [3, 4], [-1, 0.1]])
    for block in (1, 3):
        found = separate(Table(rows), 2, SeparationSettings(tau=tau), seed=0, block=block)
        assert found.candidates.tolist() == kept


def test_pairs_within_the_rounding_of_tau_are_decided_exactly() -> None:
    """Hundreds of pairs whose cosines lie within 1e-6 of τ, on both sides."""
    rng = np.random.default_rng(0)
    angle = math.acos(0.5) + rng.uniform(-1e-6, 1e-6, 400)
    side = np.linalg.qr(rng.standard_normal((402, 401)))[0].T[:400]  # orthonormal, 402 wide
    axis = np.linalg.svd(side, full_matrices=True)[2][-1]
    rows = np.vstack([axis, np.cos(angle)[:, None] * axis + np.sin(angle)[:, None] * side])
    rows = rows.astype(np.float32)  # row 0 is the axis; two others have about cos² = 0.25
    wanted = plain(rows, 0.5)
    assert 100 < len(wanted) < 300
    found = separate(Table(rows), len(wanted), SeparationSettings(tau=0.5), seed=0, block=64)
    assert found.candidates.tolist() == wanted


def test_plain_gaussian_vectors_pass_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    found = separate(
        GaussianSampler(width=512), 1500, SeparationSettings(tau=0.3), seed=0,
        progress=lambda done, wanted: told.append((done, wanted)),
    )  # fmt: skip
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(1500)
    assert cosines.max() < 0.3
    assert told == [(1024, 1500), (1500, 1500)]
    assert np.linalg.norm(found.vectors, axis=1).mean() == pytest.approx(512**0.5, rel=0.01)


@pytest.mark.parametrize("block", [10, 1000])
def test_tau_that_cannot_be_met_says_what_was_found(block: int) -> None:
    rows = crowded(60, 3)
    wanted = plain(rows, 0.5)
    settings = SeparationSettings(tau=0.5, patience=400)
    with pytest.raises(UsageError) as caught:
        separate(Table(rows), 50, settings, seed=0, block=block)
    assert str(caught.value) == (
        f"tau 0.5 cannot be met for 50 identities: {len(wanted)} found among "
        f"{wanted[-1] + 401} candidates, none among the last 400; "
        f"ask for at most {len(wanted)} identities, raise tau, or take another sampler "
        "(centres of more people, or vectors with their mean removed)"
    )


@pytest.mark.parametrize("block", [1, 7, 100])
def test_patience_ends_the_search_at_the_same_candidate_in_any_block(block: int) -> None:
    """A fit candidate that comes one too late is not taken."""
    rows = np.vstack([np.repeat([[1.0, 0]], 12, axis=0), [[0, 1.0]]]).astype(np.float32)
    with pytest.raises(UsageError, match="1 found among 12 candidates"):
        separate(Table(rows), 2, SeparationSettings(patience=11), seed=0, block=block)
    found = separate(Table(rows), 2, SeparationSettings(patience=12), seed=0, block=block)
    assert found.candidates.tolist() == [0, 12]


def test_tries_are_limited() -> None:
    settings = SeparationSettings(tau=0.5, patience=5, max_tries_per_identity=2)
    rows = np.float32([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0], [-1, -1]])
    with pytest.raises(UsageError, match="2 found among 6 candidates"):
        separate(Table(rows), 3, settings, seed=0)


def test_one_identity_has_no_pair() -> None:
    found = separate(GaussianSampler(width=4), 1, SeparationSettings(), seed=0)
    assert (found.tried, found.largest) == (1, None)


@pytest.mark.parametrize("tau", [0, -0.1, 1.01, float("nan")])
def test_tau_out_of_range_is_refused(tau: float) -> None:
    with pytest.raises(ValueError, match="tau"):
        SeparationSettings(tau=tau)


def test_nan_candidates_are_named() -> None:
    rows = crowded(9)
    rows[4, 2] = np.nan
    with pytest.raises(ValidationError, match="row 4"):
        separate(Table(rows), 9, SeparationSettings(), seed=0)


def test_no_identities_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        separate(GaussianSampler(width=4), 0, SeparationSettings(), seed=0)
