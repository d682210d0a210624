"""The shipped net: the published bytes, the published layout, gradients, and real faces."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from masquerade.core.errors import WeightsError
from masquerade.modalities.image.faces import face_api
from masquerade.modalities.image.faces.face_api import (
    MANIFEST,
    SAME_PERSON,
    SHA256,
    WEIGHTS,
    FaceApi,
)
from masquerade.modalities.image.faces.templates import convert


@pytest.fixture(scope="module")
def net() -> FaceApi:
    return FaceApi()


def smooth(n: int, side: int, seed: int = 0) -> torch.Tensor:
    """(n, 3, side, side) smooth noise in [-1, 1]."""
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(-1, 1)


def plainly(chips: torch.Tensor) -> torch.Tensor:
    """The net as its authors write it: nothing folded, straight from the published tensors."""
    tensors = {
        k: torch.from_numpy(v) for k, v in face_api.read_published(WEIGHTS, MANIFEST).items()
    }
    mean = torch.tensor([122.782, 117.001, 104.298])[None, :, None, None]
    x = (chips * 127.5 + 127.5 - mean) / 256

    def conv(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        filters = tensors[f"{name}/conv/filters"].permute(3, 2, 0, 1)
        x = functional.conv2d(x, filters, tensors[f"{name}/conv/bias"], stride, padding)
        scale, shift = (tensors[f"{name}/scale/{part}"] for part in ("weights", "biases"))
        return x * scale[:, None, None] + shift[:, None, None]

    x = functional.max_pool2d(conv(x, "conv32_down", 2, 0).relu(), 3, 2)
    names = "32_1 32_2 32_3 64_down 64_1 64_2 64_3 128_down 128_1 128_2 256_down 256_1 256_2"
    for name in [*names.split(), "256_down_out"]:
        down = "down" in name
        out = conv(x, f"conv{name}/conv1", 2 if down else 1, 0 if down else 1).relu()
        out = conv(out, f"conv{name}/conv2", 1, 1)
        shortcut = functional.avg_pool2d(x, 2) if down else x
        height = max(out.shape[2], shortcut.shape[2])
        joined = torch.zeros(len(x), out.shape[1], height, height)
        joined[:, :, : out.shape[2], : out.shape[3]] += out
        joined[:, : shortcut.shape[1], : shortcut.shape[2], : shortcut.shape[3]] += shortcut
        x = joined.relu()
    return x.mean((2, 3)) @ tensors["fc"]


def test_folded_net_equals_the_published_layout(net: FaceApi) -> None:
    chips = smooth(2, 150)
    expected = plainly(chips)
    assert 0.5 < expected.norm(dim=1).min()  # nothing trivial is compared
    torch.testing.assert_close(net.embed(chips, "dlib-150"), expected, atol=1e-5, rtol=1e-4)


def test_arcface_faces_are_converted_to_the_chip(net: FaceApi) -> None:
    faces = smooth(1, 112)
    chips = convert(faces, "arcface-112", "dlib-150")
    assert torch.equal(net.embed(faces, "arcface-112"), net.embed(chips, "dlib-150"))


def test_gradient_of_the_pictures_is_that_of_finite_differences(net: FaceApi) -> None:
    """Along the gradient itself, in double precision: closed form of a directional derivative."""
    double = FaceApi().double()
    chips = smooth(1, 150).double().requires_grad_(True)
    weights = torch.linspace(-1, 1, 128, dtype=torch.float64)
    (double.chips_to_vectors(chips) @ weights).sum().backward()
    gradient = chips.grad
    step = 1e-6 * gradient / gradient.norm()
    with torch.no_grad():
        ahead, behind = (double.chips_to_vectors(chips + s) @ weights for s in (step, -step))
    assert float((ahead - behind) / 2e-6) == pytest.approx(float(gradient.norm()), rel=1e-4)


def test_taps_are_the_maps_on_the_way(net: FaceApi) -> None:
    faces = smooth(2, 112).requires_grad_(True)
    taps = net.taps(faces, "arcface-112")
    shapes = [(2, 32, 35, 35), (2, 64, 17, 17), (2, 128, 8, 8)]
    assert [tuple(tap.shape) for tap in taps] == shapes
    x = taps[-1]
    for name in ("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"):
        x = net.net.blocks[name](x)
    found = net.net.fc(x.mean((2, 3)))
    torch.testing.assert_close(found, net.embed(faces, "arcface-112"))
    taps[0].sum().backward()
    assert faces.grad.abs().sum() > 0


def test_pictures_of_one_person_are_closer_than_the_published_threshold(
    net, held_out_faces
) -> None:
    """Measured on all 600 pairs of the data: 98.2 % right at 0.6."""
    faces, labels = held_out_faces
    found = net.embed(faces, "arcface-112")
    distance = torch.cdist(found, found).numpy()
    same = labels[:, None] == labels[None]
    off = ~np.eye(len(labels), dtype=bool)
    right = (distance < SAME_PERSON) == same
    assert right[off & same].mean() > 0.95
    assert right[~same].mean() > 0.95


def test_a_face_never_depends_on_its_batch(net: FaceApi) -> None:
    faces = smooth(3, 112)
    alone = torch.cat([net.embed(face[None], "arcface-112") for face in faces])
    torch.testing.assert_close(net.embed(faces, "arcface-112"), alone, atol=1e-5, rtol=1e-5)


def test_shipped_bytes_are_the_published_ones(shared: Path) -> None:
    published = shared / "data" / "weights" / "face_api"
    ours = {"face_recognition_model.bin": WEIGHTS,
            "face_recognition_model-weights_manifest.json": MANIFEST,
            "LICENSE.txt": WEIGHTS.parent / "LICENSE-face-api.txt"}  # fmt: skip
    for name, path in ours.items():
        assert (published / name).read_bytes() == path.read_bytes()


def test_another_file_in_its_place_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "face-api.bin"
    data = bytearray(WEIGHTS.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(WeightsError, match=f"expected sha256 {SHA256[:16]}"):
        face_api._folded(damaged, MANIFEST)


@pytest.mark.parametrize("n_bytes", [3, 5, 11])
def test_manifest_and_bytes_that_disagree_are_refused(tmp_path: Path, n_bytes: int) -> None:
    entry = {"name": "a", "shape": [2], "dtype": "float32"}
    (tmp_path / "m.json").write_text(json.dumps([{"weights": [entry]}]))
    (tmp_path / "w.bin").write_bytes(bytes(n_bytes))
    with pytest.raises(WeightsError, match=f"got {n_bytes}"):
        face_api.read_published(tmp_path / "w.bin", tmp_path / "m.json")


def test_codes_are_scaled_and_shifted(tmp_path: Path) -> None:
    """By hand: 3 · 0.5 − 1 = 0.5, 255 · 0.5 − 1 = 126.5."""
    code = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    entries = [{"name": "a", "shape": [1, 2], "dtype": "float32", "quantization": code},
               {"name": "b", "shape": [1], "dtype": "float32"}]  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps([{"weights": entries}]))
    (tmp_path / "w.bin").write_bytes(bytes([3, 255]) + np.array([7], "<f4").tobytes())
    found = face_api.read_published(tmp_path / "w.bin", tmp_path / "m.json")
    assert found["a"].tolist() == [[0.5, 126.5]]
    assert found["b"].tolist() == [7.0]
