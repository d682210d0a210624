"""Pairs with aligned pictures: found, kept, or left out with a reason."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError, UsageError
from masquerade.core.metrics.pair_folds import contiguous_folds
from masquerade.modalities.image.decoding import Encoded, Picture
from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.detectors import Face
from masquerade.modalities.image.faces.pair_alignment import aligned_pairs
from masquerade.modalities.image.faces.pairs import FacePairs
from masquerade.modalities.image.faces.pictures import Mirrored, Pictures
from masquerade.modalities.image.faces.templates import template

POINTS = np.array([[40, 50], [80, 52], [60, 72], [45, 95], [76, 94]], dtype=float)


class Marked:
    """Finds a face in every picture whose first pixel is not black."""

    name, hash = "marked", "0" * 64

    def __init__(self) -> None:
        self.looked_at = 0

    def detect(self, picture: np.ndarray) -> list[Face]:
        self.looked_at += 1
        if not picture[0, 0].any():
            return []
        return [Face(np.array([20.0, 20, 100, 110]), 1.0, POINTS)]


def png(seed: int, side: int = 112, *, face: bool = True) -> bytes:
    pixels = np.random.default_rng(seed).integers(1, 256, (side, side, 3), dtype=np.uint8)
    pixels[0, 0] = 255 * face
    buffer = BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pairs_of(contents: list[bytes], template: str | None = None, **more: object) -> FacePairs:
    """Pair i compares pictures i and i + 1."""
    keys = [f"{i:02d}" for i in range(len(contents))]
    source = Pictures("mine", keys, [Encoded(k, c) for k, c in zip(keys, contents, strict=True)])
    n = len(contents) - 1
    return FacePairs(
        "mine", source, np.arange(n), np.arange(n) + 1, np.arange(n) % 2 == 0,
        contiguous_folds(n), ("",) * n, None, template, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_pictures_without_a_face_take_their_pairs_with_them() -> None:
    contents = [png(i, 128, face=i not in (3, 7)) for i in range(12)]
    contents[9] = contents[9][:200]
    found = aligned_pairs(pairs_of(contents), "arcface-112", Marked)
    assert found.missing[:2] == (("03", "no face"), ("07", "no face"))
    assert found.missing[2][0] == "09"
    assert found.missing[2][1].startswith("damaged: ")
    assert found.rows.tolist() == [0, 1, 4, 5, 10]
    keys = found.source.keys
    assert [keys[row] for row in found.first] == ["00", "01", "04", "05", "10"]
    assert [keys[row] for row in found.second] == ["01", "02", "05", "06", "11"]


@pytest.mark.parametrize("name", ["arcface-112", "dlib-150"])
def test_faces_are_those_of_the_alignment_at_the_template_asked_for(name: str) -> None:
    contents = [png(i, 128) for i in range(11)]
    found = aligned_pairs(pairs_of(contents), name, Marked)
    assert found.source.template == name  # type: ignore[attr-defined]
    sample = found.source.read(4)
    expected = align(Picture(Encoded("", contents[4]), "").pixels(), POINTS, template(name))
    np.testing.assert_array_equal(Picture(sample.content, sample.key).pixels(), expected)


def test_aligned_pictures_are_looked_at_and_kept_as_they_are() -> None:
    contents = [png(i) for i in range(11)]
    contents[5] = contents[5][:300]

    def never() -> Marked:
        raise AssertionError("no face is to be found")

    found = aligned_pairs(pairs_of(contents, "arcface-112"), "dlib-150", never)
    assert found.source.template == "arcface-112"  # type: ignore[attr-defined]
    assert [key for key, _ in found.missing] == ["05"]
    assert found.rows.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert found.source.read(0).content.data == contents[0]


def test_an_aligned_picture_of_another_size_is_an_error() -> None:
    contents = [png(i) for i in range(10)] + [png(10, 96)]
    with pytest.raises(DataError, match="10 has 96×96 pixels, the template 'arcface-112' 112×112"):
        aligned_pairs(pairs_of(contents, "arcface-112"), "arcface-112", Marked)


def test_absent_pictures_are_not_opened() -> None:
    pairs = pairs_of([png(i, 128) for i in range(11)], absent=frozenset({"02"}))
    found = aligned_pairs(pairs, "arcface-112", Marked)
    assert found.missing == (("02", "no such file"),)


def test_no_pair_left_names_the_first_reason() -> None:
    pairs = pairs_of([png(i, 128, face=bool(i % 2)) for i in range(11)])
    with pytest.raises(
        DataError, match=r"of 10 pairs none has both pictures \(the first, 00: no face"
    ):
        aligned_pairs(pairs, "arcface-112", Marked)
    with pytest.raises(UsageError, match="unknown face template"):
        aligned_pairs(pairs, "arcface", Marked)


def test_pictures_of_no_pair_are_left_alone() -> None:
    pairs = pairs_of([png(i, 128) for i in range(11)])
    some = FacePairs(
        "mine", pairs.source, pairs.first[:5], pairs.second[:5], pairs.same[:5], pairs.fold[:5],
        pairs.origin[:5], None, None,
    )  # fmt: skip
    detector = Marked()
    found = aligned_pairs(some, "arcface-112", lambda: detector)
    assert (len(found.source), detector.looked_at) == (6, 6)


def test_mirrored_pictures_are_the_pixels_turned_round() -> None:
    source = Pictures("mine", ["a"], [Encoded("a", png(0))], "arcface-112")
    turned = Mirrored(source).read(0)
    pixels = Picture(Encoded("a", png(0)), "a").pixels()
    np.testing.assert_array_equal(Picture(turned.content, turned.key).pixels(), pixels[:, ::-1])
    assert Mirrored(source).template == "arcface-112"
    assert Mirrored(source).fingerprint() != source.fingerprint()


def test_the_hash_is_of_pairs_and_pictures() -> None:
    contents = [png(i) for i in range(11)]
    base = pairs_of(contents).hash()
    assert pairs_of(contents).hash() == base
    assert pairs_of([*contents[:-1], png(99)]).hash() != base
    assert pairs_of(contents, "arcface-112").hash() != base
