"""IResNet as an extractor: published files in all wrappings, and back."""

from pathlib import Path

import pytest
import torch

from masquerade.cli.main import call
from masquerade.core.errors import WeightsError
from masquerade.core.iresnet import IResNet, IResNetConfig
from masquerade.core.weights import read_weights
from masquerade.methods.weights import export_official, import_official, load_method
from masquerade.modalities.image.faces.embedders import open_embedder

SMALL = {"layers": (2, 1, 1, 1), "widths": (4, 4, 8, 16), "dim": 6}


def small(*, se: bool = False) -> IResNet:
    torch.manual_seed(0)
    net = IResNet(IResNetConfig(**SMALL, se=se))
    with torch.no_grad():
        net(torch.rand(4, 3, 112, 112))  # running statistics of its own
    return net.eval()


WRAPPINGS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "module": lambda state: {f"module.{k}": v for k, v in state.items()},
    "backbone": lambda state: {f"backbone.{k}": v for k, v in state.items()},
    "magface": lambda state: {
        "state_dict": {
            **{f"features.module.{k}": v for k, v in state.items()},
            "fc.weight": torch.zeros(6, 40),
        }
    },
    "magface, distributed": lambda state: {
        "state_dict": {
            **{f"module.features.{k}": v for k, v in state.items()},
            "module.parallel_fc.weight": torch.zeros(6, 40),
        }
    },
    "old": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("se", [False, True])
def test_published_files_load_whatever_wraps_them(tmp_path: Path, wrapping: str, se: bool) -> None:
    net = small(se=se)
    torch.save(WRAPPINGS[wrapping](dict(net.state_dict())), tmp_path / "net.pth")
    out = tmp_path / "net.safetensors"
    assert call(["weights", "import", "iresnet", str(tmp_path / "net.pth"), "--out", str(out)]) == 0
    loaded = open_embedder(str(out))
    assert loaded.net.config == net.config
    faces = torch.rand(2, 3, 112, 112) * 2 - 1
    tolerance = 0.05 if wrapping == "half" else 1e-6
    torch.testing.assert_close(
        loaded.embed(faces, "arcface-112"), net(faces), atol=tolerance, rtol=tolerance
    )


def test_class_weights_of_the_margin_head_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "magface.pth"
    torch.save(WRAPPINGS["magface"](dict(small().state_dict())), path)
    imported = import_official("iresnet", path)
    assert imported.report.fits
    assert "left out: fc.weight (class weights of a margin head)" in str(imported.report)


def test_anything_else_beside_the_net_is_unexpected(tmp_path: Path) -> None:
    state = {f"module.{k}": v for k, v in small().state_dict().items()}
    torch.save({**state, "extra.bias": torch.zeros(6)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"unexpected in extra: extra\.bias"):
        import_official("iresnet", tmp_path / "x.pth")


def test_a_request_that_contradicts_the_weights_is_refused(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="the weights have dim 6, asked for 512"):
        import_official("iresnet", tmp_path / "x.pth", overrides={"dim": 512})
    import_official("iresnet", tmp_path / "x.pth", overrides={"layers": [2, 1, 1, 1]})


def test_a_foreign_state_is_no_iresnet(tmp_path: Path) -> None:
    torch.save({"cls_token": torch.zeros(1, 1, 4)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="unexpected in cls_token"):
        import_official("iresnet", tmp_path / "x.pth", overrides=SMALL)


def test_export_gives_the_official_names_back(tmp_path: Path) -> None:
    net = small(se=True)
    torch.save(net.state_dict(), tmp_path / "x.pth")
    import_official("iresnet", tmp_path / "x.pth").save(tmp_path / "x.safetensors")
    export_official(tmp_path / "x.safetensors", tmp_path / "back.pth")
    bare = torch.load(tmp_path / "back.pth", weights_only=True)  # as published: no wrapper
    assert bare.keys() == net.state_dict().keys()
    back = read_weights(tmp_path / "back.pth").state
    assert back.keys() == net.state_dict().keys()
    assert all(torch.equal(back[k], v) for k, v in net.state_dict().items())


def test_a_net_is_no_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(small().state_dict(), tmp_path / "x.pth")
    import_official("iresnet", tmp_path / "x.pth").save(tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="holds a frozen net, not a pre-training model"):
        load_method(tmp_path / "x.safetensors")
    assert call(["list", "methods"]) == 0
    assert "iresnet" not in capsys.readouterr().out
    assert call(["pretrain", "iresnet", "--data", "digits", "--out", str(tmp_path / "run")]) == 2
