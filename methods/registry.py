"""The methods, and the nets that they use: slug → import string. A new one is one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import lookup

if TYPE_CHECKING:  # `masquerade list` reads this table without importing torch
    from ..core.importable import Importable
    from ..core.method import Method

METHODS = {
    "arcface": "masquerade.methods.image.arcface:ArcFace",
    "graphmae": "masquerade.methods.graph.graphmae:GraphMAE",
    "hicmae": "masquerade.methods.audio_visual.hicmae:HiCMAE",
    "i2p-mae": "masquerade.methods.point_cloud.i2p_mae:I2PMAE",
    "mae": "masquerade.methods.image.mae:MAE",
    "point-m2ae": "masquerade.methods.point_cloud.point_m2ae:PointM2AE",
    "vec2face": "masquerade.generators.vec2face.method:Vec2Face",
    "videomae": "masquerade.methods.video.videomae:VideoMAE",
}
# published nets that methods use frozen: weights of them are read and written, nothing trains them
NETWORKS = {
    "clip-visual": "masquerade.core.clip_visual:ClipVisual",
    "iresnet": "masquerade.core.iresnet:IResNet",
}


def method(slug: str) -> type[Method]:
    """The method's class.

    Raises:
        UsageError: the slug is unknown.
    """
    return lookup("methods", slug, METHODS)


def weights_class(slug: str) -> type[Importable]:
    """The class of a method or of a net, by which weights files are read and written.

    Raises:
        UsageError: the slug is unknown.
    """
    return lookup("methods", slug, {**METHODS, **NETWORKS})
