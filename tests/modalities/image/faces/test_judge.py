"""The PCA+LDA judge: what it sees, that it tells unseen people apart, its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from masquerade.core.errors import DataError, WeightsError
from masquerade.core.weights import save_module
from masquerade.modalities.image.faces.embedders import face_net_of, open_embedder
from masquerade.modalities.image.faces.judge import (
    WEIGHTS,
    Judge,
    JudgeSettings,
    fit_judge,
    small_faces,
)

SETTINGS = JudgeSettings(components=20, dim=8)


def people(n: int, each: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Mirror-symmetric smooth patterns as people, with smooth noise and light as pictures."""
    draw = torch.Generator().manual_seed(seed)
    own = torch.randn(n, 1, 8, 8, generator=draw)
    own = (own + own.flip(-1)).repeat_interleave(each, 0)
    noisy = own + 0.6 * torch.randn(n * each, 1, 8, 8, generator=draw)
    faces = functional.interpolate(noisy, size=(112, 112), mode="bicubic").expand(-1, 3, -1, -1)
    light = torch.rand(n * each, 1, 1, 1, generator=draw) * 0.3
    return (faces * 0.2 + light).clamp(-1, 1), np.repeat(np.arange(n), each)


def gap(judge: Judge, faces: torch.Tensor, labels: np.ndarray) -> float:
    """Mean cosine of pictures of one person minus that of different people."""
    found = judge.embed(faces, "arcface-112").numpy()
    same = labels[:, None] == labels[None]
    cosine = found @ found.T
    return float(cosine[same & ~np.eye(len(labels), dtype=bool)].mean() - cosine[~same].mean())


@pytest.fixture(scope="module")
def judge() -> Judge:
    return fit_judge(*people(30, 6, 0), SETTINGS, ("patterns",))


def test_judge_tells_unseen_people_apart(judge: Judge) -> None:
    faces, labels = people(10, 6, 1)
    assert gap(judge, faces, labels) > 0.3
    assert abs(gap(judge, faces, np.random.default_rng(0).permutation(labels))) < 0.1


def test_vectors_are_of_unit_length_and_mirror_images_alike(judge: Judge) -> None:
    faces, _ = people(6, 1, 2)
    found = judge.embed(faces, "arcface-112")
    torch.testing.assert_close(found.norm(dim=1), torch.ones(6))
    mirrored = judge.embed(faces.flip(-1), "arcface-112")
    others = found @ found.T - torch.eye(6) * 2
    assert bool(((found * mirrored).sum(1) > others.max(1).values).all())


def test_brightness_colour_and_surroundings_are_not_seen() -> None:
    faces, _ = people(2, 1, 3)
    seen = small_faces(faces)
    assert seen.shape == (2, 38 * 36)
    torch.testing.assert_close(small_faces(faces * 0.9 + 0.05), seen, atol=0.3, rtol=0)
    torch.testing.assert_close(small_faces(faces + 0.1), seen, atol=1e-4, rtol=0)
    around = faces.clone()
    around[:, :, :30], around[:, :, 106:] = 1, -1
    around[..., :20], around[..., 92:] = -1, 1
    assert torch.equal(small_faces(around), seen)


def test_pictures_are_halved_by_the_mean_of_four_pixels() -> None:
    """By hand: one white pixel at (30, 20) is a quarter of the first value, before centring."""
    face = torch.zeros(1, 3, 112, 112)
    face[:, :, 30, 20] = 1.0
    found = small_faces(face)[0]
    raw = torch.zeros(38 * 36)
    raw[0] = 0.25
    expected = (raw - raw.mean()) / (raw.std() + 0.05)
    torch.testing.assert_close(found, expected)


def test_saved_judge_is_the_same(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    judge.save(path)
    loaded = open_embedder(str(path))
    faces, _ = people(3, 1, 4)
    assert torch.equal(loaded.embed(faces, "arcface-112"), judge.embed(faces, "arcface-112"))
    assert (loaded.hash, loaded.training_data) == (judge.hash, ("patterns",))
    assert face_net_of(path) == "pca-lda"


def test_fit_is_repeatable_and_its_hash_is_of_what_was_learned(judge: Judge) -> None:
    assert fit_judge(*people(30, 6, 0), SETTINGS).hash == judge.hash
    assert fit_judge(*people(30, 6, 5), SETTINGS).hash != judge.hash


def test_gradients_reach_the_pictures(judge: Judge) -> None:
    faces = people(2, 1, 6)[0].clone().requires_grad_(True)
    judge.embed(faces, "arcface-112")[:, 0].sum().backward()
    assert faces.grad[:, :, 30:106, 20:92].abs().sum() > 0


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(4, 3, 112, 112), [0, 0, 0, 0], "got 1 with at most 4"),
        (torch.zeros(3, 3, 112, 112), [0, 1, 2], "got 3 with at most 1"),
        (torch.zeros(2, 3, 112, 112), [0], "and 1"),
        (torch.zeros(2, 3, 150, 150), [0, 0], "150, 150"),
        (torch.zeros(0, 3, 112, 112), [], "got 0 with at most 0"),
    ],
)
def test_what_no_judge_can_be_fitted_on_is_refused(images, labels, message) -> None:
    with pytest.raises(DataError, match=message):
        fit_judge(images, np.array(labels, dtype=np.int64), SETTINGS)


def test_arrays_of_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_module(torch.nn.Linear(2, 2), path, method="pca-lda", container="judge", config={})
    with pytest.raises(WeightsError, match=r"expected the arrays mean \(1368,\)"):
        open_embedder(str(path))


def test_shipped_judge_is_small_and_says_what_it_was_fitted_on() -> None:
    judge = open_embedder("pca-lda")
    assert (judge.name, judge.width, judge.template) == ("pca-lda", 64, "arcface-112")
    assert judge.training_data == ("faces-split:train",)
    assert WEIGHTS.stat().st_size < 2 << 20
    assert (WEIGHTS.parent / "LICENSE-pca-lda.txt").is_file()


def test_shipped_judge_tells_held_out_people_apart(held_out_faces) -> None:
    """Measured on all 574 held-out pictures: AUC 0.977."""
    faces, labels = held_out_faces
    assert gap(open_embedder("pca-lda"), faces, labels) > 0.3
