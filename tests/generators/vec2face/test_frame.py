"""The embedding frame: units, the fit, and what is refused."""

import json
import logging

import numpy as np
import pytest
import torch

from masquerade.core.errors import UsageError, ValidationError
from masquerade.generators.vec2face.frame import ARCFACE_STD, Frame


def one_way(n: int = 400, width: int = 16) -> np.ndarray:
    """Raw vectors that all point one way, as the embedded net's do."""
    spread = np.random.default_rng(0).standard_normal((n, width)) * 0.05
    return (spread + 1).astype(np.float32)


def test_official_frame_changes_nothing() -> None:
    raw = one_way()
    frame = Frame.official(16)
    assert (frame.to_frame(raw) == raw).all()
    assert (frame.from_frame(raw) == raw).all()


def test_fitted_frame_has_mean_zero_and_the_deviation_of_arcface() -> None:
    frame = Frame.fit(one_way())
    inside = frame.to_frame(one_way())
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-5)
    assert np.sqrt(inside.var(axis=0).mean()) == pytest.approx(ARCFACE_STD, rel=1e-5)
    assert frame.norm == pytest.approx(np.linalg.norm(inside, axis=1).mean(), rel=1e-5)
    np.testing.assert_allclose(frame.from_frame(inside), one_way(), atol=1e-6)


def test_tensors_and_arrays_give_the_same_and_gradients_flow() -> None:
    frame, raw = Frame.fit(one_way()), one_way(3)
    tensor = torch.from_numpy(raw).requires_grad_()
    inside = frame.to_frame(tensor)
    np.testing.assert_allclose(inside.detach().numpy(), frame.to_frame(raw), rtol=1e-6)
    inside.sum().backward()
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), frame.scale, rtol=1e-6)


def test_dictionary_round_trip_is_exact() -> None:
    frame = Frame.fit(one_way())
    back = Frame.from_dict(json.loads(json.dumps(frame.to_dict())))
    assert (back.mean == frame.mean).all()
    assert (back.scale, back.norm) == (frame.scale, frame.norm)


def test_wrong_width_and_nan_are_refused() -> None:
    frame = Frame.official(16)
    with pytest.raises(UsageError, match=r"identities: expected vectors of width 16.*\(4, 8\)"):
        frame.check(np.ones((4, 8), np.float32), "identities")
    bad = one_way(4)
    bad[2, 3] = np.nan
    with pytest.raises(ValidationError, match="identities row 2: expected finite"):
        frame.check(bad, "identities")


@pytest.mark.parametrize(("factor", "warned"), [(1.0, 0), (1.9, 0), (2.1, 1), (0.04, 1)])
def test_norms_off_by_more_than_two_are_warned_of(
    factor: float, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    frame = Frame(np.zeros(16, np.float32), 1.0, norm=4.0)
    with caplog.at_level(logging.WARNING):
        frame.check(np.full((2, 16), factor, np.float32), "identities")
    assert len(caplog.records) == warned


def test_a_constant_set_makes_no_frame() -> None:
    with pytest.raises(ValidationError, match="different"):
        Frame.fit(np.ones((5, 4), np.float32))
