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
    "mae": "masquerade.methods.image.mae:MAE",
    "vec2face": "masquerade.generators.vec2face.method:Vec2Face",
    "videomae": "masquerade.methods.video.videomae:VideoMAE",
}
# published nets that methods use frozen: weights of them are read and written, nothing trains them
NETWORKS = {
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
