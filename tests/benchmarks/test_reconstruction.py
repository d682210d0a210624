"""Reconstruction of a user's own file: errors by hand, refusals, the picture itself."""

# B samples, N tokens, D values of a token.

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from masquerade.benchmarks.reconstruction import reconstruct, reconstruct_file
from masquerade.cli.main import call
from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.method import StepOutput
from masquerade.core.objectives import normalize_patches
from masquerade.core.tokens import Batch
from masquerade.core.weights import save_method
from masquerade.methods.image.mae import MAE

SIDE, PATCH = 32, 8


def config(**changes: object) -> MAE.Config:
    return MAE.Config(
        image_size=SIDE, patch_size=PATCH, dim=16, depth=1, heads=2,
        decoder_dim=12, decoder_depth=1, decoder_heads=2, **changes,
    )  # fmt: skip


def tiny(**changes: object) -> MAE:
    torch.manual_seed(0)
    return MAE(config(**changes)).eval()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, SIDE, SIDE, generator=generator)
    return Batch({"image": images}, ids=torch.tensor([5, 6]))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_method(tiny(), path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A noisy picture with a red frame one pixel wide."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[0] = pixels[-1] = pixels[:, 0] = pixels[:, -1] = (255, 0, 0)
    path = tmp_path / "framed.png"
    Image.fromarray(pixels).save(path)
    return path


def patches_by_hand(images: torch.Tensor) -> np.ndarray:
    """(B, N, p·p·3) with plain loops: row-major patches, channel fastest."""
    rows = []
    for image in images.numpy():
        for r in range(0, SIDE, PATCH):
            for c in range(0, SIDE, PATCH):
                rows.append(image[:, r : r + PATCH, c : c + PATCH].transpose(1, 2, 0).ravel())
    return np.stack(rows).reshape(len(images), -1, PATCH * PATCH * 3)


def test_prediction_of_zero_is_the_mean_predictor(batch: Batch) -> None:
    """By hand: with normalized patches, zero means each patch's own mean."""
    method = tiny()
    torch.nn.init.zeros_(method.decoder.head.weight)
    torch.nn.init.zeros_(method.decoder.head.bias)
    found = reconstruct(method, batch, seed=0)
    patches = patches_by_hand(batch["image"])[found.hidden.numpy()]
    expected = ((patches - patches.mean(1, keepdims=True)) ** 2).mean()
    assert found.error == pytest.approx(expected, rel=1e-5)
    assert found.mean_error == found.error
    assert found.explained == 0
    n = PATCH * PATCH * 3
    assert found.loss == pytest.approx((n - 1) / n, rel=1e-4)  # closed form: unbiased variance


def test_prediction_of_zero_without_normalization_is_the_mean_colour(batch: Batch) -> None:
    method = tiny(norm_pix=False)
    found = reconstruct(method, batch, seed=0)
    patches = patches_by_hand(batch["image"])[found.hidden.numpy()]
    assert found.mean_error == pytest.approx((patches**2).mean(), rel=1e-5)
    assert found.error == pytest.approx(found.loss, rel=1e-5)  # the same mean squared error


class Oracle(MAE):
    """Predicts the normalized target itself."""

    def forward(self, batch: Batch, *args: object, **kwargs: object) -> StepOutput:
        output = super().forward(batch, *args, **kwargs)
        assert output.mask is not None
        target, _, _ = normalize_patches(output.mask.take_predict(self.tokenize(batch).values))
        return replace(output, prediction=target)


def test_perfect_prediction_explains_everything(batch: Batch) -> None:
    found = reconstruct(Oracle(config()).eval(), batch, seed=0)
    assert found.error < 1e-9
    assert found.explained == pytest.approx(1, abs=1e-8)
    assert torch.allclose(
        found.tokens.values, torch.from_numpy(patches_by_hand(batch["image"])), atol=1e-4
    )


def test_visible_tokens_are_the_input(batch: Batch) -> None:
    found = reconstruct(tiny(), batch, seed=0)
    visible = ~found.hidden.numpy()
    truth = patches_by_hand(batch["image"])
    assert np.array_equal(found.tokens.values.numpy()[visible], truth[visible])
    assert not np.allclose(found.tokens.values.numpy()[~visible], truth[~visible], atol=0.1)


def test_seed_decides_the_mask(batch: Batch) -> None:
    method = tiny()
    first, again, other = (reconstruct(method, batch, seed=s).hidden for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_file_is_drawn_whole_in_three_columns(weights: Path, picture: Path, tmp_path: Path) -> None:
    """The red frame is there: the margin that evaluation crops off is shown."""
    path, found = reconstruct_file(weights, picture, tmp_path / "out.png")
    assert int(found.hidden.sum()) == 12  # of 16, three quarters
    drawn = np.asarray(Image.open(path).convert("RGB")).astype(int)
    red = (drawn[:, :, 0] > 250) & (drawn[:, :, 1] < 5) & (drawn[:, :, 2] < 5)
    third = drawn.shape[1] // 3
    factor = 128 // SIDE  # small pictures are enlarged
    assert red[:, :third].sum() >= (4 * SIDE - 4) * factor**2
    grey = (abs(drawn - 128) <= 1).all(axis=2)
    assert grey[:, third : 2 * third].sum() >= 12 * (PATCH * factor) ** 2


def test_command_prints_numbers_and_takes_another_ratio(
    weights: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    arguments = ["reconstruct", str(weights), "--data", str(picture), "--out", str(out)]
    assert call([*arguments, "--mask-ratio", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_tokens"], found["n_hidden"]) == (16, 8)
    assert found["explained"] == pytest.approx(1 - found["error"] / found["mean_error"])
    assert out.is_file()


@pytest.mark.parametrize("ratio", ["1.0", "-1", "nan"])
def test_impossible_ratio_is_wrong_usage(
    ratio: str, weights: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    arguments = ["reconstruct", str(weights), "--data", str(picture), "--out", str(out)]
    assert call([*arguments, "--mask-ratio", ratio]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not out.exists()


def test_ratio_that_hides_every_token_is_refused(weights: Path, picture: Path) -> None:
    with pytest.raises(UsageError, match="hides all 16 "):
        reconstruct_file(weights, picture, picture.with_name("out.png"), mask_ratio=0.99)


def test_encoder_without_decoder_is_refused_with_the_mend(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "encoder.safetensors", tmp_path / "out.png"
    save_method(MAE(config(), decoder=False), path)
    with pytest.raises(WeightsError, match="encoder without its decoder"):
        reconstruct_file(path, picture, out)
    assert call(["reconstruct", str(path), "--data", str(picture), "--out", str(out)]) == 4
    assert "masquerade weights get" in capsys.readouterr().err
    assert not out.exists()


def test_missing_picture_is_a_data_error(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reconstruct", str(weights), "--data", str(tmp_path / "no.png")]
    assert call([*arguments, "--out", str(tmp_path / "out.png")]) == 3
    assert "no.png" in capsys.readouterr().err
