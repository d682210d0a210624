"""The recognition side of Vec2Face against the official code, array by array.

The net's block and the margin heads of its trainer, alignment, the folded verification protocol,
and template verification.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from masquerade.core.iresnet import IBlock
from masquerade.core.margins import STATISTICS, ArcMargin, CosMargin, MagMargin, Margin
from masquerade.core.metrics import pair_folds, verification
from masquerade.core.metrics.templates import Pooling, unit_templates
from masquerade.modalities.image.faces.alignment import similarity
from masquerade.modalities.image.faces.templates import ARCFACE_112, template

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden  # noqa: E402

PATHS = golden_files("vec2face_fr")


def margin_of(case: str) -> Margin:
    """The margin that a case's name stands for."""
    if case == "magface":
        return MagMargin(weight=1.0)
    found = re.search(r"_m3_(.+)$", case)
    if found:
        return CosMargin(m=float(found[1]))
    found = re.search(r"_m2_(.+)$", case)
    return ArcMargin(m=float(found[1]) if found else 0.5)


def check_margin(golden: Golden, compared: Compared, case: str) -> None:
    """Logits, cross-entropy, its gradient in the cosines, and MagFace's term of the norms."""
    name, margin = f"margin_{case}", margin_of(case)
    cosines = golden.tensor(f"input/{name}_cos").requires_grad_()
    labels = golden.tensor(f"input/{name}_label")
    rows = torch.arange(len(labels))
    key = f"input/{name}_embeddings"
    norms = golden.tensor(key).norm(dim=1) if key in golden.arrays else torch.ones(len(labels))
    changed = margin(cosines[rows, labels], norms, torch.tensor(STATISTICS))
    logits = margin.scale * cosines.index_put((rows, labels), changed)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    compared.check(f"{name}_logits", logits, rtol=0, atol=1e-4)
    compared.check(f"{name}_ce", loss, rtol=1e-6, atol=1e-4)
    compared.check(f"{name}_grad", cosines.grad, rtol=0, atol=1e-5)
    if f"output/{name}_regulariser" in golden.arrays:
        compared.check(f"{name}_regulariser", margin.penalty(norms).mean(), rtol=0, atol=1e-6)


def check_block(golden: Golden, compared: Compared, case: str) -> None:
    """The residual block, with squeeze-and-excitation where its weights are there."""
    start = f"block_{case}."
    state = {
        k[len(start) :]: torch.from_numpy(v)
        for k, v in golden.group("weight").items()
        if k.startswith(start)
    }
    n_out, n_in = state["conv1.weight"].shape[:2]
    x = golden.tensor(f"input/block_{case}_x")
    stride = x.shape[-1] // golden.arrays[f"output/block_{case}_y"].shape[-1]
    block = IBlock(n_in, n_out, stride, se="attn.fc1.weight" in state).eval()
    block.load_state_dict(state)
    compared.check(f"block_{case}_y", block(x), rtol=0, atol=1e-5)


def check_alignment(golden: Golden, compared: Compared) -> None:
    target = template(ARCFACE_112).points
    compared.check("align_template", target, rtol=0, atol=1e-5)
    landmarks = golden.arrays["input/align_landmarks"]
    matrices = np.stack([similarity(points, target) for points in landmarks])
    compared.check("align_matrix", matrices, rtol=0, atol=5e-5)


def check_verification(golden: Golden, compared: Compared) -> None:
    """Flip-sum, unit length, distances; folds in order, a grid of thresholds, strictly below."""
    summed = sum(
        golden.arrays[f"input/verif_features{side}"].astype(np.float64) for side in ("", "_flip")
    )
    unit = verification.unit_embeddings(summed)
    same = golden.arrays["input/verif_issame"].astype(bool)
    first = 2 * np.arange(len(same))
    distances = verification.squared_distances(unit, first, first + 1)
    folds = pair_folds.contiguous_folds(len(same), golden.config["folds"])
    found = pair_folds.decide(distances, same, folds, pair_folds.grid_threshold)
    exact = {"rtol": 0, "atol": 1e-6}
    compared.check("verif_fold_accuracy", found.accuracies, **exact)
    spread = [found.accuracy, float(np.std(found.accuracies))]
    compared.check("verif_accuracy_mean_std", spread, **exact)
    curves = [
        pair_folds.decide(distances, same, folds, lambda *_, t=t: t)
        for t in pair_folds.ACCURACY_GRID
    ]
    compared.check("verif_tpr", [at.mean_tar for at in curves], **exact)
    compared.check("verif_fpr", [at.mean_far for at in curves], **exact)


def check_templates(golden: Golden, compared: Compared) -> None:
    """Flip-sum times detector score, mean of a medium, sum of media; scores of listed pairs."""
    given = golden.group("input")
    both = given["ijb_features_concat"].astype(np.float64)
    width = both.shape[1] // 2
    names, row = np.unique(given["ijb_template"], return_inverse=True)
    pooling = Pooling.of(
        np.arange(len(both)), row, given["ijb_media"], given["ijb_detector_score"],
        (len(names), len(both)),
    )  # fmt: skip
    sums = pooling.pooled([(np.arange(len(both)), both[:, :width] + both[:, width:])])
    unit = unit_templates(sums, map(str, names)).astype(np.float64)
    compared.check("ijb_templates", names, rtol=0, atol=0)
    compared.check("ijb_template_features", unit, rtol=0, atol=1e-6)
    first, second = (unit[np.searchsorted(names, given[f"ijb_{side}"])] for side in ("p1", "p2"))
    scores = (first * second).sum(axis=1)
    compared.check("ijb_scores", scores, rtol=0, atol=1e-6)
    # the list holds templates beside themselves: the last bit of a cosine of 1 ranks those, so the
    # curve is made of the stored scores
    curve = verification.roc(golden.arrays["output/ijb_scores"], given["ijb_label"].astype(bool))
    tars = [
        verification.tar_at_far(curve, far, "nearest").tar
        for far in given["ijb_far_points"].tolist()
    ]
    compared.check("ijb_tar_at_far", tars, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_vec2face_fr_equals_official_code(path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    names = golden.group("output")
    for name in names:
        found = re.fullmatch(r"(?:margin_(.+)_logits|block_(.+)_y)", name)
        if found and found[1]:
            check_margin(golden, compared, found[1])
        elif found:
            check_block(golden, compared, found[2])
    check_alignment(golden, compared)
    check_verification(golden, compared)
    check_templates(golden, compared)
    compared.finish()
