"""Points of aligned pictures: found once, exactly where they are, counted where they are not."""

import numpy as np
import torch
from skimage import data

from masquerade.modalities.image.faces.alignment import align, similarity
from masquerade.modalities.image.faces.detectors import Face, main_face
from masquerade.modalities.image.faces.mtcnn import Mtcnn
from masquerade.modalities.image.faces.points import PointsOf
from masquerade.modalities.image.faces.templates import apply, template

ARCFACE = template("arcface-112")


def aligned_portrait() -> tuple[torch.Tensor, np.ndarray]:
    """(1, 3, 112, 112) in [-1, 1], and where the original's points (5, 2) went."""
    picture = data.astronaut()[:256, 96:352]
    face = main_face(Mtcnn().detect(picture), 256, 256)
    chip = torch.from_numpy(align(picture, face.points, ARCFACE))
    where = apply(similarity(face.points, ARCFACE.points), face.points)
    return chip.permute(2, 0, 1)[None].float() / 127.5 - 1, where


class Counting:
    """A detector that keeps what it was shown and finds a face in bright pictures."""

    name, hash = "counting", "0"

    def __init__(self):
        self.seen = []

    def detect(self, picture):
        self.seen.append(picture.copy())
        if picture.mean() < 100:
            return []
        return [Face(np.array([0.0, 0, 112, 112]), 1.0, np.full((5, 2), float(picture[0, 0, 0])))]


def test_portrait_has_its_own_points_not_the_templates():
    images, where = aligned_portrait()
    points, found = PointsOf("arcface-112")(images)
    assert found.tolist() == [True]
    off = np.linalg.norm(points[0].numpy() - where, axis=1)
    assert off.max() < 1.5  # pixels
    assert np.linalg.norm(where - ARCFACE.points, axis=1).max() > 5  # a turned, laughing head


def test_each_picture_is_looked_at_once_as_its_exact_levels():
    detector = Counting()
    points_of = PointsOf("arcface-112", detector)
    levels = torch.tensor([200.0, 201.0, 20.0]).view(3, 1, 1, 1).expand(3, 3, 112, 112)
    images = levels / 127.5 - 1
    points, found = points_of(images)
    assert found.tolist() == [True, True, False]
    assert points[:2, 0, 0].tolist() == [200, 201]
    np.testing.assert_allclose(points[2], ARCFACE.points, rtol=1e-6)
    assert [int(picture[0, 0, 0]) for picture in detector.seen] == [200, 201, 20]
    again, _ = points_of(images.flip(0))
    assert torch.equal(again, points.flip(0))
    assert len(detector.seen) == 3


def test_lower_precision_of_a_step_does_not_reach_the_detector():
    images, _ = aligned_portrait()
    plain, _ = PointsOf("arcface-112")(images)
    with torch.autocast("cpu", torch.bfloat16):
        inside, _ = PointsOf("arcface-112")(images)
    assert torch.equal(plain, inside)
