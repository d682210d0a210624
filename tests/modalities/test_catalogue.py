"""The catalogue: the embedded sets as the card describes them, names and paths."""

import subprocess
import sys

import numpy as np
import pytest

from masquerade.core.errors import DataError, UsageError
from masquerade.modalities.catalogue import CATALOGUE, resolve_data


@pytest.fixture(scope="module")
def photos():
    return resolve_data("photos"), resolve_data("photos:test")


def test_photos_are_14_photographs_in_4000_and_600_crops(photos):
    train, test = photos
    assert (len(train), len(test)) == (4000, 600)
    assert train.classes == test.classes
    assert len(train.classes) == 14
    # by hand: 4000 = 14 · 285 + 10, 600 = 14 · 42 + 12
    assert sorted(np.bincount(train.labels)) == [285] * 4 + [286] * 10
    assert sorted(np.bincount(test.labels)) == [42] * 2 + [43] * 12
    assert list(train.keys) == sorted(train.keys)
    assert not set(train.keys) & set(test.keys)


def test_photos_crops_are_32_squares_that_show_something(photos):
    for source in photos:
        pixels = np.stack([source.read(i).content for i in range(0, len(source), 7)])
        assert pixels.shape[1:] == (32, 32, 3)
        assert pixels.dtype == np.uint8
        assert np.median(pixels.std((1, 2, 3))) > 10
        assert source.keys[0].endswith(source.classes[source.labels[0]])


def test_photos_take_train_left_and_test_right():
    from PIL import Image as Pillow

    from masquerade.modalities.image.embedded import _crop

    ramp = np.broadcast_to(
        (np.arange(400) * 255 // 399).astype(np.uint8)[None, :, None], (320, 400, 3)
    )
    image = Pillow.fromarray(np.ascontiguousarray(ramp))
    corners = [[a, b, c] for a in (0.0, 0.999) for b in (0.0, 0.999) for c in (0.0, 0.999)]
    left = np.stack([_crop(image, (0.0, 0.55), n) for n in corners])
    right = np.stack([_crop(image, (0.6, 1.0), n) for n in corners])
    # by hand: columns 0…219 and 240…399 of 400
    assert left.min() == 0
    assert 138 <= left.max() <= 139
    assert 153 <= right.min() <= 154
    assert right.max() == 255


def test_photos_are_the_same_every_time(photos):
    again = resolve_data("photos:test")
    assert again.fingerprint() == photos[1].fingerprint()
    assert photos[0].fingerprint() != photos[1].fingerprint()


def test_digits_are_scaled_to_8_bits_and_split():
    train, test = resolve_data("digits"), resolve_data("digits:test")
    assert (len(train), len(test)) == (1437, 360)
    # load_digits: the first picture starts with the row 0 0 5 13 9 1 0 0, a zero
    assert train.read(0).content[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert train.read(0).label == 0
    assert train.classes[7] == "7"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("photoes", "did you mean 'photos'"),
        ("photos:val", "no split 'val'; choose one: photos:train, photos:test"),
        ("no/such/folder", "does not exist"),
        ("missing.npz#train", "does not exist"),
        ("imagenette2-160", "masquerade data get imagenette2-160"),
    ],
)
def test_wrong_names_are_one_sentence(name, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=reason):
        resolve_data(name)


def test_data_of_another_modality_is_refused():
    with pytest.raises(UsageError, match="holds image, the method reads graph"):
        resolve_data("photos", "graph")


def test_path_is_opened_by_its_modality(folder):
    assert len(resolve_data(str(folder), "image")) == 12


def test_every_entry_says_licence_size_and_how_to_get_it():
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.what
        assert entry.licence
        assert entry.size
        assert (entry.loader is None) != (entry.download is None)
        assert entry.download is None or len(entry.download.sha256) == 64


def test_the_table_imports_no_torch():
    code = "import sys, masquerade.modalities.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
