"""The point-cloud adapter: a shape becomes so many points in the unit sphere.

Layout of a batch: "points" (B, N, 3) float32, the mean at the origin and the farthest point at
distance 1 unless said otherwise, axes as in the file. Colours and normals are not read.
"""

# B clouds, N points of each, G groups, K points of a group.

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ...core.config import Config as BaseConfig
from ...core.draws import Draws
from ...core.modality import Modality, Sample, Source
from ...core.tokens import Batch, Tokens
from ..files import Encoded
from .files import checked_cloud, read_shape
from .meshes import sample_surface
from .preparation import (
    Take,
    finite_points,
    in_unit_sphere,
    rotated_and_scaled,
    scaled_and_shifted,
    surface_form,
    taken,
)
from .shapes import Points, Shape, shape_of

_BINS = 64  # of the baseline `raw`
_LARGEST_DISTANCE = 2.0  # inside the unit sphere


class PointCloud(Modality):
    """Clouds of points.

    Example:
        >>> import numpy as np
        >>> clouds = PointCloud(PointCloud.Config(points=4))
        >>> corners = Sample("corners", np.eye(3, dtype=np.float32))
        >>> clouds.prepare(corners, None)["points"].shape
        torch.Size([4, 3])
    """

    slug = "point-cloud"

    class Config(BaseConfig):
        """How many points, in which form, and augmentation.

        Attributes:
            points: of a prepared cloud. Of a shape with fewer they are repeated in order.
            take: which points of more: "random" (evaluation takes the first), "first", "farthest".
            form: "as_is", or "surface": every source brought to one form (`preparation`), which
                leaves nothing to `take`.
            cells: of the grid of "surface", along the longest side.
            mesh_points: drawn from a mesh by area, the same ones each time.
            normalize: to the unit sphere "before" points are taken, "after", or "none".
            non_finite: "refuse" a cloud with coordinates that are no numbers, or "drop" those
                points.
            augment: in training "scale_shift", "rotate_scale" or "none".
        """

        points: int = Field(2048, ge=1, le=1 << 20)
        take: Take = "random"
        form: Literal["as_is", "surface"] = "as_is"
        cells: int = Field(32, ge=2, le=256)
        mesh_points: int = Field(8192, ge=1, le=1 << 20)
        normalize: Literal["before", "after", "none"] = "after"
        non_finite: Literal["refuse", "drop"] = "refuse"
        augment: Literal["scale_shift", "rotate_scale", "none"] = "scale_shift"

    @classmethod
    def open(cls, path: Path) -> Source:
        """The shapes at a path: folder, tar shards, arrays (`file.npz#test`) or one file.

        Raises:
            DataError: nothing there that can be read.
        """
        from .sources import open_source

        return open_source(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path plainly holds shapes."""
        from .sources import holds_shapes

        return holds_shapes(path)

    @classmethod
    def check(cls, sample: Sample) -> None:
        """Read all of a shape.

        Raises:
            DataError: the file is damaged; names it.
        """
        name, shape = _shape(sample)
        finite_points(name, shape.points, drop=False)

    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One shape as {"points": (N, 3) float32}.

        Args:
            sample: content `Encoded` or an array (M, 3) or wider.
            draws: one row for which points and augmentation; None = the evaluation cloud.

        Raises:
            DataError: the file is damaged, empty or not finite; names it.
        """
        c: PointCloud.Config = self.config
        # what belongs to the shape, not to the step, is drawn the same each time
        own = Draws(0, torch.tensor([sample.id]), stream="shape")
        cloud = self._cloud(*_shape(sample), own)
        cloud = in_unit_sphere(cloud) if c.normalize == "before" else cloud
        if c.form == "surface":
            cloud = surface_form(cloud, c.cells, c.points, draws or own)
        else:
            cloud = taken(cloud, c.points, c.take, draws)
        cloud = in_unit_sphere(cloud) if c.normalize == "after" else cloud
        points = torch.from_numpy(np.ascontiguousarray(cloud))
        if draws is not None and c.augment == "scale_shift":
            points = scaled_and_shifted(points, draws)
        if draws is not None and c.augment == "rotate_scale":
            points = rotated_and_scaled(points, draws)
        return {"points": points}

    def _cloud(self, name: str, shape: Shape, own: Draws) -> Points:
        """A shape's finite points, or those drawn on its triangles."""
        c: PointCloud.Config = self.config
        if shape.faces is None:
            return finite_points(name, shape.points, drop=c.non_finite == "drop")
        corners = finite_points(name, shape.points, drop=False)
        return sample_surface(name, corners, shape.faces, c.mesh_points, own.fork("mesh"))

    def raw(self, batch: Batch) -> dict[str, Tensor]:
        """{"distances": (B, 64)} the shares of distances between two points, in bins from 0 to 2.

        The shape distribution D2 of Osada et al. (2002): coordinates in no order are no features.
        """
        distances = torch.cdist(batch["points"], batch["points"])
        bins = (distances / _LARGEST_DISTANCE * _BINS).long().clamp(0, _BINS - 1).flatten(1)
        counts = torch.zeros(len(batch), _BINS, device=bins.device)
        counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))
        return {"distances": counts / bins.shape[1]}

    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a PNG: input | visible | reconstruction, from one side; or a coloured PLY.

        Args:
            batch: the clouds.
            tokens: (B, G, K 3) points of each group, predicted where hidden, with the groups'
                centres as positions.
            hidden: (B, G) bool, or (1, B G) as of the one union of all clouds' groups.
            path: where to; `.ply` gives the first cloud's reconstruction.
        """
        from .drawing import write_clouds, write_ply

        write = write_ply if path.suffix.lower() == ".ply" else write_clouds
        return write(batch["points"], tokens, hidden.reshape(tokens.values.shape[:2]), path)


def _shape(sample: Sample) -> tuple[str, Shape]:
    """A sample's name for messages, and its shape."""
    content: Encoded | NDArray[Any] = sample.content
    if isinstance(content, Encoded):
        return content.name, read_shape(content)
    return sample.key, shape_of(sample.key, checked_cloud(sample.key, content))
