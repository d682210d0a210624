"""The closed-form teacher: the regression it says it is, and a step that learns from it alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.perceptual import ssim
from masquerade.core.step import StepContext
from masquerade.generators.vec2face.teacher import Teacher, TeacherSettings, teaching_loss
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve
from masquerade.modalities.image import Image

sys.path.insert(0, str(Path(__file__).parent))
from tiny_method import faces, overrides, tiny, write_faces  # noqa: E402

SAME_FOR_ALL = TeacherSettings(variation=0)
TAUGHT = {"frame": "fitted", "base": "mean", "base_size": 16, "jitter": {"flip": 0.5}}


def taught(**more):
    method = tiny(**TAUGHT, **more)
    batch = faces(8)
    method.fit([batch.rows(0, 5), batch.rows(5, 8)])
    return method, batch


def test_it_is_scikit_learns_kernel_ridge():
    rng = np.random.default_rng(0)
    vectors, pictures, new = (rng.normal(size=s) for s in ((30, 6), (30, 3, 4, 4), (5, 6)))
    settings = TeacherSettings(width=0.7, ridge=2.0, variation=0)
    teacher = Teacher(torch.tensor(vectors), torch.tensor(pictures), settings)
    flat = pictures.reshape(30, -1)
    gamma = 1 / (2 * 0.7 * (vectors**2).sum(1).mean())
    reference = KernelRidge(alpha=2.0, kernel="rbf", gamma=gamma).fit(vectors, flat - flat.mean(0))
    expected = reference.predict(new) + flat.mean(0)
    drawn = teacher(torch.tensor(new)).flatten(1)
    assert np.allclose(drawn, expected, atol=1e-5)


def test_too_many_pictures_are_refused():
    with pytest.raises(UsageError, match="20001 pictures needs a matrix"):
        Teacher(torch.zeros(20_001, 1), torch.zeros(20_001, 1, 1, 1), SAME_FOR_ALL)


def test_loss_is_taken_at_the_side_of_what_is_taught():
    images = torch.zeros(1, 3, 4, 4)
    images[..., ::2, ::2] = 4.0  # every 2 x 2 block has the mean 1
    assert float(teaching_loss(images, torch.ones(1, 3, 2, 2))) == 0
    assert float(teaching_loss(images, torch.zeros(1, 3, 2, 2))) == 1


def test_similarity_weighs_in_as_one_minus_ssim():
    images, pictures = (torch.rand(2, 3, 32, 32) * 2 - 1 for _ in range(2))
    plain, both = teaching_loss(images, pictures), teaching_loss(images, pictures, 0.5)
    expected = 0.5 * (1 - ssim((images + 1) / 2, (pictures + 1) / 2))
    assert float(both - plain) == pytest.approx(float(expected), rel=1e-5)


def test_fresh_vectors_have_the_moments_and_norms_of_the_training_ones():
    vectors = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [3.0, 1.0, 0.3]
    )
    teacher = Teacher(vectors, torch.zeros(400, 3, 2, 2), SAME_FOR_ALL)
    fresh = teacher.some(Draws(0, torch.arange(4000)))
    assert torch.isin(
        fresh.norm(dim=1).mul(1e3).round(), vectors.norm(dim=1).mul(1e3).round()
    ).all()
    deviations = fresh.std(0)  # the norms are brought to others', so only their order is kept
    assert deviations[0] > 1.5 * deviations[1] > 3 * deviations[2]
    assert torch.cdist(fresh, vectors).min() > 0  # nobody's


PEOPLE = torch.arange(40) % 20


@pytest.fixture
def faces_of_20():
    """20 people of unequal brightness, two pictures each, which differ in the upper half only."""
    draws = Draws(1, torch.arange(20))
    vectors = draws.normal(4).repeat(2, 1)
    apart = torch.zeros(40, 3, 4, 4)
    apart[:, :, :2] = 0.3 * draws.fork("own").normal()[:, None, None, None].repeat(2, 1, 1, 1)
    apart[20:] *= -1
    return vectors, vectors[:, :3, None, None] + apart, apart


def test_what_is_taught_differs_by_mask_as_real_pictures_of_a_person_do(faces_of_20):
    vectors, pictures, apart = faces_of_20
    varied = Teacher(vectors, pictures, TeacherSettings(variation=0.5), PEOPLE)
    hidden = Draws(0, torch.arange(4000)).uniform(49) < 0.3
    taught = varied(torch.ones(4000, 4), hidden)
    assert taught[:, :, 2:].std(0).max() < 1e-5  # nobody's pictures differ there
    upper = taught[:, 0, 0, 0]
    # 49 Gaussian rows mixed: half the real deviation, give or take 1 / sqrt(2 * 49) three times
    assert float(upper.std() / apart[:, 0, 0, 0].std()) == pytest.approx(0.5, rel=0.3)
    assert torch.equal(taught[:9], varied(torch.ones(9, 4), hidden[:9]))


def test_contrast_stretches_what_is_taught_around_the_mean_picture(faces_of_20):
    vectors, pictures, _ = faces_of_20
    plain, more = (
        Teacher(vectors, pictures, TeacherSettings(variation=0, contrast=c)) for c in (1.0, 1.3)
    )
    mean, asked = pictures.mean(0), torch.ones(2, 4)
    assert torch.allclose(more(asked) - mean, 1.3 * (plain(asked) - mean), atol=1e-5)


def test_a_mask_of_all_or_no_rows_moves_nothing(faces_of_20):
    vectors, pictures, _ = faces_of_20
    varied = Teacher(vectors, pictures, TeacherSettings(), PEOPLE)
    vector = torch.ones(2, 4)
    hidden = torch.stack([torch.ones(49), torch.zeros(49)]).bool()
    assert torch.allclose(varied(vector, hidden), varied(vector), atol=1e-5)


def test_variation_needs_people_with_several_pictures():
    for people in (None, torch.arange(3)):
        with pytest.raises(UsageError, match=r"two pictures of some person.*teacher.variation=0"):
            Teacher(torch.eye(3), torch.zeros(3, 3, 2, 2), TeacherSettings(), people)


def test_lessons_hold_mirrored_faces_in_the_frame():
    method, batch = taught(teacher={"share": 0.5})
    vectors = method._frozen["teacher"].vectors
    both = torch.cat([batch["image"], batch["image"].flip(-1)])
    assert len(vectors) == 16
    expected = method.embed(both)
    assert torch.cdist(expected, vectors).min(dim=1).values.max() < 1e-3


def test_first_share_learns_from_the_teacher_alone_and_looks_at_no_face():
    method, batch = taught(teacher={"share": 0.5}, weights={"gan": 0.0})
    draws = Draws(0, batch.ids)
    early = method(batch, draws, StepContext(progress=0.49))
    assert set(early.parts) == {"teacher"}
    blank = type(batch)({"image": torch.zeros_like(batch["image"])}, batch.ids, batch.labels)
    assert torch.equal(method(blank, draws, StepContext(progress=0.49)).loss, early.loss)
    late = method(batch, draws, StepContext(progress=0.5))
    assert set(late.parts) == {"rec", "lpips", "ssim", "token", "id"}


def test_pictures_too_small_for_ssim_are_refused():
    with pytest.raises(ValueError, match="base_size 8 pixels, SSIM needs 11"):
        tiny(frame="fitted", base="mean", base_size=8, teacher={"share": 0.5})


def test_it_may_go_on_teaching_beside_the_other_terms():
    method, batch = taught(weights={"gan": 0.0, "teacher": 0.5})
    out = method(batch, Draws(0, batch.ids), StepContext())
    assert {"teacher", "rec", "id"} < set(out.parts)
    assert float(out.parts["teacher"]) > 0


def test_a_run_broken_off_in_the_lessons_goes_on_with_the_same_teacher(tmp_path):
    (tmp_path / "faces").mkdir()
    source = Image.open(write_faces(tmp_path / "faces"))
    train = ("batch_size=4", "steps=4", "checkpoint_every_steps=2", "precision=fp32", "device=cpu")
    fixed = [
        *overrides(frame="fitted", base="mean", base_size=16, vector_noise=0.5),
        "method.jitter.flip=0.5", "method.teacher.share=0.75",
        *(f"train.{text}" for text in train),
    ]  # fmt: skip
    settings = resolve("vec2face", None, fixed)
    pretrain(settings, source, tmp_path / "a", progress=False)
    pretrain(settings, source, tmp_path / "b", progress=False)
    (tmp_path / "b" / "latest").unlink()
    (tmp_path / "b" / "latest").symlink_to("checkpoints/step-2")
    pretrain(settings, source, tmp_path / "b", progress=False)
    one, two = ((tmp_path / x / "latest" / "model.safetensors").read_bytes() for x in "ab")
    assert one == two
