"""The certificate: same bytes for the same request, and every way to break it is found."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from masquerade.core.errors import DataError, ValidationError
from masquerade.generators.vec2face.certificate import (
    certify,
    read_identities,
    verify_certificate,
    write_identities,
)
from masquerade.generators.vec2face.sampling import GaussianSampler
from masquerade.generators.vec2face.separation import SeparationSettings, separate


def made(folder: Path, n: int = 40, seed: int = 0) -> Path:
    sampler, settings = GaussianSampler(width=16), SeparationSettings(tau=0.6)
    found = separate(sampler, n, settings, seed=seed)
    folder.mkdir()
    write_identities(folder, found.vectors, certify(found, sampler, settings, seed))
    return folder


def changed(folder: Path, **values: object) -> None:
    path = folder / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_certificate_holds_what_was_found(tmp_path: Path) -> None:
    claim = verify_certificate(made(tmp_path / "a"))
    vectors = read_identities(tmp_path / "a").astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.tril(unit @ unit.T, -1) - 2 * np.triu(np.ones((40, 40)))
    second, first = np.unravel_index(cosines.argmax(), cosines.shape)
    assert claim.pair == (first, second)
    assert claim.max_cosine == pytest.approx(cosines.max(), abs=1e-14)
    assert claim.n == 40
    assert claim.tried > 40
    assert claim.sampler == {"kind": "gaussian", "width": 16, "std": 1.0}
    assert "40 identities of width 16, cosine < 0.6" in str(claim)


def test_same_request_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", seed=1)
    for name in ("identities.npy", "certificate.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
        assert (one / name).read_bytes() != (other / name).read_bytes()
    assert sorted(path.name for path in one.iterdir()) == ["certificate.json", "identities.npy"]


def test_identities_are_mapped_float32(tmp_path: Path) -> None:
    vectors = read_identities(made(tmp_path / "a"))
    assert isinstance(vectors, np.memmap)
    assert vectors.dtype == np.float32


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = made(tmp_path / "a") / "identities.npy"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValidationError, match="sha256"):
        verify_certificate(tmp_path / "a")


@pytest.mark.parametrize("name", ["max_cosine", "pair", "n"])
def test_a_false_claim_is_found(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    was = json.loads((folder / "certificate.json").read_text())[name]
    wrong = {
        "max_cosine": lambda: math.nextafter(was, 0),
        "pair": lambda: [0, 1] if was != [0, 1] else [0, 2],
        "n": lambda: was + 1,
    }[name]()
    changed(folder, **{name: wrong})
    with pytest.raises(ValidationError, match=name):
        verify_certificate(folder)


def test_vectors_that_break_the_bound_are_refused_though_the_numbers_agree(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path / "a")
    claim = json.loads((folder / "certificate.json").read_text())
    changed(folder, settings=claim["settings"] | {"tau": claim["max_cosine"]})
    with pytest.raises(ValidationError, match="claimed to be below"):
        verify_certificate(folder)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    changed(folder, extra=1)
    with pytest.raises(DataError, match="certificate.json"):
        verify_certificate(folder)
    folder = made(tmp_path / "b")
    (folder / "identities.npy").write_bytes((folder / "identities.npy").read_bytes()[:500])
    with pytest.raises(DataError, match="identities.npy"):
        verify_certificate(folder)
    (folder / "certificate.json").write_text("[1]")
    with pytest.raises(DataError, match="certificate.json"):
        verify_certificate(folder)
    with pytest.raises(DataError, match="certificate.json"):
        verify_certificate(tmp_path)
