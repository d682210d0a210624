"""Packs: what goes in comes out, whole or not at all, and a flipped bit is found."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError, MasqueradeError, UsageError
from masquerade.modalities import packing
from masquerade.modalities.image import Image
from masquerade.modalities.packs import damaged_files, pack_source

from .test_sources import write_npz


@pytest.fixture
def pack(tmp_path, folder):
    pack_source(Image.open(folder), tmp_path / "pack")
    return tmp_path / "pack"


def test_pack_holds_keys_labels_classes_and_pixels(pack, twelve):
    source = Image.open(pack)
    assert list(source.keys) == sorted(twelve)
    assert source.classes == ("astronaut", "chelsea", "rocket")
    assert source.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for i, key in enumerate(source.keys):
        assert np.array_equal(source.read(i).content, twelve[key][0])


def test_pack_and_npz_of_the_same_pixels_have_one_fingerprint(pack, tmp_path, twelve):
    assert (
        Image.open(pack).fingerprint()
        == Image.open(write_npz(tmp_path / "a.npz", twelve)).fingerprint()
    )


def test_pictures_of_different_sizes_keep_their_shapes(tmp_path, folder, coffee):
    Pillow.fromarray(coffee).save(folder / "rocket" / "9.png")
    pack_source(Image.open(folder), tmp_path / "p")
    source = Image.open(tmp_path / "p")
    assert source.read(0).content.shape == (40, 48, 3)
    assert np.array_equal(source.read(12).content, coffee)


def test_short_side_scales_down_and_is_kept_in_the_index(tmp_path, folder):
    pack_source(Image.open(folder), tmp_path / "p", 20)
    source = Image.open(tmp_path / "p")
    assert source.read(3).content.shape == (20, 24, 3)
    assert source.settings["short_side"] == 20


@pytest.mark.parametrize("place", [0, 12345, -1])
def test_one_flipped_bit_is_found_and_named(pack, place):
    assert damaged_files(Image.open(pack)) == []
    data = bytearray((pack / "pixels.bin").read_bytes())
    data[place] ^= 4
    (pack / "pixels.bin").write_bytes(data)
    source = Image.open(pack)
    sample = (place % len(data)) // (40 * 48 * 3)
    assert [key for key, _ in damaged_files(source)] == [source.keys[sample]]


def test_shorter_pixel_file_is_refused(pack):
    data = (pack / "pixels.bin").read_bytes()
    (pack / "pixels.bin").write_bytes(data[:-1])
    with pytest.raises(DataError, match="its index asks for"):
        Image.open(pack)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("keys", ["a"]),
        ("shapes", [[1, 1, 3]] * 11),
        ("shapes", [[-1, -1, 3]] * 12),
        ("labels", ["x"] * 12),
        ("format", None),
        ("crc32", None),
    ],
)
def test_damaged_index_is_refused(pack, key, value):
    index = json.loads((pack / "index.json").read_text())
    index[key] = value
    (pack / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="no index of a pack"):
        Image.open(pack)


def test_interrupted_packing_leaves_nothing(tmp_path, folder):
    def stops(items):
        for i in items:
            if i == 7:
                raise KeyboardInterrupt
            yield i

    with pytest.raises(KeyboardInterrupt):
        pack_source(Image.open(folder), tmp_path / "out" / "p", progress=stops)
    assert list((tmp_path / "out").iterdir()) == []


def test_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "canonical_json", full)
    with pytest.raises(MasqueradeError, match="No space left"):
        pack_source(Image.open(folder), tmp_path / "out" / "p")
    assert list((tmp_path / "out").iterdir()) == []


def test_existing_folder_is_never_replaced(tmp_path, folder):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        pack_source(Image.open(folder), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_damaged_file_is_left_out_and_named_or_stops(tmp_path, folder):
    bad = folder / "chelsea" / "2.png"
    bad.write_bytes(bad.read_bytes()[:300])
    left_out = pack_source(Image.open(folder), tmp_path / "p")
    assert [key for key, _ in left_out] == ["chelsea/2"]
    assert str(bad) in left_out[0][1]
    source = Image.open(tmp_path / "p")
    assert len(source) == 11
    assert "chelsea/2" not in source.keys
    with pytest.raises(DataError, match="damaged"):
        pack_source(Image.open(folder), tmp_path / "q", strict=True)
    assert not (tmp_path / "q").exists()


def test_source_with_damaged_files_only_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="all 1 files"):
        pack_source(Image.open(tmp_path / "a.png"), tmp_path / "p")
    assert not (tmp_path / "p").exists()
