"""IResNet: the official block's outputs, key set and sizes."""

from pathlib import Path

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.errors import UsageError
from masquerade.core.iresnet import SIDE, IBlock, IResNet, IResNetConfig
from masquerade.modalities.image.faces.templates import ARCFACE_112, template

SMALL = {"layers": (2, 1, 1, 1), "widths": (4, 4, 8, 16), "dim": 6}


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
        net = IResNet(IResNetConfig(layers=depth))
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


def test_keys_are_the_official_ones() -> None:
    """The list of the card (vec2face, section 7), for two blocks."""
    names = set(IResNet(IResNetConfig(**SMALL, se=True)).state_dict())
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
    net, faces = IResNet(IResNetConfig(**SMALL)).eval(), torch.rand(2, 3, 112, 112)
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


def test_it_reads_pictures_of_its_template() -> None:
    assert template(ARCFACE_112).size == SIDE


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (20, "expected one of the depths 18, 34, 50, 100, or four numbers of blocks, got 20"),
        ((3, 0, 1, 1), "expected whole numbers from 1"),
        ((3, 4, 6), "layers"),
    ],
)
def test_unknown_depths_and_blocks_are_one_sentence(layers, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build(IResNetConfig, {"layers": layers}, "method")
    assert "\n" not in str(caught.value)


def test_vectors_are_float32_under_autocast() -> None:
    net, faces = IResNet(IResNetConfig(**SMALL)).eval(), torch.rand(2, 3, 112, 112)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(faces)
        maps = net.maps(faces)[-1]
        last = net.head(maps)
    assert maps.dtype == torch.bfloat16
    assert half.dtype == torch.float32
    # the layer itself adds no rounding to bfloat16: equal to float32 arithmetic on the same maps
    flat = net.bn2(maps.float()).flatten(1)
    torch.testing.assert_close(last, net.features(net.fc(flat)), atol=0.05, rtol=0.05)
    coarse = last.bfloat16().float()
    assert not torch.equal(last, coarse)
