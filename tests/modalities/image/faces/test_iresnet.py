"""IResNet: the official block's outputs, key set and sizes; published files in all wrappings."""

from pathlib import Path

import pytest
import torch

from masquerade.cli.main import call
from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.weights import read_weights
from masquerade.methods.weights import export_official, import_official, load_method
from masquerade.modalities.image.faces.embedders import open_embedder
from masquerade.modalities.image.faces.iresnet import IBlock, IResNet, IResNetConfig

SMALL = {"layers": (2, 1, 1, 1), "widths": (4, 4, 8, 16), "dim": 6}


def small(*, se: bool = False) -> IResNet:
    torch.manual_seed(0)
    net = IResNet(IResNetConfig(**SMALL, se=se))
    with torch.no_grad():
        net(torch.rand(4, 3, 112, 112))  # running statistics of its own
    return net.eval()


@pytest.mark.parametrize(("case", "se"), [("block_normal", False), ("block_se", True)])
def test_block_equals_the_official_one(shared: Path, case: str, se: bool) -> None:
    """Golden vectors of the official code, with and without the gate on the shortcut."""
    import numpy as np

    path = shared / "golden" / "vec2face_fr.npz"
    if not path.is_file():
        pytest.skip(f"no golden vectors at {path}")
    with np.load(path, allow_pickle=False) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files if name != "config"}
    start = f"weight/{case}."
    block = IBlock(16, 32, 2, se=se).eval()
    block.load_state_dict({k[len(start) :]: v for k, v in golden.items() if k.startswith(start)})
    found = block(golden[f"input/{case}_x"])
    torch.testing.assert_close(found, golden[f"output/{case}_y"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("depth", "millions"), [(18, 24.03), (34, 34.14), (50, 43.59), (100, 65.16)]
)
def test_parameters_are_as_many_as_published(depth: int, millions: float) -> None:
    """InsightFace's model zoo: r18 24.03 M, r34 34.14 M, r50 43.59 M, r100 65.16 M."""
    with torch.device("meta"):
        net = IResNet(IResNetConfig.of_depth(depth))
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


def test_keys_are_the_official_ones() -> None:
    """The list of the card (vec2face, section 7), for two blocks."""
    names = set(small(se=True).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv1.weight", "prelu.weight", "fc.weight", "fc.bias"}
    expected |= {f"{bn}.{part}" for bn in ("bn1", "bn2", "features") for part in norm}
    block = {"conv1.weight", "conv2.weight", "prelu.weight", "attn.fc1.weight", "attn.fc2.weight"}
    block |= {f"{bn}.{part}" for bn in ("bn1", "bn2", "bn3") for part in norm}
    down = {"downsample.0.weight", *(f"downsample.1.{part}" for part in norm)}
    for at in ("1.0", "1.1", "2.0", "3.0", "4.0"):
        expected |= {f"layer{at}.{name}" for name in block | (down if at[-1] == "0" else set())}
    assert names == expected


def test_last_batch_norm_does_not_learn_its_weight() -> None:
    net = IResNet(IResNetConfig(**SMALL))
    assert not net.features.weight.requires_grad
    assert net.features.bias.requires_grad
    assert torch.equal(net.features.weight, torch.ones(6))


def test_dropout_is_for_training_only() -> None:
    net, faces = small(), torch.rand(2, 3, 112, 112)
    assert torch.equal(net(faces), net(faces))
    net.dropout.train()
    torch.manual_seed(0)
    assert not torch.equal(net(faces), net(faces))


def test_gate_scales_the_shortcut_not_the_branch() -> None:
    """Closed form: with the branch's last norm at zero, the output is the gated input alone."""
    block = IBlock(4, 4, 1, se=True).eval()
    block.bn3.weight.data.zero_()
    x = torch.randn(2, 4, 6, 6)
    gate = (block.attn.fc2(block.attn.fc1(x.mean((2, 3), keepdim=True)).relu())).sigmoid()
    torch.testing.assert_close(block(x), x * gate)


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


def test_unknown_depth_lists_the_published_ones() -> None:
    with pytest.raises(UsageError, match="no IResNet of depth 20; choose one of: 18, 34, 50, 100"):
        IResNetConfig.of_depth(20)
