"""Perturbation: the norm, the quotas, the published global split, independence of batches."""

import pytest
import torch

from masquerade.core.errors import UsageError, ValidationError
from masquerade.generators.vec2face.perturbation import (
    POSE,
    REFERENCE,
    Perturbation,
    edited,
    expected_cosine,
    row_draws,
)

WIDTH = 512


def identities(n: int, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(0)) * 0.967


def job(n_identities: int, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.arange(n_identities * images)
    return rows // images, rows % images


@pytest.mark.parametrize("mode", [Perturbation(), REFERENCE, POSE])
def test_norm_is_preserved_and_the_cosine_is_the_expected_one(mode: Perturbation) -> None:
    which, numbers = job(20, 50)
    base = identities(20)[which]
    moved, sigmas = mode(base, 0, which, numbers, n_identities=20, images=50)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved.norm(dim=1), base.norm(dim=1), rtol=1e-5, atol=0)
    cosine = torch.nn.functional.cosine_similarity(moved, base, dim=1)
    means = []
    for sigma in mode.sigmas:
        chosen = sigmas == torch.tensor(sigma, dtype=torch.float32)
        expected = expected_cosine(float(base.norm(dim=1).mean()), WIDTH, sigma)
        means.append(float(cosine[chosen].mean()))
        assert means[-1] == pytest.approx(expected, abs=0.01)
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize(
    ("images", "quotas"),
    [
        (50, (20, 20, 10)),
        (10, (4, 4, 2)),
        (5, (2, 2, 1)),
        (1, (1, 0, 0)),  # remainders .4 .4 .2: the first of the largest
        (3, (1, 1, 1)),  # 1.2 1.2 .6
        (4, (2, 1, 1)),  # 1.6 1.6 .8
        (0, (0, 0, 0)),
    ],
)
def test_quotas_by_largest_remainder(images: int, quotas: tuple) -> None:
    assert Perturbation().quotas(images) == quotas


def test_quotas_add_up_for_awkward_shares() -> None:
    thirds = Perturbation(sigmas=(1, 2, 3), shares=(1 / 3, 1 / 3, 1 / 3))
    for images in range(40):
        counts = thirds.quotas(images)
        assert sum(counts) == images
        assert max(counts) - min(counts) <= 1


def test_every_identity_has_its_quotas_in_an_order_of_its_own() -> None:
    which, numbers = job(30, 10)
    mode = Perturbation()
    sigmas = mode.sigmas_of(0, which, numbers, n_identities=30, images=10).view(30, 10)
    for row in sigmas:
        assert [int((row == s).sum()) for s in torch.tensor(mode.sigmas)] == [4, 4, 2]
    assert len({tuple(row.tolist()) for row in sigmas}) > 20


def test_paper_shuffle_has_the_shares_in_the_whole_job_only() -> None:
    which, numbers = job(100, 10)
    mode = Perturbation(paper_shuffle=True)
    sigmas = mode.sigmas_of(3, which, numbers, n_identities=100, images=10)
    assert [int((sigmas == s).sum()) for s in torch.tensor(mode.sigmas)] == [400, 400, 200]
    per_identity = (sigmas.view(100, 10) == sigmas.new_tensor(0.7)).sum(1)
    assert len(per_identity.unique()) > 3  # a global shuffle varies; quotas would give 2 each


def test_paper_shuffle_names_row_counts_that_add_up() -> None:
    mode = Perturbation(paper_shuffle=True)
    assert mode.paper_counts(500_000) == (200_000, 200_000, 100_000)
    with pytest.raises(UsageError, match=r"7 rows.*\(2, 2, 1\).*5 in all; make it 5 or 10 rows"):
        mode.paper_counts(7)


@pytest.mark.parametrize("paper", [False, True])
def test_a_row_is_a_pure_function_of_plan_identity_and_image(paper: bool) -> None:
    mode = Perturbation(paper_shuffle=paper)
    which, numbers = job(6, 10)
    base = identities(6, 32)
    whole, sigmas = mode(base[which], 5, which, numbers, n_identities=6, images=10)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    for part in order.split(7):
        moved, own = mode(
            base[which[part]], 5, which[part], numbers[part], n_identities=6, images=10
        )
        assert (moved == whole[part]).all()
        assert (own == sigmas[part]).all()
    other, _ = mode(base[which], 6, which, numbers, n_identities=6, images=10)
    assert not (other == whole).all(dim=1).any()
    assert len(whole.unique(dim=0)) == 60


def test_row_draws_never_meet() -> None:
    """Identity 1 image 0 and identity 0 image 1 …: no pair shares a key."""
    which, numbers = job(40, 40)
    bits = row_draws(0, which, numbers).bits(2)
    assert len(bits.unique(dim=0)) == 1600


def test_edited_dimensions_move_at_the_old_norm() -> None:
    base = torch.tensor([[3.0, 4.0, 0.0]])
    moved = edited(base, [2], 5.0)
    assert float(moved.norm()) == pytest.approx(5, rel=1e-6)
    torch.testing.assert_close(moved, torch.tensor([[3.0, 4.0, 5.0]]) / 2**0.5)
    with pytest.raises(UsageError, match="dimension 3: expected 0 … 2"):
        edited(base, [0, 3], 1.0)


def test_a_vector_that_is_not_finite_is_named() -> None:
    base = identities(3, 8)
    base[1, 0] = torch.nan
    with pytest.raises(ValidationError, match="identity 8"):
        Perturbation()(
            base, 0, torch.tensor([7, 8, 9]), torch.zeros(3).long(), n_identities=10, images=5
        )


@pytest.mark.parametrize(
    "values",
    [
        {"shares": (0.5, 0.5)},
        {"shares": (0.5, 0.5, 0.5)},
        {"sigmas": (-0.1, 0.5, 0.7)},
        {"sigmas": (), "shares": ()},
    ],
)
def test_unsound_mixes_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Perturbation(**values)
