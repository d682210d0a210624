"""What may pass as aligned faces of a template, and what may not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError, UsageError
from masquerade.modalities.image import Image
from masquerade.modalities.image.faces.aligned import declared_template
from masquerade.modalities.image.faces.checking import check_template


def folder_of(folder, sides):
    for number, (width, height) in enumerate(sides):
        path = folder / "a" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (width, height)).save(path)
    return folder


def test_one_odd_picture_among_few_is_named(tmp_path):
    folder = folder_of(tmp_path, [(112, 112)] * 3 + [(112, 96)] + [(112, 112)] * 3)
    with pytest.raises(DataError, match=r"003\.png has 112×96 pixels, expected .* 112×112"):
        check_template(Image.open(folder), "arcface-112")
    check_template(Image.open(folder_of(tmp_path / "b", [(112, 112)])), "arcface-112")


def test_declared_template_counts_even_where_the_sides_fit(tmp_path):
    folder = folder_of(tmp_path, [(112, 112)] * 2)
    facts = {"format": "masquerade-faces/1", "template": "dlib-150"}
    (folder / "faces.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="holds faces of the template 'dlib-150', expected 'arc"):
        check_template(Image.open(folder), "arcface-112")
    check_template(Image.open(folder), "dlib-150")


@pytest.mark.parametrize("part", ["#fit", "#att_s02", "/att_s02", "/att_s02/000.png"])
def test_part_of_a_prepared_folder_has_the_whole_ones_template(tmp_path, part):
    folder = folder_of(tmp_path / "faces", [(112, 112)] * 2)
    (folder / "a").rename(folder / "att_s02")
    facts = {"format": "masquerade-faces/1", "template": "dlib-150"}
    (folder / "faces.json").write_text(json.dumps(facts))
    source = Image.open(Path(f"{folder}{part}"))
    with pytest.raises(UsageError, match="holds faces of the template 'dlib-150', expected 'arc"):
        check_template(source, "arcface-112")
    assert declared_template(source) == "dlib-150"


def test_damaged_picture_is_left_to_the_reader(tmp_path):
    folder = folder_of(tmp_path, [(112, 112)] * 3)
    (folder / "a" / "001.png").write_bytes(b"no picture")
    check_template(Image.open(folder), "arcface-112")


def test_arrays_are_looked_at_as_well(tmp_path):
    np.savez(tmp_path / "faces.npz", images=np.zeros((4, 112, 112, 3), np.uint8))
    np.savez(tmp_path / "small.npz", images=np.zeros((4, 32, 32, 3), np.uint8))
    check_template(Image.open(tmp_path / "faces.npz"), "arcface-112")
    with pytest.raises(DataError, match="32×32 pixels"):
        check_template(Image.open(tmp_path / "small.npz"), "arcface-112")
