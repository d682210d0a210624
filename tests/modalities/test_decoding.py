"""Decoding: each odd kind of picture gives the right pixels or one sentence."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError
from masquerade.modalities.image.decoding import Encoded, Picture


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return Encoded("a file", buffer.getvalue())


def decoded(image, **options):
    return np.asarray(Picture(encoded(image, **options), "key").pixels())


def test_one_by_one_picture_keeps_its_colour():
    assert decoded(Pillow.new("RGB", (1, 1), (10, 20, 30)), format="PNG").tolist() == [
        [[10, 20, 30]]
    ]


def test_grey_of_16_bits_is_scaled_not_clipped():
    # by hand: v / 257 rounded
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    pixels = decoded(Pillow.fromarray(values), format="PNG")
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_grey_of_32_bits_beyond_16_is_refused():
    image = Pillow.fromarray(np.array([[70_000, 1]], dtype=np.int32))
    with pytest.raises(DataError, match="expected 0…65535"):
        decoded(image, format="TIFF")


def test_cmyk_jpeg_is_close_to_its_rgb(coffee):
    rgb = Pillow.fromarray(coffee)
    pixels = decoded(rgb.convert("CMYK"), format="JPEG", quality=98).astype(int)
    assert abs(pixels - coffee).mean() < 3


def test_animated_gif_gives_its_first_frame():
    frames = [Pillow.new("RGB", (4, 3), c) for c in ("red", "blue", "lime")]
    pixels = decoded(frames[0], format="GIF", save_all=True, append_images=frames[1:])
    assert pixels.shape == (3, 4, 3)
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_alpha_is_composited_over_white():
    array = np.array([[[200, 100, 0, 0], [200, 100, 0, 255], [0, 0, 0, 128]]], dtype=np.uint8)
    pixels = decoded(Pillow.fromarray(array), format="PNG")
    assert pixels[0].tolist() == [[255, 255, 255], [200, 100, 0], [127, 127, 127]]


def test_palette_with_a_transparent_entry_shows_white_there():
    image = Pillow.new("P", (2, 1))
    image.putpalette([9, 8, 7, 50, 60, 70])
    image.putpixel((1, 0), 1)
    pixels = decoded(image, format="PNG", transparency=0)
    assert pixels[0].tolist() == [[255, 255, 255], [50, 60, 70]]


def test_one_bit_picture_is_black_and_white():
    image = Pillow.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert decoded(image, format="PNG")[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_rotation_comes_out_upright(orientation, format):
    from PIL import ImageOps

    array = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    file = encoded(Pillow.fromarray(array), format=format, exif=exif)
    picture = Picture(file, "key")
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(file.data))))
    assert picture.size == (expected.shape[1], expected.shape[0])
    assert np.array_equal(np.asarray(picture.pixels()), expected)
    if orientation == 6:  # by hand: the first column, bottom up, becomes the first row
        assert np.array_equal(expected[0], array[::-1, 0])


def test_reduced_jpeg_with_rotation_is_smaller_and_upright(coffee):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    big = Pillow.fromarray(coffee).resize((480, 320))
    picture = Picture(encoded(big, format="JPEG", quality=95, exif=exif), "key")
    assert picture.size == (320, 480)
    small = picture.pixels(reduce=4)
    assert small.shape == (120, 80, 3)
    expected = np.asarray(big.resize((120, 80), Pillow.Resampling.BOX).rotate(-90, expand=True))
    assert abs(np.asarray(small).astype(int) - expected).mean() < 3


def test_truncated_jpeg_is_refused_by_name(coffee):
    whole = encoded(Pillow.fromarray(coffee), format="JPEG")
    cut = Encoded("cat/7.jpg", whole.data[: len(whole.data) // 2])
    with pytest.raises(DataError, match=r"cat/7\.jpg is damaged"):
        Picture(cut, "key").pixels()


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(DataError, match="no picture"):
        Picture(Encoded("x.jpg", data), "key")


def test_reason_is_the_same_in_every_run():
    """Pillow names the buffer by its address, which would differ in each list of damaged files."""
    with pytest.raises(DataError) as caught:
        Picture(Encoded("x.jpg", b"hello"), "key")
    assert caught.value.message == "x.jpg is damaged or no picture: cannot identify image file"


def test_pixel_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    bomb = encoded(Pillow.new("1", (11, 10)), format="PNG")
    with pytest.raises(DataError, match="more than 100 pixels"):
        Picture(bomb, "key")


def test_grey_and_single_channel_arrays_are_the_same_picture():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    plain = np.asarray(Picture(array, "key").pixels())
    assert np.array_equal(plain, np.asarray(Picture(array[..., None], "key").pixels()))
    assert np.array_equal(plain[..., 1], array)
