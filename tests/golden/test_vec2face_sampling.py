"""Vec2Face's vectors against the official code: AttrOP, perturbation, separability.

The network and its losses are compared in `test_vec2face.py`.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from masquerade.core.masking import RowDropMasker
from masquerade.core.metrics.separability import separability
from masquerade.generators.vec2face.attrop import AttrOP
from masquerade.generators.vec2face.attrop_losses import AttrOpSettings
from masquerade.generators.vec2face.estimators import FeatureNorm, Yaw
from masquerade.generators.vec2face.perturbation import Perturbation, expected_cosine, perturbed
from masquerade.generators.vec2face.sampling import GaussianSampler

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_case import build_parts, generator_files, pooled_linear  # noqa: E402
from vectors import Compared, Golden, read_golden  # noqa: E402

PATHS = generator_files()
OURS = re.compile(r"(attrop|perturb|separability)_.*")
_STD = 0.9673  # of the vectors whose statistics are stored: per-dimension, of WebFace4M
_STATS = re.compile(r"perturb_stats_sigma(.+)")


def rotation(angles: Tensor) -> Tensor:
    """Rz Ry Rx (B, 3, 3) of angles (B, 3) about x, y, z."""
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    one, zero = torch.ones_like(cx), torch.zeros_like(cx)
    rows = [
        [[one, zero, zero], [zero, cx, -sx], [zero, sx, cx]],
        [[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]],
        [[cz, -sz, zero], [sz, cz, zero], [zero, zero, one]],
    ]
    x, y, z = (torch.stack([torch.stack(r, 1) for r in matrix], 1) for matrix in rows)
    return z @ y @ x


def estimators(golden: Golden) -> tuple[Callable, FeatureNorm, Yaw]:
    """The stand-ins that the file's config describes."""
    angles = pooled_linear(golden, "pose", 4)
    return (
        pooled_linear(golden, "fr", 8),
        FeatureNorm(pooled_linear(golden, "quality", 4)),
        Yaw(lambda images: rotation(angles(images))),
    )


def attrop_cases(golden: Golden) -> dict:
    """Targets and rate of both cases, as the file's config tells them."""
    told = re.search(
        r"lr (\S+), q_target (\S+) \(quality\) / (\S+) with pose (\S+)", golden.config["notes"]
    )
    assert told is not None
    lr, alone, beside, pose = (float(number) for number in told.groups())
    return {
        "quality": {"lr": lr, "quality_target": alone},
        "pose": {"lr": lr, "quality_target": beside, "pose_target": pose},
    }


def check_attrop(golden: Golden, compared: Compared, case: str, settings: dict) -> None:
    net = build_parts(golden)["net"].requires_grad_(False)
    features, quality, yaw = estimators(golden)
    noise = golden.tensor(f"input/attrop_{case}_noise")
    rate = float(golden.arrays["input/mask_rate"])
    masker = RowDropMasker(r_min=golden.config["rmin"])
    losses, vectors = [], []

    def paint(rows: Tensor, _: Tensor, iteration: int) -> Tensor:
        # the loop measures once more than it steps; no noise is stored for that
        step = min(iteration, len(noise) - 1)
        return net(rows, masker.from_noise(noise[step], rate)).image

    def watch(_: int, loss: float, moved: Tensor) -> None:
        losses.append(loss)
        vectors.append(moved.detach().clone())

    start = golden.tensor("input/rep")
    name = f"input/attrop_{case}_class_rep"
    wanted = golden.tensor(name) if name in golden.arrays else start
    given = AttrOpSettings(cap=len(noise), gate="batch", **settings)
    AttrOP(given, features, quality, yaw).run(start, wanted, paint, watch)
    compared.check(f"attrop_{case}_loss", losses, rtol=1e-4, atol=0)
    compared.check(f"attrop_{case}_vectors", torch.stack(vectors), rtol=1e-4, atol=2e-5)


def check_perturbation(golden: Golden, compared: Compared) -> None:
    base, noise = golden.tensor("input/perturb_base"), golden.tensor("input/perturb_noise_rows")
    compared.check("perturb_vectors", perturbed(base, noise), rtol=1e-6, atol=1e-6)
    rows = torch.arange(4000)
    vectors = torch.from_numpy(GaussianSampler(width=512, std=_STD).draw(0, 0, 4000))
    for name in golden.group("output"):
        found = _STATS.fullmatch(name)
        if not found:
            continue
        sigma = float(found[1])
        mode = Perturbation(sigmas=(sigma,), shares=(1.0,))
        moved, _ = mode(vectors, 1, rows, torch.zeros_like(rows), n_identities=4000, images=1)
        cosine = torch.nn.functional.cosine_similarity(moved, vectors)
        ratio = (moved.norm(dim=1) / vectors.norm(dim=1)).mean()
        ours = [float(cosine.mean()), float(cosine.std()), float(ratio)]
        # other draws of the same distribution: four standard errors of 4,000 rows
        mean, std, norm = golden.arrays[f"output/{name}"]
        assert ours[0] == pytest.approx(mean, abs=4 * std * (2 / 4000) ** 0.5)
        assert ours[1] == pytest.approx(std, rel=0.1)
        assert ours[2] == pytest.approx(norm, abs=1e-6)
        assert expected_cosine(_STD * 512**0.5, 512, sigma) == pytest.approx(mean, abs=1e-3)
        compared.done.add(name)


@pytest.mark.parametrize("path", PATHS)
def test_vec2face_vectors_equal_official_code(path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    cases = attrop_cases(golden)
    for case, settings in cases.items():
        if f"output/attrop_{case}_loss" in golden.arrays:
            check_attrop(golden, compared, case, settings)
    if "output/perturb_vectors" in golden.arrays:
        check_perturbation(golden, compared)
    if "output/separability_unique" in golden.arrays:
        found = separability(golden.arrays["input/separability_centers"])
        compared.check("separability_unique", np.array(found.unique[-1]), atol=0, rtol=0)
    assert {n for n in golden.group("output") if OURS.fullmatch(n)} == compared.done
