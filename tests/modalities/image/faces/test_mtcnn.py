"""MTCNN: the nets against the published code, its parts, and real faces against dlib's points."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from skimage import data

from masquerade.core.errors import MissingExtra, WeightsError
from masquerade.modalities.image.faces import mtcnn_nets
from masquerade.modalities.image.faces.alignment import similarity
from masquerade.modalities.image.faces.detectors import main_face, open_detector
from masquerade.modalities.image.faces.mtcnn import Mtcnn, correct, square, suppress
from masquerade.modalities.image.faces.templates import apply, template

# dlib's detector and 68-point predictor on the same photograph
ASTRONAUT = np.array(
    [[203.2, 101.5], [246.8, 104.0], [225.0, 127.0], [201.0, 140.0], [245.0, 141.0]]
)


@pytest.fixture(scope="module")
def detector():
    return Mtcnn()


def waves(*shape):
    """A fixed input of the nets."""
    count = int(np.prod(shape))
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.37).reshape(shape)


def test_nets_equal_the_published_code():
    """Expected values: facenet-pytorch 2.6.0's own classes on the same input."""
    nets = mtcnn_nets.shipped()
    with torch.inference_mode():
        scores, boxes = nets.p(waves(2, 3, 30, 22))
        assert scores.shape == (2, 10, 6)
        np.testing.assert_allclose(scores.mean(), 1.0855326e-04, rtol=1e-4)
        expected = [0.10285650, 0.28928587, 0.40091878, 0.09988142]
        np.testing.assert_allclose(boxes.mean((0, 2, 3)), expected, atol=1e-5)
        scores, boxes = nets.r(waves(2, 3, 24, 24))
        np.testing.assert_allclose(scores, [1.9741787e-05, 2.1939926e-05], rtol=1e-3)
        expected = [-0.12642863, 0.11409428, 0.24466772, 0.66664112]
        np.testing.assert_allclose(boxes[0], expected, atol=1e-5)
        scores, boxes, points = nets.o(waves(2, 3, 48, 48))
        np.testing.assert_allclose(scores, [0.00327476, 0.00349551], rtol=1e-3)
        expected = [-0.13972971, -0.06318350, 0.10095003, 0.27158174]
        np.testing.assert_allclose(boxes[0], expected, atol=1e-5)
        expected = [0.23253682, 0.68767613, 0.36463422, 0.21810685, 0.60975868]
        np.testing.assert_allclose(points[0, :5], expected, atol=1e-5)


def test_nets_with_damaged_weights_say_so(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    path = tmp_path / "mtcnn.safetensors"
    save_file({"p.conv1.weight": torch.zeros(1)}, path)
    monkeypatch.setattr(mtcnn_nets, "WEIGHTS", path)
    with pytest.raises(WeightsError, match="damaged"):
        mtcnn_nets.shipped.__wrapped__()


def test_astronaut_has_one_face_where_dlib_sees_it(detector):
    faces = detector.detect(data.astronaut())
    assert len(faces) == 1
    assert faces[0].score > 0.99
    assert np.linalg.norm(faces[0].points - ASTRONAUT, axis=1).max() < 2.5
    left, top, right, bottom = faces[0].box
    assert max(left, top + 100) < 190
    assert min(right, bottom + 100) > 255


@pytest.mark.parametrize("name", ["chelsea", "coffee", "brick"])
def test_no_face_is_found_where_there_is_none(detector, name):
    picture = getattr(data, name)()
    assert detector.detect(np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture) == []


@pytest.mark.parametrize("side", [48, 2000])
def test_points_follow_the_picture_when_it_is_scaled(detector, side):
    """A small picture is enlarged inside, a large one shrunk; the points stay in its pixels."""
    head = Pillow.fromarray(data.astronaut()[30:230, 120:320])
    zoom = side / 200
    faces = detector.detect(np.array(head.resize((side, side), Pillow.Resampling.LANCZOS)))
    expected = (ASTRONAUT - [120, 30] + 0.5) * zoom - 0.5
    assert len(faces) == 1
    assert np.linalg.norm(faces[0].points - expected, axis=1).max() < 2.5 * max(zoom, 0.5)


def test_a_face_cut_by_the_border_is_found_and_its_box_reaches_out(detector):
    faces = detector.detect(data.astronaut()[:, 205:330].copy())
    assert len(faces) == 1
    assert faces[0].points[0, 0] < 2


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (30, 3000, 3), (7, 40, 3)])
def test_odd_shapes_are_no_trouble(detector, shape):
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert detector.detect(noise) == []


def test_suppress_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10], [0, 0, 4, 4]], float)
    scores = np.array([0.8, 0.9, 0.5, 0.7])
    # unions: the first two share 80 of 100; the small one 16 of 80 of the second
    assert suppress(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert suppress(boxes, scores, 0.1).tolist() == [1, 2]
    assert suppress(boxes, scores, 0.8).tolist() == [1, 0, 3, 2]  # equal overlap stays
    assert suppress(boxes, scores, 0.5, of_smaller=True).tolist() == [1, 2]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_suppress_of_equal_scores_keeps_the_first():
    boxes = np.array([[0, 0, 10, 10]] * 3, float)
    assert suppress(boxes, np.ones(3), 0.5).tolist() == [0]


def test_square_and_correct_by_hand():
    boxes = np.array([[10, 20, 30, 60]], float)
    np.testing.assert_array_equal(square(boxes), [[0, 20, 40, 60]])
    moved = correct(boxes, np.array([[0.1, -0.5, 0.5, 0.25]]))
    np.testing.assert_array_equal(moved, [[12, 0, 40, 70]])


def test_real_faces_agree_with_dlib(detector, shared):
    """Median distance 1.4 px of 112, 240 of 240 found (measured on another draw of pictures)."""
    root = shared / "data" / "faces"
    if not root.is_dir():
        pytest.skip(f"no faces at {root}")
    try:
        other = open_detector("dlib-hog")
    except MissingExtra as error:
        pytest.skip(str(error))
    with (root / "pairs.tsv").open() as handle:
        names = sorted({row["a"] for row in csv.DictReader(handle, delimiter="\t")})[::40]
    distances = []
    for name in names:
        picture = np.array(Pillow.open(root / name).convert("RGB"))
        size = picture.shape[1], picture.shape[0]
        found = detector.detect(picture)
        assert found, name
        seen = other.detect(picture)
        if seen:
            points = main_face(found, *size).points
            matrix = similarity(points, template("arcface-112").points)
            gap = apply(matrix, points) - apply(matrix, main_face(seen, *size).points)
            distances.append(np.linalg.norm(gap, axis=1))
    assert len(distances) >= 0.8 * len(names)
    assert np.median(distances) < 2.5
