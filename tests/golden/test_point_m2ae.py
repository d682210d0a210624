"""Point-M2AE against the official code's vectors, through `weights import`."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.keymap import to_official
from masquerade.core.masking import Mask
from masquerade.core.points.masked_autoencoder import levels_of, visible_of
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.weights import read_weights
from masquerade.methods.point_cloud.point_m2ae import PointM2AE
from masquerade.methods.weights import export_official, import_official, load_method

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden  # noqa: E402

PATHS = golden_files("point-m2ae")
ABSOLUTE = {"rtol": 0, "atol": 1e-4}  # card section 11
EXACT = {"rtol": 0, "atol": 0}


def settings(golden: Golden, **more) -> dict:
    """What the weights do not tell; the official code's habits are switched on."""
    config = golden.config
    return {
        "groups": config["num_groups"], "sizes": config["group_sizes"],
        "heads": config["num_heads"], "radii": config["local_radius"],
        "drop_path": config["drop_path_rate"], "masking": {"ratio": config["mask_ratio"]},
        "first_token_quirk": True, "padding_leak": True, **more,
    }  # fmt: skip


def container(golden: Golden, path: Path, prefix: str = "") -> Path:
    """The weights as the published file: {'base_model': state, 'epoch': …}."""
    state = {prefix + k: torch.from_numpy(v.copy()) for k, v in golden.group("weight").items()}
    torch.save({"base_model": state, "epoch": 300, "optimizer": {"param_groups": []}}, path)
    return path


@pytest.mark.parametrize("path", PATHS)
def test_point_m2ae_equals_official_code(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    official = container(golden, tmp_path / "official.pth", "module.")
    imported = import_official("point-m2ae", official, overrides=settings(golden))
    imported.save(tmp_path / "ours.safetensors")
    model = load_method(tmp_path / "ours.safetensors", expect="point-m2ae")
    assert isinstance(model, PointM2AE)
    batch = Batch({"points": golden.tensor("input/points")}, ids=torch.arange(2))
    mask = Mask.from_bool(golden.tensor("input/mask_top"))

    levels = levels_of(batch["points"], model.config)
    for level, visible in enumerate(visible_of(~mask.as_bool(), levels, model.config)):
        compared.check(f"mask_level{level}", ~visible, **EXACT)

    # evaluation first: a training pass moves the running statistics
    model.eval()
    compared.check("eval_loss", model(batch, None, StepContext(), mask=mask).loss, **ABSOLUTE)
    compared.check("svm_feature", model.features(batch), **ABSOLUTE)
    given = settings(golden, radii=[0] * len(levels))
    plain = import_official("point-m2ae", official, overrides=given).module.eval()
    compared.check(
        "eval_loss_radius0", plain(batch, None, StepContext(), mask=mask).loss, **ABSOLUTE
    )
    compared.check("svm_feature_radius0", plain.features(batch), **ABSOLUTE)

    model.train()
    loss = model(batch, None, StepContext(), mask=mask).loss
    compared.check("train_loss", loss, **ABSOLUTE)
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    gradients = to_official(found, PointM2AE.KEYMAP)
    for name in golden.group("output/grad"):
        compared.check(f"grad/{name}", gradients[name], **ABSOLUTE)
    compared.finish()


@pytest.mark.parametrize("path", PATHS)
def test_the_padding_leak_is_seen_and_off_by_default(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    official = container(golden, tmp_path / "official.pth")
    given = settings(golden, padding_leak=False)
    model = import_official("point-m2ae", official, overrides=given).module.eval()
    batch = Batch({"points": golden.tensor("input/points")}, ids=torch.arange(2))
    mask = Mask.from_bool(golden.tensor("input/mask_top"))
    loss = model(batch, None, StepContext(), mask=mask).loss.item()
    wanted, leaking = (float(golden.arrays[f"output/eval_loss{s}"]) for s in ("_radius0", ""))
    assert loss == pytest.approx(wanted, abs=1e-4)
    assert abs(loss - leaking) > 1e-6


@pytest.mark.parametrize("path", PATHS)
def test_export_gives_the_official_file_back(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    official = container(golden, tmp_path / "official.pth")
    imported = import_official("point-m2ae", official, overrides=settings(golden))
    imported.save(tmp_path / "ours.safetensors")
    export_official(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    content = torch.load(tmp_path / "back.pth", weights_only=True)
    state = golden.group("weight")
    assert content["base_model"].keys() == state.keys()
    back = PointM2AE.unwrapped(read_weights(tmp_path / "back.pth").state)[0]
    assert all((back[k].numpy() == state[k]).all() for k in state)
