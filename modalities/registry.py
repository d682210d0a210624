"""The modalities: slug → import string. A new modality is one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import lookup

if TYPE_CHECKING:  # `masquerade list` reads this table without importing torch
    from ..core.modality import Modality

MODALITIES = {
    "audio-visual": "masquerade.modalities.audio_visual:AudioVisual",
    "graph": "masquerade.modalities.graph:Graph",
    "image": "masquerade.modalities.image:Image",
    "point-cloud": "masquerade.modalities.point_cloud:PointCloud",
    "video": "masquerade.modalities.video:Video",
}


def modality(slug: str) -> type[Modality]:
    """The adapter's class.

    Raises:
        UsageError: the slug is unknown.
    """
    return lookup("modalities", slug, MODALITIES)
