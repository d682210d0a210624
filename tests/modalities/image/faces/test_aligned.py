"""Aligned faces: the template is known, and is the one that was asked for."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.core.errors import DataError, UsageError
from masquerade.modalities.image.faces.aligned import FORMAT, open_aligned, template_of


def write(folder, side, template=None):
    """Two pictures of one identity, and a faces.json where a template is given."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        path = folder / "ann" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(path)
    if template:
        (folder / "faces.json").write_text(json.dumps({"format": FORMAT, "template": template}))
    return pixels


def test_a_prepared_folder_says_its_template(tmp_path):
    pixels = write(tmp_path, 150, "dlib-150")
    assert template_of(tmp_path) == "dlib-150"
    faces = open_aligned(str(tmp_path))
    assert faces.template.name == "dlib-150"
    np.testing.assert_array_equal(faces.pixels(1), pixels[1])
    assert open_aligned(str(tmp_path), "dlib-150").template is faces.template


def test_tensor_is_in_minus_one_to_one(tmp_path):
    pixels = write(tmp_path, 112, "arcface-112")
    pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    found = open_aligned(str(tmp_path)).tensor([1, 0])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, ((pixels / 255 - 0.5) / 0.5).flip(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("part", ["", "#ann"])
def test_another_template_than_declared_is_refused(tmp_path, part):
    write(tmp_path, 112, "arcface-112")
    assert open_aligned(f"{tmp_path}{part}").template.name == "arcface-112"
    with pytest.raises(UsageError, match="holds faces of the template 'arcface-112'"):
        open_aligned(f"{tmp_path}{part}", "dlib-150")


def test_an_undeclared_folder_needs_the_users_word(tmp_path):
    write(tmp_path, 112)
    assert template_of(tmp_path) is None
    with pytest.raises(UsageError, match="does not say which template") as caught:
        open_aligned(str(tmp_path))
    assert "--template arcface-112 or dlib-150" in caught.value.remedy
    assert open_aligned(str(tmp_path), "arcface-112").template.size == 112
    with pytest.raises(UsageError, match="did you mean 'arcface-112'"):
        open_aligned(str(tmp_path), "arcface")


def test_pictures_of_another_size_are_refused_by_name(tmp_path):
    write(tmp_path, 112)
    with pytest.raises(DataError, match=r"0\.png has 112×112 pixels, the template 'dlib-150' 150"):
        open_aligned(str(tmp_path), "dlib-150")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"format": "other/1", "template": "arcface-112"}),
             json.dumps({"format": FORMAT, "template": 3})],
)  # fmt: skip
def test_a_damaged_description_is_one_sentence(tmp_path, text):
    write(tmp_path, 112)
    (tmp_path / "faces.json").write_text(text)
    with pytest.raises(DataError, match="does not describe prepared faces"):
        open_aligned(str(tmp_path))
