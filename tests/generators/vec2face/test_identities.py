"""Identity vectors: given ones, and those that a quality pass has moved."""

import logging

import numpy as np
import pytest

from masquerade.core.errors import DataError, UsageError
from masquerade.core.metrics.cosines import exact_cosine, max_cosine
from masquerade.generators.vec2face import identities
from masquerade.generators.vec2face.frame import Frame
from masquerade.generators.vec2face.identities import apart, find_identities
from masquerade.generators.vec2face.sampling import GaussianSampler
from masquerade.generators.vec2face.separation import SeparationSettings, separate
from masquerade.generators.vec2face.settings import Vec2FaceSynthesis

TAU = 0.5
FRAME = Frame(np.full(12, 0.25, np.float32), scale=2.0, norm=3.5)


def drawn(n=60, width=12):
    return separate(GaussianSampler(width=width), n, SeparationSettings(tau=TAU), seed=1).vectors


def put_back(own, moved):
    """All pairs, one at a time, until nothing changes."""
    kept, back = moved.copy(), set()
    while True:
        pairs = [
            (i, j) for i in range(len(kept)) for j in range(i)
            if exact_cosine(kept[i], kept[j]) >= TAU
        ]  # fmt: skip
        fresh = {row for pair in pairs for row in pair} - back
        if not fresh:
            return kept, back
        back |= fresh
        kept[sorted(fresh)] = own[sorted(fresh)]


@pytest.mark.parametrize("rows", [1024, 7])
def test_moved_vectors_that_come_too_close_are_put_back_and_only_these(monkeypatch, rows):
    monkeypatch.setattr(identities, "_ROWS", rows)
    own = drawn()
    moved = own + np.random.default_rng(0).normal(0, 0.35, own.shape).astype(np.float32)
    moved[7] = own[3] + np.float32(1e-3)  # reaches 3 as it stands; 3 itself moved away or not
    kept, back, largest = apart(own, moved, TAU)
    expected, numbers = put_back(own, moved)
    assert 0 < len(numbers) < len(own)
    assert set(np.flatnonzero(back).tolist()) == numbers
    assert np.array_equal(kept, expected)
    assert largest == max_cosine(kept)
    assert largest.value < TAU


def test_one_put_back_may_drive_others_back():
    """0 and 1 meet; 0 put back meets 2, which had moved into its former place."""
    own = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    moved = np.float32([[0, 1, 0.1], [0, 1, 0], [1, 0, 0]])
    kept, back, largest = apart(own, moved, TAU)
    assert np.array_equal(kept, own)
    assert back.all()
    assert largest.value == 0


def test_single_vector_moves_freely():
    kept, back, largest = apart(np.float32([[1, 0]]), np.float32([[0, 1]]), TAU)
    assert kept.tolist() == [[0, 1]]
    assert not back.any()
    assert largest is None


def find(n, tmp_path=None, values=None, **settings):
    if values is not None:
        np.save(tmp_path / "v.npy", values)
        settings["vectors"] = str(tmp_path / "v.npy")
    wanted = Vec2FaceSynthesis(separation=SeparationSettings(tau=TAU), **settings)
    return find_identities(
        n, wanted, FRAME, np.empty((0, 12), np.float32), seed=0, progress=lambda done, total: None
    )


def test_given_vectors_are_taken_in_their_order_in_the_units_of_the_frame(tmp_path):
    own = drawn(9)
    found, origin = find(5, tmp_path, FRAME.from_frame(own))
    assert np.allclose(found.vectors, own[:5], atol=1e-5)
    assert found.largest == max_cosine(found.vectors)
    assert origin.facts()["n_given"] == 9
    assert np.array_equal(origin.draw(3, 2, 4), found.vectors[2:4])


def test_given_vectors_that_will_not_do_are_refused(tmp_path):
    own = FRAME.from_frame(drawn(4))
    with pytest.raises(UsageError, match="holds 4 vectors, 5 identities"):
        find(5, tmp_path, own)
    with pytest.raises(UsageError, match=r"expected vectors of width 12, got shape \(4, 6\)"):
        find(2, tmp_path, own[:, :6])
    own[3] = own[1]
    assert len(find(3, tmp_path, own)[0].vectors) == 3
    with pytest.raises(UsageError, match=r"rows 1 and 3 have cosine .* less than tau 0\.5; leave"):
        find(4, tmp_path, own)
    own[2, 5] = np.nan
    with pytest.raises(DataError, match="finite"):
        find(2, tmp_path, own)


def test_norm_far_from_that_of_the_weights_is_said_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        find(3, tmp_path, FRAME.from_frame(3 * drawn(4)))
        assert len(caplog.records) == 1
        find(3, sampler="gaussian", std=0.2)
        assert len(caplog.records) == 2
        find(3, sampler="gaussian", std=1.0)
        assert len(caplog.records) == 2
    assert "the mean norm is" in caplog.text


def test_weights_without_centres_need_some():
    with pytest.raises(UsageError, match="carry no class centres"):
        find(3)
