"""The adapter: one pipeline for all containers, normalization, pictures."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.modality import Sample
from masquerade.core.tokens import Batch, Tokens
from masquerade.modalities.image import Image
from masquerade.modalities.packs import pack_source

from .test_sources import write_npz, write_shards


def draws(sample, epoch, seed=3):
    return Draws(seed=seed, ids=torch.tensor([sample.id]), epoch=epoch)


def test_every_container_gives_the_same_tensors_bit_for_bit(tmp_path, folder, twelve):
    pack_source(Image.open(folder), tmp_path / "pack")
    containers = [
        Image.open(folder),
        Image.open(write_shards(tmp_path / "shards", twelve)),
        Image.open(write_npz(tmp_path / "a.npz", twelve)),
        Image.open(tmp_path / "pack"),
    ]
    image = Image(Image.Config(size=24))
    for i in range(12):
        samples = [source.read(i) for source in containers]
        assert len({(s.key, s.label) for s in samples}) == 1
        for epoch in (None, 0, 1):
            tensors = [
                image.prepare(s, None if epoch is None else draws(s, epoch))["image"]
                for s in samples
            ]
            assert all(torch.equal(t, tensors[0]) for t in tensors)


def test_augmentation_depends_on_seed_epoch_and_row_only(folder):
    source, image = Image.open(folder), Image(Image.Config(size=16))
    sample = source.read(2)
    first = image.prepare(sample, draws(sample, 0))["image"]
    assert torch.equal(first, image.prepare(sample, draws(sample, 0))["image"])
    assert not torch.equal(first, image.prepare(sample, draws(sample, 1))["image"])
    assert not torch.equal(first, image.prepare(sample, draws(sample, 0, seed=4))["image"])


def test_white_and_black_are_normalized_by_mean_and_std():
    image = Image(Image.Config(size=4))
    pixels = np.zeros((4, 4, 3), np.uint8)
    black = image.prepare(Sample("b", pixels), None)["image"]
    white = image.prepare(Sample("w", pixels + 255), None)["image"]
    # by hand: −0.485 / 0.229, (1 − 0.406) / 0.225
    assert black[0, 0, 0].item() == pytest.approx(-2.117904, abs=1e-5)
    assert white[2, 3, 3].item() == pytest.approx(2.64, abs=1e-5)
    assert torch.allclose(image.denormalize(white), torch.ones(3, 4, 4), atol=1e-6)


def test_flip_mirrors_half_of_the_rows():
    image = Image(Image.Config(size=4, augment="flip", eval_crop=1.0))
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    plain = image.prepare(Sample("0", pixels), None)["image"]
    flipped = 0
    for i in range(400):
        sample = Sample(str(i), pixels)
        found = image.prepare(sample, draws(sample, 0))["image"]
        mirrored = torch.equal(found, plain.flip(-1))
        assert mirrored or torch.equal(found, plain)
        flipped += mirrored
    assert 160 <= flipped <= 240  # four standard deviations


def test_augment_none_in_training_is_the_evaluation_view(coffee):
    image = Image(Image.Config(size=8, augment="none"))
    sample = Sample("a", coffee)
    assert torch.equal(
        image.prepare(sample, draws(sample, 0))["image"], image.prepare(sample, None)["image"]
    )


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (300, 1, 3), (2, 3)])
def test_smallest_and_longest_pictures_give_finite_tensors(shape):
    image = Image(Image.Config(size=224))
    sample = Sample("a", np.full(shape, 255, np.uint8))
    for given in (None, draws(sample, 0)):
        tensor = image.prepare(sample, given)["image"]
        assert tensor.shape == (3, 224, 224)
        # a constant picture stays constant, whatever the crop
        assert torch.allclose(tensor, tensor[:, :1, :1].expand_as(tensor))


@pytest.mark.parametrize(
    "values",
    [
        {"size": 0},
        {"train_crop_scale": (0.5, 0.2)},
        {"ratio": (0.0, 1.0)},
        {"std": (1, 0, 1)},
        {"augment": "all"},
        {"crop": 1},
    ],
)
def test_wrong_settings_name_the_key(values):
    with pytest.raises(UsageError, match="setting"):
        build(Image.Config, values, "data")


def test_tokenize_and_restore_are_inverse():
    images = torch.rand(2, 3, 8, 12)
    tokens = Image.tokenize(Batch({"image": images}, torch.arange(2)), 4)
    assert tokens.grid == (2, 3)
    assert torch.equal(tokens.values, Image.tokenize(images, 4).values)
    assert torch.equal(Image.restore(tokens), images)


def test_draw_shows_input_grey_patches_and_reconstruction(tmp_path):
    image = Image(Image.Config(size=8))
    levels = torch.tensor([0.0, 1.0]).repeat_interleave(4)  # left half black, right half white
    picture = levels.expand(1, 3, 8, 8)
    shown = image.normalize((picture * 255).to(torch.uint8))
    tokens = Image.tokenize(image.normalize(torch.full((1, 3, 8, 8), 51, dtype=torch.uint8)), 4)
    hidden = torch.tensor([[True, False, False, False]])
    path = image.draw(Batch({"image": shown}, torch.arange(1)), tokens, hidden, tmp_path / "a")
    assert path == tmp_path / "a.png"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    pixels = np.asarray(Pillow.open(path))
    side, gap, top = 128, 4, 22  # 8 pixels enlarged 16 times, below the header

    def at(column, row, x):
        return pixels[top + row, gap + column * (side + gap) + x].tolist()

    assert at(0, 5, 5) == [0, 0, 0]
    assert at(0, 5, 120) == [255, 255, 255]
    assert at(1, 5, 5) == [128, 128, 128]  # the hidden patch
    assert at(1, 120, 5) == [0, 0, 0]
    assert at(2, 5, 5) == [51, 51, 51]  # un-normalized
    assert (pixels[:18] < 128).any()  # the headers are written


def test_draw_clips_and_needs_a_square_patch(tmp_path):
    image = Image(Image.Config(size=8))
    wild = Tokens(torch.full((1, 4, 48), 99.0), grid=(2, 2))
    batch = Batch({"image": torch.zeros(1, 3, 8, 8)}, torch.arange(1))
    path = image.draw(batch, wild, torch.zeros(1, 4, dtype=torch.bool), tmp_path / "b.png")
    assert np.asarray(Pillow.open(path))[30, -10].tolist() == [255, 255, 255]
    with pytest.raises(UsageError, match="no grid"):
        Image.restore(Tokens(torch.zeros(1, 4, 47), grid=(2, 2)))
