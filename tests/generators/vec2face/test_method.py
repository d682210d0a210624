"""Vec2Face as a method: its step, what it takes from the data, resume, refusals."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.step import StepContext
from masquerade.generators.vec2face.frame import ARCFACE_STD
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve
from masquerade.methods.weights import load_method
from masquerade.modalities.image import Image

sys.path.insert(0, str(Path(__file__).parent))
from tiny_method import faces, overrides, tiny, write_faces  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("aligned"))


def step(method, epoch=0, progress=0.0, number=0):
    batch = faces()
    return method(batch, Draws(0, batch.ids, epoch), StepContext(progress, epoch, number))


def test_terms_are_all_there_and_weigh_as_published():
    method = tiny().eval()
    out = step(method, epoch=80, progress=0.8)
    assert set(out.parts) == {"rec", "lpips", "ssim", "token", "id", "gan", "disc"}
    p = {name: float(value) for name, value in out.parts.items()}
    expected = p["rec"] + 0.2 * p["lpips"] + 0.1 * p["ssim"] + p["token"] + p["id"] + p["gan"]
    assert out.loss.item() == pytest.approx(expected, rel=1e-5)
    assert all(value != 0 for value in p.values())


def test_adversary_joins_at_its_epoch_and_neither_loss_touches_the_other_player():
    method = tiny().eval()
    before = step(method, epoch=79)
    assert "gan" not in before.parts
    assert "disc" in before.parts
    before.adversary_loss.backward()
    assert all(float(p.grad.abs().max()) == 0 for p in method.discriminator.parameters())
    method.zero_grad(set_to_none=True)
    after = step(method, epoch=80)
    after.loss.backward(retain_graph=True)
    assert all(p.grad is None for p in method.discriminator.parameters())
    grads = [p.grad.clone() for p in method.net.parameters() if p.grad is not None]
    after.adversary_loss.backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, method.net.parameters(), strict=False))
    assert any(float(p.grad.abs().max()) > 0 for p in method.discriminator.parameters())


def test_identity_term_waits_for_its_share_of_the_run():
    method = tiny(id_start=0.3).eval()
    assert "id" not in step(method, progress=0.29).parts
    assert "id" in step(method, progress=0.3).parts


def test_one_rate_for_a_batch_and_another_for_the_next_step():
    method = tiny()
    batch = faces()
    draws = Draws(0, batch.ids)
    masks = [method._rows(draws, StepContext(step=s)).mask_bool.sum(1) for s in range(12)]
    assert all(len(set(mask.tolist())) == 1 for mask in masks)
    assert len({int(mask[0]) for mask in masks}) > 3


def test_fit_takes_frame_centres_and_base_image():
    method = tiny(frame="fitted", base="mean", base_size=112)
    batch = faces(8)
    method.fit([batch.rows(0, 5), batch.rows(5, 8)])
    vectors = method.embed(batch["image"])
    assert vectors.mean(0).abs().max() < 1e-4
    assert float(vectors.var(0, correction=0).mean().sqrt()) == pytest.approx(ARCFACE_STD, rel=1e-4)
    assert float(method.frame.norm) == pytest.approx(float(vectors.norm(dim=1).mean()), rel=1e-4)
    expected = torch.stack([vectors[batch.labels == i].mean(0) for i in range(4)])
    assert torch.allclose(method.frame.centres, expected, atol=1e-4)
    assert torch.allclose(method.net.base, batch["image"].mean(0), atol=1e-5)


def test_pictures_of_a_row_do_not_depend_on_its_batch():
    method = tiny().eval()
    vectors = torch.randn(5, 128, generator=torch.Generator().manual_seed(1))
    ids = torch.arange(5)
    with torch.no_grad():
        together = method.generate(vectors, Draws(0, ids))
        alone = method.generate(vectors[3:4], Draws(0, ids[3:4]))
        other = method.generate(vectors[3:4], Draws(1, ids[3:4]))
    assert torch.allclose(together[3], alone[0], atol=1e-5)
    assert not torch.allclose(alone, other, atol=1e-4)  # masking stays on


def test_a_run_broken_off_goes_on_with_frame_and_centres(folder, tmp_path):
    """The number of centres comes from the data, so resume must take it from the checkpoint."""
    source = Image.open(folder)
    train = ("batch_size=4", "steps=4", "checkpoint_every_steps=2", "precision=fp32", "device=cpu")
    fixed = [*overrides(frame="fitted"), *(f"train.{text}" for text in train)]
    straight = pretrain(resolve("vec2face", None, fixed), source, tmp_path / "a", progress=False)
    assert straight.finished
    first = resolve("vec2face", None, fixed)
    pretrain(first, source, tmp_path / "b", progress=False)
    (tmp_path / "b" / "latest").unlink()
    (tmp_path / "b" / "latest").symlink_to("checkpoints/step-2")
    pretrain(first, source, tmp_path / "b", progress=False)
    one, two = ((tmp_path / x / "latest" / "model.safetensors").read_bytes() for x in "ab")
    assert one == two
    loaded = load_method(tmp_path / "a")
    assert loaded.frame.centres.shape == (4, 128)
    assert float(loaded.frame.scale) != 1.0
    assert loaded.discriminator is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedder": ""}, "needs a face extractor"),
        ({"embedder": "nobody"}, "no face extractor 'nobody'"),
        ({"rep_dim": 512}, "gives vectors of 128 values, method.rep_dim is 512"),
    ],
)
def test_extractor_that_will_not_do_is_refused_before_the_first_step(settings, message):
    with pytest.raises(UsageError, match=message):
        tiny(**settings).fit([])


def test_perceptual_term_is_named_or_refused():
    with pytest.raises(UsageError, match=r"method\.perceptual.*got ''"):
        step(tiny(perceptual=""))
    assert "lpips" not in step(tiny(perceptual="", weights={"lpips": 0.0})).parts


def test_settings_of_the_method_need_no_section():
    found = resolve("vec2face", None, ["embedder=face-api"])
    assert found.settings.method.embedder == "face-api"
    assert found.settings.optim.learning_rate(128) == pytest.approx(4.57e-5, rel=1e-3)
    assert found.settings.data.mean == (0.5, 0.5, 0.5)


def test_features_see_every_row_and_use_no_chance():
    method = tiny().eval()
    with torch.no_grad():
        first, second = method.features(faces()), method.features(faces())
    assert first.shape == (4, 16)
    assert torch.equal(first, second)
    assert np.isfinite(first.numpy()).all()


def test_reconstruct_compares_the_drawn_pictures_with_the_input():
    """`masquerade reconstruct` replaces a part of the prediction in order to know the truth."""
    from masquerade.benchmarks.reconstruction import reconstruct

    found = reconstruct(tiny().eval(), faces(), seed=0)
    assert found.tokens.values.shape[1:] == (49, 16 * 16 * 3)
    assert int(found.hidden.sum(1)[0]) == 25
    assert found.error > 0


def test_wrong_extractor_is_said_before_a_run_folder_is_made(folder, tmp_path):
    wrong = resolve("vec2face", None, [*overrides(embedder="face-apy"), "train.batch_size=4"])
    with pytest.raises(UsageError, match="did you mean 'face-api'|no face extractor"):
        pretrain(wrong, Image.open(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()
