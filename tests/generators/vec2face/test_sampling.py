"""Candidates: their distribution, independence of blocks, and the centre files."""

from pathlib import Path

import numpy as np
import pytest

from masquerade.core.embedding_writer import Part, write_embeddings
from masquerade.core.errors import DataError, ValidationError
from masquerade.generators.vec2face.sampling import (
    GaussianSampler,
    PcaGaussianSampler,
    folder_centres,
    read_centres,
)

WIDTH = 24


def real_centres(n: int = 300, width: int = WIDTH) -> np.ndarray:
    """Centres with a steep spectrum and a mean, as recognition nets give."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((width, width)))
    spread = rng.standard_normal((n, width)) * np.geomspace(4, 0.1, width)
    return (spread @ basis + 2).astype(np.float32)


@pytest.mark.parametrize(
    "sampler",
    [GaussianSampler(width=WIDTH), PcaGaussianSampler.fit(real_centres(width=300))],
    ids=["gaussian", "pca"],
)
def test_candidates_are_the_same_bits_in_any_block(sampler) -> None:
    whole = sampler.draw(3, 0, 500)
    assert whole.dtype == np.float32
    for start, stop in ((0, 1), (17, 18), (100, 333), (499, 500), (250, 252)):
        assert (sampler.draw(3, start, stop) == whole[start:stop]).all()
    assert not (sampler.draw(4, 0, 500) == whole).any()


def test_pca_samples_reproduce_the_centres_mean_and_covariance() -> None:
    centres = real_centres()
    drawn = PcaGaussianSampler.fit(centres).draw(0, 0, 100 * WIDTH).astype(np.float64)
    wanted = np.linalg.eigvalsh(np.cov(centres, rowvar=False))[::-1]
    found = np.linalg.eigvalsh(np.cov(drawn, rowvar=False))[::-1]
    np.testing.assert_allclose(found[:10], wanted[:10], rtol=0.15)
    error = np.abs(np.cov(drawn, rowvar=False) - np.cov(centres, rowvar=False)).max()
    assert error < 0.1 * wanted[0]  # the directions, not the spectrum alone
    np.testing.assert_allclose(drawn.mean(axis=0), centres.mean(axis=0), atol=0.3)


def test_pca_samples_are_the_mean_plus_the_root_times_normals() -> None:
    """The rounding to whole numbers moves a value by millionths, no more."""
    centres = real_centres()
    values, vectors = np.linalg.eigh(np.cov(centres.astype(np.float64), rowvar=False))
    root = (vectors * np.sqrt(values)) @ vectors.T
    normals = GaussianSampler(width=WIDTH).draw(5, 0, 50).astype(np.float64)
    wanted = centres.astype(np.float64).mean(axis=0) + normals @ root
    found = PcaGaussianSampler.fit(centres).draw(5, 0, 50)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_pca_products_are_exact_whatever_the_order() -> None:
    """Sums of the rounded factors, in Python's integers, equal the float64 product."""
    sampler = PcaGaussianSampler.fit(real_centres(width=512, n=40))
    assert sampler.facts()["rank"] == 39
    whole = np.rint(np.random.default_rng(0).uniform(-6.7, 6.7, (4, 512)) * 2.0**20)
    product = whole @ sampler.root
    for row in range(4):
        for column in range(0, 512, 100):
            terms = zip(whole[row].tolist(), sampler.root[:, column].tolist(), strict=True)
            assert sum(int(a) * int(b) for a, b in terms) == int(product[row, column])


def test_products_of_one_row_and_of_many_agree_to_the_last_bit() -> None:
    """BLAS adds them in other orders; without the rounding to whole numbers they differ."""
    sampler = PcaGaussianSampler.fit(real_centres(width=300))
    normals = np.random.default_rng(0).standard_normal((200, 300))
    whole = sampler.spread(normals)
    for row in range(200):
        assert (sampler.spread(normals[row : row + 1])[0] == whole[row]).all()


def test_few_centres_give_vectors_in_their_span() -> None:
    centres = real_centres(5)
    moved = PcaGaussianSampler.fit(centres).draw(0, 0, 40) - centres.mean(axis=0)
    assert np.linalg.matrix_rank(moved, tol=1e-3) == 4


@pytest.mark.parametrize("centres", [np.ones((5, 4)), np.ones((1, 4)), np.full((5, 4), np.nan)])
def test_centres_without_a_spread_are_refused(centres: np.ndarray) -> None:
    with pytest.raises(ValidationError, match="class centres"):
        PcaGaussianSampler.fit(centres)


def test_centres_of_an_npy_file_come_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "centres.npy", real_centres())
    assert (read_centres(tmp_path / "centres.npy") == real_centres()).all()


def test_centres_of_embedded_pictures_are_the_folders_means(tmp_path: Path) -> None:
    keys = ["b/2.jpg", "a/1.jpg", "b/1.jpg", "c/x/1.jpg"]
    values = np.float32([[4, 0], [1, 1], [2, 2], [9, 9]])
    path = tmp_path / "features.parquet"
    write_embeddings(path, iter([Part(keys, None, values)]), {})
    assert read_centres(path).tolist() == [[1, 1], [3, 1], [9, 9]]


def test_centres_need_folders() -> None:
    with pytest.raises(DataError, match="'1.jpg' lies in no folder"):
        folder_centres(["a/1.jpg", "1.jpg"], np.float32([[1], [2]]))


def test_first_row_that_is_not_finite_is_named_with_its_value(tmp_path: Path) -> None:
    centres = real_centres(9)
    centres[5, 1], centres[7] = np.inf, np.nan
    np.save(tmp_path / "centres.npy", centres)
    with pytest.raises(DataError, match=r"row 5 holds inf, expected finite .*2 such rows of 9"):
        read_centres(tmp_path / "centres.npy")


@pytest.mark.parametrize("name", ["absent.npy", "broken.npy", "table.csv", "flat.npy", "nan.npy"])
def test_bad_centre_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01")
    np.save(tmp_path / "flat.npy", np.ones(4, np.float32))
    np.save(tmp_path / "nan.npy", np.full((2, 4), np.nan, np.float32))
    with pytest.raises(DataError, match=name):
        read_centres(tmp_path / name)
