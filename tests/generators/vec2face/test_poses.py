"""Poses as a user names them, and which picture gets which."""

import json
import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from skimage import data

from masquerade.core.errors import DataError, UsageError
from masquerade.core.hashing import sha256_file
from masquerade.generators.vec2face.poses import (
    ORIGIN,
    POSES,
    pose_of,
    prepared_poses,
    read_poses,
)
from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.detectors import main_face
from masquerade.modalities.image.faces.mtcnn import Mtcnn
from masquerade.modalities.image.faces.templates import template

ARCFACE = template("arcface-112")
FRONT = ARCFACE.points.astype(np.float32)


def turned(pixels: float) -> np.ndarray:
    """The usual points with the nose moved to the side."""
    return FRONT + np.float32([[0, 0], [0, 0], [pixels, 0], [0, 0], [0, 0]])


@pytest.fixture
def save(tmp_path):
    def save(points):
        np.save(tmp_path / "poses.npy", np.asarray(points))
        return str(tmp_path / "poses.npy")

    return save


def test_points_of_a_file_are_kept_with_its_hash(save, tmp_path):
    path = save(np.stack([FRONT, turned(9)]).astype(np.float64))
    poses = read_poses(path, "arcface-112")
    np.testing.assert_array_equal(poses.points, np.stack([FRONT, turned(9)]))
    assert (poses.names, poses.sha256) == (("0", "1"), sha256_file(tmp_path / "poses.npy"))
    (tmp_path / "out").mkdir()
    assert poses.write(tmp_path / "out") == {"poses": 2, "poses_sha256": poses.sha256}
    assert torch.equal(prepared_poses(tmp_path / "out"), torch.from_numpy(poses.points))
    origin = json.loads((tmp_path / "out" / ORIGIN).read_text())
    assert origin == {"names": ["0", "1"], "sha256": poses.sha256}
    (tmp_path / "out" / POSES).write_bytes(b"")
    with pytest.raises(DataError, match=r"poses\.npy is no readable"):
        prepared_poses(tmp_path / "out")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (FRONT, r"expected points \(poses, 5, 2\), got shape \(5, 2\)"),
        (np.zeros((2, 68, 2)), r"got shape \(2, 68, 2\); give left and right eye, nose"),
        (np.zeros((0, 5, 2)), r"got shape \(0, 5, 2\)"),
        (np.array([[["a", "b"]] * 5]), "expected numbers, got <U1"),
        (np.stack([FRONT, FRONT / 112]), r"row 1 is no face in a picture of 112×112 pixels: \[\["),
        (np.stack([FRONT, FRONT + 200]), "row 1 is no face"),
        (np.stack([FRONT, np.full_like(FRONT, np.nan)]), "row 1 is no face .* nan"),
        (np.stack([np.where(FRONT > 90, np.inf, FRONT)]), "row 0 is no face .* inf"),
    ],
)
def test_other_tables_are_refused_by_what_is_wrong(save, points, message):
    with pytest.raises(DataError, match=message):
        read_poses(save(points), "arcface-112")


def test_absent_and_damaged_files_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="no readable .npy file"):
        read_poses(str(tmp_path / "nothing.npy"), "arcface-112")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="no readable .npy file"):
        read_poses(str(tmp_path / "bad.npy"), "arcface-112")
    with pytest.raises(DataError, match="does not exist"):
        read_poses(str(tmp_path / "nothing"), "arcface-112")


@pytest.fixture
def faces(tmp_path):
    """An aligned face and a grey picture."""
    picture = data.astronaut()[:256, 96:352]
    chip = align(picture, main_face(Mtcnn().detect(picture), 256, 256).points, ARCFACE)
    (tmp_path / "faces" / "ann").mkdir(parents=True)
    Pillow.fromarray(chip).save(tmp_path / "faces" / "ann" / "a.png")
    Pillow.new("RGB", (112, 112), "grey").save(tmp_path / "faces" / "ann" / "b.png")
    return tmp_path / "faces"


def test_aligned_faces_give_their_points_and_others_are_counted(faces, caplog):
    with caplog.at_level(logging.WARNING):
        poses = read_poses(str(faces), "arcface-112")
    assert poses.names == ("ann/a",)
    assert 2 < np.linalg.norm(poses.points[0] - FRONT, axis=1).max() < 15  # a turned head's own
    assert "no face was found in 1 of 2 pictures (the first: ann/b)" in caplog.text
    before = poses.sha256
    Pillow.new("RGB", (112, 112), "white").save(faces / "ann" / "b.png")
    assert read_poses(str(faces), "arcface-112").sha256 != before
    (faces / "ann" / "a.png").unlink()
    with pytest.raises(DataError, match="no face was found in any of its 1 pictures"):
        read_poses(str(faces), "arcface-112")


def test_faces_of_another_template_are_refused(faces):
    facts = {"format": "masquerade-faces/1", "template": "dlib-150"}
    (faces / "faces.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="holds faces of the template 'dlib-150'"):
        read_poses(str(faces), "arcface-112")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31), n_poses=st.integers(1, 9), images=st.integers(1, 20),
    first=st.integers(0, 2**31 - 8),
)  # fmt: skip
def test_every_identity_goes_through_all_poses_before_any_comes_again(seed, n_poses, images, first):
    who = torch.arange(first, first + 4).repeat_interleave(images)
    which = torch.arange(images).repeat(4)
    chosen = pose_of(seed, who, which, n_poses)
    for row in chosen.view(4, images).tolist():
        for start in range(0, images, n_poses):
            part = row[start : start + n_poses]
            assert len(set(part)) == len(part)
            assert set(part) <= set(range(n_poses))
    order = torch.randperm(len(who))
    assert torch.equal(pose_of(seed, who[order], which[order], n_poses), chosen[order])
    assert pose_of(seed, who[-1:], which[-1:], n_poses).item() == chosen[-1]


def test_identities_have_orders_of_their_own_and_a_seed_changes_them():
    who, which = torch.arange(50).repeat_interleave(6), torch.arange(6).repeat(50)
    one, other = (pose_of(seed, who, which, 6).view(50, 6) for seed in (0, 1))
    assert len({tuple(row) for row in one.tolist()}) > 40  # of 720 orders
    assert not torch.equal(one, other)
    counts = torch.bincount(one[:, 0], minlength=6)
    assert counts.min() >= 2  # the first picture is no favourite of one pose
