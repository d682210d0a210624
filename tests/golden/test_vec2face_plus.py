"""Vec2Face+ against the official code's vectors: adapters, and the pose condition's path."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.masking import RowDropMasker
from masquerade.methods.weights import export_official

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_case import build_parts, import_golden, official_weights  # noqa: E402
from vectors import Compared, golden_files, read_golden  # noqa: E402

PATHS = golden_files("vec2face_plus")


@pytest.mark.parametrize("path", PATHS)
def test_vec2face_plus_equals_official_code(path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    net = build_parts(golden)["net"]
    masker = RowDropMasker(r_min=golden.config["rmin"])
    rate = float(golden.arrays["input/mask_rate"])
    mask = masker.from_noise(golden.tensor("input/mask_noise"), rate)
    hidden = torch.cat([torch.zeros(len(mask.mask_bool), 1), mask.mask_bool.float()], dim=1)
    compared.check("all_mask", hidden, rtol=0, atol=0)
    for case, condition in (("nocond", None), ("cond", golden.tensor("input/cond"))):
        made = net(golden.tensor("input/rep"), mask, condition)
        compared.check(f"logits_{case}", made.logits, rtol=0, atol=2e-5)
        compared.check(f"image_{case}", made.image, rtol=0, atol=1e-4)
    compared.finish()


@pytest.mark.parametrize("path", PATHS)
def test_adapters_come_back_under_their_official_names(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    export_official(import_golden(golden, tmp_path), tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model_vec2face"]
    weights = official_weights(golden)
    assert back.keys() == weights.keys()
    assert all((back[k].numpy() == v).all() for k, v in weights.items())
