"""Fine-tuning's augmentation: repeatable per row, the published rules, right targets."""

import numpy as np
import pytest
import torch

from masquerade.core.draws import Draws
from masquerade.modalities.image.augmentation import (
    FineTuneAugment,
    FineTuneSettings,
    erase,
    smoothed,
)
from masquerade.modalities.image.rand_augment import OPERATIONS, rand_augment

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
OFF = {"magnitude": 0.0, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0, "smoothing": 0.0}


def draws(ids, seed=0, epoch=0):
    return Draws(seed=seed, ids=torch.tensor(ids), epoch=epoch)


@pytest.fixture
def images(coffee):
    whole = torch.from_numpy(coffee.copy()).permute(2, 0, 1).float() / 255
    return torch.stack([whole[:, :32, i : i + 32] for i in range(0, 24, 3)])


def test_smoothed_targets_by_hand():
    # by hand, K = 4, s = 0.1: 0.9 + 0.025 and 0.025
    found = smoothed(torch.tensor([2]), 4, 0.1)
    assert torch.allclose(found, torch.tensor([[0.025, 0.025, 0.925, 0.025]]))


def test_everything_off_changes_nothing(images):
    augment = FineTuneAugment(FineTuneSettings(**OFF, **PLAIN))
    mixed, targets = augment(images, torch.arange(8) % 3, 3, draws(range(8)), 0)
    assert torch.equal(mixed, images)
    assert torch.equal(targets.argmax(1), torch.arange(8) % 3)
    assert targets.max() == 1


def test_whole_recipe_is_repeatable_and_depends_on_the_step(images):
    augment = FineTuneAugment(FineTuneSettings(**PLAIN))
    labels = torch.arange(8) % 3
    first = augment(images, labels, 3, draws(range(8)), 5)
    torch.manual_seed(99)  # nothing may come from the global generator
    again = augment(images, labels, 3, draws(range(8)), 5)
    other = augment(images, labels, 3, draws(range(8)), 6)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert torch.allclose(first[1].sum(1), torch.ones(8), atol=1e-6)


def test_per_row_parts_do_not_depend_on_the_batch(images):
    together = rand_augment(images, draws(range(8)), magnitude=9, spread=0.5)
    alone = rand_augment(images[3:4], draws([3]), magnitude=9, spread=0.5)
    assert torch.equal(together[3:4], alone)
    assert torch.equal(
        erase(images, draws(range(8)), 1.0)[5:6], erase(images[5:6], draws([5]), 1.0)
    )


def test_rand_augment_leaves_a_quarter_untouched_and_stays_in_range(images):
    batch = images[:1].expand(600, -1, -1, -1)
    found = rand_augment(batch, draws(range(600)), magnitude=9, spread=0.5)
    assert found.min() >= 0
    assert found.max() <= 1
    same = (found == batch).flatten(1).all(1).float().mean().item()
    # two choices, each used with probability 1/2; some operations change nothing now and then
    assert 0.25 - 0.07 <= same <= 0.25 + 0.09


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__.strip("_"))
def test_each_operation_changes_a_real_picture_and_keeps_its_shape(operation, images):
    for sign in (1.0, -1.0):
        found = operation(images[:1], 0.9, sign)
        assert found.shape == (1, 3, 32, 32)
        assert torch.isfinite(found).all()
        if operation.__name__ != "_auto_contrast":
            assert (found.clamp(0, 1) - images[:1]).abs().mean() > 0.003


def operation(name):
    return next(o for o in OPERATIONS if o.__name__ == name)


def test_operations_equal_pillow(coffee):
    """The pixel-wise ones against Pillow, the library of the published recipe."""
    from PIL import Image as Pillow
    from PIL import ImageEnhance, ImageOps

    pil = Pillow.fromarray(np.ascontiguousarray(coffee[:32, :32]))
    tensor = torch.from_numpy(np.array(pil)).permute(2, 0, 1)[None].float() / 255
    m = 0.9
    cases = {
        "_auto_contrast": (ImageOps.autocontrast(pil), 1.0),
        "_invert": (ImageOps.invert(pil), 1.0),
        "_posterize": (ImageOps.posterize(pil, 1), 1.0),
        "_solarize": (ImageOps.solarize(pil, 26), 1.0),
        "_colour": (ImageEnhance.Color(pil).enhance(1.81), 1.0),
        "_contrast": (ImageEnhance.Contrast(pil).enhance(0.19), -1.0),
        "_brightness": (ImageEnhance.Brightness(pil).enhance(0.19), -1.0),
    }
    for name, (expected, sign) in cases.items():
        found = (operation(name)(tensor, m, sign)[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
        assert abs(found - np.asarray(expected).astype(float)).max() <= 2.5, name
    inner = (slice(1, -1), slice(1, -1))  # Pillow does not filter the border
    found = (operation("_sharpness")(tensor, m, 1.0)[0] * 255).permute(1, 2, 0).numpy()
    expected = np.asarray(ImageEnhance.Sharpness(pil).enhance(1.81)).astype(float)
    assert abs(found - expected)[inner].max() <= 2.5


def test_translation_moves_by_the_share_and_fills_with_grey():
    picture = torch.rand(1, 3, 20, 20)
    found = operation("_translate_x")(picture, 1.0, 1.0)  # 0.45 · 20 = 9 pixels to the right
    assert torch.allclose(found[..., 9:], picture[..., :11], atol=1e-5)
    assert torch.allclose(found[..., :9], torch.full_like(found[..., :9], 0.5), atol=1e-5)


def test_mixup_mixes_with_the_reversed_batch(images):
    augment = FineTuneAugment(FineTuneSettings(**{**OFF, "mixup": 0.8}, **PLAIN))
    labels = torch.arange(8)
    mixed, targets = augment(images, labels, 8, draws(range(8)), 3)
    share = targets[0, 0].item()
    assert 0 < share < 1
    assert torch.allclose(mixed, share * images + (1 - share) * images.flip(0), atol=1e-6)
    assert targets[0, 7].item() == pytest.approx(1 - share)


def test_cutmix_share_is_the_area_that_stayed(images):
    augment = FineTuneAugment(FineTuneSettings(**{**OFF, "cutmix": 1.0}, **PLAIN))
    ones = torch.arange(2.0)[:, None, None, None].expand(2, 3, 32, 32)
    for step in range(8):
        mixed, targets = augment(ones, torch.tensor([0, 1]), 2, draws([0, 1]), step)
        assert targets[0, 0].item() == pytest.approx(1 - mixed[0].mean().item(), abs=1e-6)
        changed = mixed[0, 0] == 1
        rows, columns = changed.any(1), changed.any(0)
        assert changed.sum() == rows.sum() * columns.sum()  # one rectangle


def test_mixup_and_cutmix_take_turns_at_random(images):
    augment = FineTuneAugment(FineTuneSettings(**{**OFF, "mixup": 0.8, "cutmix": 1.0}, **PLAIN))
    ones = torch.arange(2.0)[:, None, None, None].expand(2, 3, 8, 8)
    labels = torch.tensor([0, 1])
    mixed = [augment(ones, labels, 2, draws([0, 1]), step)[0] for step in range(100)]
    kinds = [bool((m % 1 != 0).any()) for m in mixed]  # only mixup makes values between 0 and 1
    assert 30 <= sum(kinds) <= 70


def test_mixing_weight_has_the_beta_distribution():
    from scipy.stats import kstest

    from masquerade.modalities.image.augmentation import _beta

    uniform = draws([0]).uniform(500)[0].tolist()
    assert kstest([_beta(u, 0.8) for u in uniform], "beta", args=(0.8, 0.8)).pvalue > 0.01


def test_erasing_fills_a_quarter_of_the_rows_within_the_published_area():
    batch = torch.full((800, 3, 32, 32), 7.0)
    found = erase(batch, draws(range(800)), 0.25)
    share = (found != batch).all(1).flatten(1).float().mean(1)
    touched = share > 0
    assert 0.25 - 0.06 <= touched.float().mean() <= 0.25 + 0.06
    assert share[touched].min() >= 0.015
    assert share[touched].max() <= 0.36
    noise = found[found != batch]
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02


@pytest.fixture
def clips(images):
    """Eight clips of three equal frames."""
    return images[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()


def test_all_frames_of_a_clip_get_what_its_picture_would_get(images, clips):
    how = {"magnitude": 9.0, "spread": 0.5, "n_operations": 4}
    single = rand_augment(images, draws(range(8)), **how)
    several = rand_augment(clips, draws(range(8)), **how)
    assert several.shape == clips.shape
    for frame in several.unbind(2):
        torch.testing.assert_close(frame, single, rtol=1e-4, atol=1e-5)


def test_erasing_takes_one_box_of_all_frames_and_fills_it_anew_in_each(clips):
    erased = erase(clips, draws(range(8)), 1.0)
    changed = (erased != clips).any(1)  # (B, T, H, W)
    assert changed.any()
    assert all(torch.equal(changed[:, 0], changed[:, t]) for t in (1, 2))
    assert not torch.equal(erased[:, :, 0], erased[:, :, 1])


def test_cutmix_of_clips_takes_one_box_of_all_frames(clips):
    augment = FineTuneAugment(FineTuneSettings(**{**OFF, "cutmix": 1.0}, **PLAIN))
    mixed, targets = augment(clips, torch.arange(8) % 3, 3, draws(range(8)), 3)
    changed = (mixed != clips).any(1)
    assert all(torch.equal(changed[:, 0], changed[:, t]) for t in (1, 2))
    assert torch.allclose(targets.sum(1), torch.ones(8))
