"""Damaged bytes: only our error class, no hang, no memory blow-up.

`MASQUERADE_FUZZ=100000 pytest tests/modalities/test_fuzz.py` runs as many mutations by hand.
"""

import io
import os
import resource
import tarfile
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError
from masquerade.modalities.image import Image
from masquerade.modalities.image.decoding import Encoded, Picture

pytestmark = pytest.mark.slow
MUTATIONS = int(os.environ.get("MASQUERADE_FUZZ", "1000"))
SECONDS_EACH = 0.05  # on average; a hang is longer
MEBIBYTES = 500  # more than before


def mutated(data, rng):
    """A few bytes changed, a run removed or repeated, or the end cut off."""
    data = bytearray(data)
    kind, place = rng.integers(4), rng.integers(len(data))
    if kind == 0:
        for at in rng.integers(len(data), size=rng.integers(1, 9)):
            data[at] = rng.choice((0, 1, 127, 128, 255, rng.integers(256)))
    elif kind == 1:
        del data[place:]
    else:
        run = data[place : place + rng.integers(1, 65)]
        data[place : place + (len(run) if kind == 2 else 0)] = run * int(rng.integers(4))
    return bytes(data)


def attack(data, consume):
    """Feed mutations; how many were refused. Anything but DataError fails the test."""
    rng, refused, start, memory = np.random.default_rng(0), 0, time.monotonic(), peak_mebibytes()
    for _ in range(MUTATIONS):
        try:
            consume(mutated(data, rng))
        except DataError:
            refused += 1
    assert time.monotonic() - start < SECONDS_EACH * MUTATIONS
    assert peak_mebibytes() - memory < MEBIBYTES
    return refused


def peak_mebibytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_damaged_pictures_raise_our_error_only(coffee, format):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    buffer = io.BytesIO()
    Pillow.fromarray(coffee).save(buffer, format, **options)

    def consume(data):
        Picture(Encoded("x", data), "x").pixels(reduce=2)

    assert attack(buffer.getvalue(), consume) > MUTATIONS // 20


def test_damaged_shards_raise_our_error_only(tmp_path, coffee):
    path = tmp_path / "s.tar"
    buffer = io.BytesIO()
    Pillow.fromarray(coffee[:8, :8]).save(buffer, "PNG")
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for i in range(3):
            for name, data in ((f"ä{i}.png", buffer.getvalue()), (f"ä{i}.cls", b"1")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    whole = path.read_bytes()[: 512 * 24]  # not the padding

    def consume(data):
        path.write_bytes(data + bytes(1024))
        source = Image.open(path)
        for i in range(len(source)):
            source.read(i)

    assert attack(whole, consume) > MUTATIONS // 10


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_arrays_raise_our_error_only(tmp_path, coffee, save):
    path = tmp_path / "a.npz"
    images = np.stack([coffee[:8, :8]] * 3)
    save(path, x_train=images, y_train=np.arange(3), classes=np.array(["a", "b", "c"]))

    def consume(data):
        path.write_bytes(data)
        Image.open(path).read(0)

    assert attack(path.read_bytes(), consume) > MUTATIONS // 10


def test_damaged_pack_indices_raise_our_error_only(tmp_path, folder):
    from masquerade.modalities.packs import pack_source

    pack_source(Image.open(folder), tmp_path / "p")
    index = tmp_path / "p" / "index.json"

    def consume(data):
        index.write_bytes(data)
        source = Image.open(tmp_path / "p")
        for i in range(len(source)):
            Picture(source.read(i).content, "x").pixels()

    assert attack(index.read_bytes(), consume) > MUTATIONS // 10
