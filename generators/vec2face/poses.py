"""The head poses that pictures are asked for: five points each, and which picture has which.

The official script reads a list of landmark drawings and gives them in turn to the pictures of a
batch. Ours gives each identity all poses in an order of its own, so that a picture's pose is a
function of (plan, identity, image) and every identity is seen from everywhere.
"""

# P poses, B rows, S side of the template.

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from ...core.atomic_io import canonical_json, write_file, write_text
from ...core.draws import Draws
from ...core.errors import DataError
from ...core.hashing import sha256_file
from ...modalities.catalogue import resolve_data
from ...modalities.image.faces.aligned import AlignedFaces
from ...modalities.image.faces.checking import check_template
from ...modalities.image.faces.points import PointsOf
from ...modalities.image.faces.templates import template

logger = logging.getLogger(__name__)

POSES, ORIGIN = "poses.npy", "poses.json"
_LEAST_PX = 8  # between two points of a face; coordinates in shares of the side lie closer


@dataclass(frozen=True)
class Poses:
    """Poses, and where they are from.

    Attributes:
        points: (P, 5, 2) float32 pixels of the template, in the order of `templates.LANDMARKS`.
        names: of each: its picture's key, or its row in the file.
        sha256: of the file, or the fingerprint of the pictures.
    """

    points: NDArray[np.float32]
    names: tuple[str, ...]
    sha256: str

    def write(self, folder: Path) -> dict[str, JsonValue]:
        """Write poses.npy and poses.json into a folder; what the plan shall say of them.

        Raises:
            MasqueradeError: the system refuses to write.
        """

        def write(path: Path) -> None:
            with path.open("wb") as handle:
                np.save(handle, self.points.astype("<f4", copy=False))

        write_file(folder / POSES, write)
        origin = {"names": list(self.names), "sha256": self.sha256}
        write_text(folder / ORIGIN, canonical_json(origin))
        return {"poses": len(self.points), "poses_sha256": self.sha256}


def read_poses(text: str, template_name: str) -> Poses:
    """The poses that a user names.

    Args:
        text: an .npy file of points (P, 5, 2) in pixels of the template, or aligned faces (as
            `--data`), whose points are found as in training.
        template_name: of the pictures to be made.

    Raises:
        DataError: nothing there, damaged, no such table, or no face in any picture.
        UsageError: the faces are of another template.
    """
    if Path(text).suffix == ".npy":
        return _of_file(Path(text), template_name)
    return _of_faces(text, template_name)


def _of_file(path: Path, template_name: str) -> Poses:
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"poses {path}: no readable .npy file: {error}") from error
    if points.ndim != 3 or points.shape[1:] != (5, 2) or not len(points):
        raise DataError(
            f"poses {path}: expected points (poses, 5, 2), got shape {points.shape}",
            "give left and right eye, nose, left and right corner of the mouth, as seen, as (x, y)",
        )
    if points.dtype.kind not in "fiu":
        raise DataError(f"poses {path}: expected numbers, got {points.dtype}")
    side = template(template_name).size
    with np.errstate(invalid="ignore"):  # infinities
        centre, spread = points.mean(axis=1), np.ptp(points, axis=1).max(axis=1)
    seen = (spread >= _LEAST_PX) & (centre > 0).all(axis=1) & (centre < side).all(axis=1)
    if not seen.all():  # NaN is not seen either
        row = int(np.flatnonzero(~seen)[0])
        raise DataError(
            f"poses {path}: row {row} is no face in a picture of {side}×{side} pixels: "
            f"{points[row].tolist()}",
            f"give pixels of the template '{template_name}'",
        )
    names = tuple(str(row) for row in range(len(points)))
    return Poses(points.astype(np.float32), names, sha256_file(path))


def _of_faces(text: str, template_name: str) -> Poses:
    source = resolve_data(text, "image")
    check_template(source, template_name)
    faces, points_of = AlignedFaces(source, template(template_name)), PointsOf(template_name)
    points, names, unseen = [], [], []
    for index, key in enumerate(source.keys):
        where, found = points_of(faces.tensor([index]))
        if bool(found[0]):
            points.append(where[0].numpy())
            names.append(key)
        else:
            unseen.append(key)
    if not points:
        raise DataError(
            f"poses {text}: no face was found in any of its {len(source)} pictures",
            f"prepare them with `masquerade data prepare faces --template {template_name}`",
        )
    if unseen:
        logger.warning(
            "poses %s: no face was found in %d of %d pictures (the first: %s), the others serve",
            text, len(unseen), len(source), unseen[0],
        )  # fmt: skip
    return Poses(np.stack(points), tuple(names), source.fingerprint())


def prepared_poses(folder: Path) -> Tensor:
    """The points (P, 5, 2) float32 that `Poses.write` wrote into a folder.

    Raises:
        DataError: missing or damaged.
    """
    path = Path(folder) / POSES
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise DataError(
            f"{path} is no readable .npy file: {error}", "make the set again"
        ) from error


def pose_of(seed: int, identities: Tensor, numbers: Tensor, n_poses: int) -> Tensor:
    """The pose of each row, 0 … n_poses - 1: a pure function of (plan, identity, image).

    An identity has every pose once, in an order of its own, before any comes again.

    Args:
        seed: the plan's.
        identities: (B,) int64.
        numbers: (B,) int64, of the picture within its identity.
        n_poses: P.

    Returns:
        (B,) int64.
    """
    unique, which = torch.unique(identities, return_inverse=True)
    orders = Draws(seed, unique, stream="pose/order").permutation(n_poses)
    return orders[which, numbers % n_poses]
