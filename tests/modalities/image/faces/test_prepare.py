"""Preparing faces: the right pixels, rejects with reasons, resume to the byte, refusals."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from masquerade.core.errors import DataError, UsageError
from masquerade.modalities.image import Image
from masquerade.modalities.image.arrays import Arrays, ArraySource
from masquerade.modalities.image.faces.aligned import open_aligned, template_of
from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.detectors import open_detector
from masquerade.modalities.image.faces.prepare import PrepareSettings, prepare_faces
from masquerade.modalities.image.faces.templates import template

ARCFACE = template("arcface-112")
BAD = "ann/damaged"


@pytest.fixture(scope="module")
def detector():
    return open_detector("mtcnn")


@pytest.fixture
def people(tmp_path):
    """Two identities of the same astronaut, a cup, a tiny picture and a damaged file."""
    root = tmp_path / "people"
    head = Pillow.fromarray(data.astronaut()[20:260, 110:340])
    pictures = {
        "ann/colour.png": head,
        "ann/grey.png": head.convert("L"),
        "ann/turned.png": head.rotate(15, Pillow.Resampling.BICUBIC),
        "bea/alpha.png": head.convert("RGBA"),
        "bea/cup.png": Pillow.fromarray(data.coffee()[100:300, 200:400]),
        "bea/tiny.png": head.resize((20, 20)),
    }
    for name, picture in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    on_its_side = head.rotate(90, expand=True)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise to see it upright
    on_its_side.save(root / "bea" / "exif.jpg", quality=95, exif=exif)
    (root / f"{BAD}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return root


def tree(folder):
    """Every file below a folder and its bytes."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_every_kind_of_picture_becomes_the_same_upright_face(people, tmp_path, detector):
    out = tmp_path / "out"
    done = prepare_faces(Image.open(people), out, ARCFACE, detector)
    assert (done.n_faces, done.n_identities) == (5, 2)
    faces = open_aligned(str(out))
    assert faces.source.classes == ("ann", "bea")
    assert list(faces.source.keys) == [
        "ann/colour", "ann/grey", "ann/turned", "bea/alpha", "bea/exif",
    ]  # fmt: skip
    inner = slice(30, 100)
    colour = faces.pixels(0)[inner, inner].astype(float)
    # landmarks of another encoding or rotation move by a pixel; a face on its side: above 40
    for index, most in ((3, 0.01), (4, 15), (2, 15)):
        difference = np.abs(faces.pixels(index)[inner, inner] - colour).mean()
        assert difference <= most, faces.source.keys[index]
    grey = faces.pixels(1)
    assert (grey == grey[..., :1]).all()


def test_the_face_is_what_detection_and_alignment_give(people, tmp_path, detector):
    prepare_faces(Image.open(people), tmp_path / "out", ARCFACE, detector)
    picture = np.array(Pillow.open(people / "ann" / "colour.png"))
    (face,) = detector.detect(picture)
    expected = align(picture, face.points, ARCFACE)
    np.testing.assert_array_equal(
        np.array(Pillow.open(tmp_path / "out" / "ann" / "colour.png")), expected
    )


def test_rejects_are_listed_with_their_reasons(people, tmp_path, detector):
    out = tmp_path / "out"
    done = prepare_faces(Image.open(people), out, ARCFACE, detector)
    reasons = dict(done.rejects)
    assert reasons["bea/cup"] == "no face"
    assert reasons["bea/tiny"] == "too small: the picture has 20×20 pixels, smallest 24"
    assert reasons[BAD].startswith("damaged: ")
    assert f"{BAD}.png" in reasons[BAD]
    lines = (out / "rejects.tsv").read_text("utf-8").splitlines()
    assert lines[0] == "key\treason"
    assert [line.split("\t")[0] for line in lines[1:]] == ["ann/damaged", "bea/cup", "bea/tiny"]
    facts = json.loads((out / "faces.json").read_text("utf-8"))
    assert facts["rejected"] == {"damaged": 1, "no face": 1, "too small": 1}
    assert facts["source"] == {"samples": 8, "fingerprint": Image.open(people).fingerprint()}
    assert (facts["faces"], facts["template"]) == (5, "arcface-112")


def test_a_face_smaller_than_asked_is_rejected(people, tmp_path, detector):
    settings = PrepareSettings(smallest_px=150)
    with pytest.raises(DataError, match="too small: the face has") as caught:
        prepare_faces(Image.open(people / "ann"), tmp_path / "out", ARCFACE, detector, settings)
    assert "none of the 4 pictures" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_strict_stops_at_the_damaged_file(people, tmp_path, detector):
    with pytest.raises(DataError, match="damaged"):
        prepare_faces(Image.open(people), tmp_path / "out", ARCFACE, detector, strict=True)


class Killed(BaseException):
    """Stands for a SIGKILL: nothing catches it."""


def killed_after(count):
    """A progress wrapper that breaks off before picture `count`."""

    def wrap(items):
        for i in items:
            if i == count:
                raise Killed
            yield i

    return wrap


def test_a_run_killed_between_any_two_pictures_ends_with_the_same_bytes(people, tmp_path, detector):
    whole = tmp_path / "whole"
    done = prepare_faces(Image.open(people), whole, ARCFACE, detector)
    out = tmp_path / "out"
    for count in (0, 2, 5, 7):
        with pytest.raises(Killed):
            prepare_faces(Image.open(people), out, ARCFACE, detector, progress=killed_after(count))
        with pytest.raises(DataError, match="was broken off"):
            template_of(out)
    (out / "ann" / ".grey.png.99.tmp").write_bytes(b"half a file")
    seen = []
    again = prepare_faces(Image.open(people), out, ARCFACE, Counting(detector, seen))
    assert len(seen) == 0  # the eighth picture, bea/tiny, is too small to be looked at
    assert tree(out) == tree(whole)
    assert (again.hash, again.rejects) == (done.hash, done.rejects)


class Counting:
    """A detector that notes how often it is asked."""

    def __init__(self, inner, seen):
        self.inner, self.seen = inner, seen
        self.name, self.hash = inner.name, inner.hash

    def detect(self, picture):
        self.seen.append(picture.shape)
        return self.inner.detect(picture)


def test_the_same_request_again_answers_without_work(people, tmp_path, detector):
    out = tmp_path / "out"
    first = prepare_faces(Image.open(people), out, ARCFACE, detector)
    before = tree(out)
    seen = []
    assert prepare_faces(Image.open(people), out, ARCFACE, Counting(detector, seen)) == first
    assert seen == []
    assert tree(out) == before


def test_a_folder_of_another_request_is_refused(people, tmp_path, detector):
    out = tmp_path / "out"
    source = Image.open(people)
    prepare_faces(source, out, ARCFACE, detector)
    with pytest.raises(UsageError, match='another template: it has "arcface-112"'):
        prepare_faces(source, out, template("dlib-150"), detector)
    with pytest.raises(UsageError, match="another settings"):
        prepare_faces(source, out, ARCFACE, detector, PrepareSettings(smallest_px=9))
    shutil.copy(people / "ann" / "grey.png", people / "ann" / "more.png")
    with pytest.raises(UsageError, match="another source"):
        prepare_faces(Image.open(people), out, ARCFACE, detector)


def test_a_begun_folder_of_another_request_is_refused(people, tmp_path, detector):
    out = tmp_path / "out"
    source = Image.open(people)
    with pytest.raises(Killed):
        prepare_faces(source, out, ARCFACE, detector, progress=killed_after(1))
    with pytest.raises(UsageError, match="another template"):
        prepare_faces(source, out, template("dlib-150"), detector)


def test_a_folder_of_something_else_is_refused(people, tmp_path, detector):
    out = tmp_path / "out"
    out.mkdir()
    (out / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no prepared faces"):
        prepare_faces(Image.open(people), out, ARCFACE, detector)
    assert (out / "letter.txt").read_text() == "mine"


def test_an_output_inside_the_source_is_refused(people, detector):
    with pytest.raises(UsageError, match="lies inside the source"):
        prepare_faces(Image.open(people), people / "out", ARCFACE, detector)


def named(keys, labels=None, classes=()):
    """A source of one picture under many names."""
    pixels = np.zeros((len(keys), 30, 30, 3), np.uint8)
    labels = None if labels is None else np.array(labels)
    return ArraySource("made", lambda: Arrays(pixels, list(keys), labels, classes))


@pytest.mark.parametrize("key", ["../up", "/etc/x", ".hidden", "a//b", "a/../../b"])
def test_keys_cannot_leave_the_folder(tmp_path, detector, key):
    with pytest.raises(DataError, match="cannot name a file"):
        prepare_faces(named([key]), tmp_path / "out", ARCFACE, detector)
    assert not (tmp_path / "out").exists()


def test_two_samples_cannot_share_a_file(tmp_path, detector):
    with pytest.raises(DataError, match=r"2 samples would become a/1\.png"):
        prepare_faces(named(["1", "a/1"], [0, 0], ("a",)), tmp_path / "out", ARCFACE, detector)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "masquerade-faces/1"', "{}"])
def test_a_damaged_description_is_one_sentence(people, tmp_path, detector, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "faces.json").write_text(text)
    with pytest.raises((DataError, UsageError)):
        prepare_faces(Image.open(people), out, ARCFACE, detector)
