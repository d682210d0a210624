"""What all extractors share: templates, frozen weights, one sentence per mistake."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.weights import save_module
from masquerade.modalities.image.faces.embedders import (
    KIN,
    NAMES,
    Embedder,
    face_net_of,
    kinship,
    open_embedder,
)
from masquerade.modalities.image.faces.iresnet import IResNet, IResNetConfig


class Means(Embedder):
    """Colour means, as an extractor of dlib chips that gives no gradients."""

    def __init__(self) -> None:
        super().__init__("means", "0" * 64, 3, "dlib-150", differentiable=False)
        self.scale = torch.nn.Parameter(torch.ones(3))
        self.freeze()

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        assert chips.shape[-1] == 150
        return chips.mean((2, 3)) * self.scale


@pytest.fixture
def iresnet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = IResNetConfig(layers=(1, 1, 1, 1), widths=(4, 4, 4, 8), dim=6)
    path = tmp_path / "small.safetensors"
    save_module(IResNet(config), path, method="iresnet", container="net", config=config.to_dict())
    return path


def test_pictures_are_converted_to_the_extractors_template() -> None:
    found = Means().embed(torch.full((2, 3, 112, 112), 0.25), "arcface-112")
    torch.testing.assert_close(found, torch.full((2, 3), 0.25))


@pytest.mark.parametrize(
    ("images", "template", "message"),
    [
        (torch.zeros(1, 3, 112, 112), "dlib-150", "have shape"),
        (torch.zeros(1, 3, 112, 112), "arcface", "unknown face template 'arcface'"),
        (torch.zeros(1, 1, 112, 112), "arcface-112", r"got torch.float32 of shape \(1, 1, 112"),
        (torch.zeros(1, 3, 112, 112, dtype=torch.uint8), "arcface-112", "got torch.uint8"),
        (torch.zeros(3, 112, 112), "arcface-112", "reads RGB pictures"),
    ],
)
def test_wrong_pictures_are_refused(images: Tensor, template: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Means().embed(images, template)


def test_gradients_of_an_extractor_that_gives_none_are_an_error() -> None:
    faces = torch.zeros(1, 3, 112, 112, requires_grad=True)
    with pytest.raises(UsageError, match="gives no gradients"):
        Means().embed(faces, "arcface-112")
    with torch.no_grad():
        assert Means().embed(faces, "arcface-112").shape == (1, 3)


def test_taps_that_do_not_exist_are_an_error() -> None:
    with pytest.raises(UsageError, match="'means' shows no feature maps"):
        Means().taps(torch.zeros(1, 3, 112, 112), "arcface-112")


def test_an_extractor_stays_frozen_inside_a_training_module(iresnet: Path) -> None:
    net = open_embedder(str(iresnet))
    outer = torch.nn.ModuleList([net]).train()
    assert outer.training
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    first = net.embed(torch.rand(4, 3, 112, 112), "arcface-112")
    assert first.shape == (4, 6)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())  # batch norm too


def test_gradients_reach_pictures_through_a_loaded_net(iresnet: Path) -> None:
    faces = torch.rand(1, 3, 112, 112, requires_grad=True)
    net = open_embedder(str(iresnet))
    assert net.differentiable
    net.embed(faces, "arcface-112").sum().backward()
    assert faces.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in net.parameters())
    assert [tap.shape[-1] for tap in net.taps(faces, "arcface-112")] == [56, 28, 14]


def test_hash_names_the_weights(iresnet: Path, tmp_path: Path) -> None:
    first = open_embedder(str(iresnet))
    state = IResNet(IResNetConfig(layers=(1, 1, 1, 1), widths=(4, 4, 4, 8), dim=6))
    other = tmp_path / "other.safetensors"
    save_module(state, other, method="iresnet", container="net", config=first.net.config.to_dict())
    assert open_embedder(str(iresnet)).hash == first.hash
    assert open_embedder(str(other)).hash != first.hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("face_api", "did you mean 'face-api'"),
        ("onnx:", "expected face-api, pca-lda, dlib, onnx:FILE"),
        ("no/such.safetensors", "no face extractor 'no/such.safetensors'"),
    ],
)
def test_unknown_extractors_list_what_there_is(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_embedder(text)


def test_weights_of_something_else_are_refused(tmp_path: Path, iresnet: Path) -> None:
    other, foreign = tmp_path / "mae.safetensors", tmp_path / "foreign.pth"
    save_module(torch.nn.Linear(1, 1), other, method="mae", container="encoder", config={})
    torch.save({"w": torch.zeros(1)}, foreign)
    with pytest.raises(WeightsError, match="weights of 'mae', expected those of iresnet"):
        open_embedder(str(other))
    with pytest.raises(WeightsError, match="masquerade weights import iresnet"):
        open_embedder(str(foreign))
    assert [face_net_of(p) for p in (iresnet, other, foreign)] == ["iresnet", None, None]


def test_weights_that_lack_a_key_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    config = IResNetConfig(layers=(1, 1, 1, 1), widths=(4, 4, 4, 8), dim=6)
    net = IResNet(config)
    del net.fc
    save_module(net, path, method="iresnet", container="net", config=config.to_dict())
    with pytest.raises(WeightsError, match=r"missing in fc: fc\.bias"):
        open_embedder(str(path))


@pytest.mark.parametrize(
    ("name", "content_hash", "expected"),
    [
        ("pca-lda", None, "same"),
        ("renamed", "own", "same"),
        ("pca-lda", "f" * 64, None),  # of one name, yet fitted on other people
        ("face-api", None, None),
        ("", None, None),
    ],
)
def test_kinship_of_the_judge(name: str, content_hash: str | None, expected: str | None) -> None:
    judge = open_embedder("pca-lda")
    own = judge.hash if content_hash == "own" else content_hash
    assert kinship(judge, name, own) == expected


def test_face_api_and_dlib_are_kin_both_ways_and_the_table_names_what_there_is() -> None:
    net = open_embedder("face-api")
    assert kinship(net, "dlib", "0" * 64) == "kin"
    net.name = "dlib"
    assert kinship(net, "face-api", None) == "kin"
    assert set().union(*KIN) <= set(NAMES)
