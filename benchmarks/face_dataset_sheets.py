"""Contact sheets of a set of faces: its best and worst identities, and what leaks, to be looked at.

They show pictures of real people where these are resembled: keep them as you keep the real set.
"""

# K identities, S side of a picture in pixels.

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from ..core.metrics.faces import consistency
from ..core.metrics.leakage import RealIdentities, identity_places

if TYPE_CHECKING:
    from .face_dataset_task import Gallery
    from .judged_faces import JudgedFaces

_LINES, _COLUMNS = 8, 8  # identities of a sheet, pictures of each
_BESIDE = 3  # of them of the identity that it resembles
_LEAKS, _LEAK_COLUMNS = 24, 4  # pairs of a sheet, and in a line
_TEXT, _GAP = 16, 6  # pixels: height of a caption, space between pictures
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True)
class _Tile:
    """A line or pair of a sheet: a caption above pictures, a wider gap after the first ones."""

    caption: str
    first: Sequence[NDArray[np.uint8]]
    second: Sequence[NDArray[np.uint8]] = ()


def contact_sheets(
    faces: "JudgedFaces", galleries: "Sequence[Gallery]", mean: NDArray[np.float32]
) -> dict[str, bytes]:
    """`identities-best.jpg`, `identities-worst.jpg` and `leaks-NAME.jpg`: file name → content.

    An identity is good when its pictures lie near their centre and no other centre does: its value
    is the mean cosine with the own centre less the largest one of two centres. Beside a bad one
    stands the identity that it resembles. A leak stands beside the picture most like it of the
    real identity most like it; one per identity of the set is shown.

    Args:
        faces: the set.
        galleries: real people.
        mean: (D,) taken from all vectors.
    """
    sheets = {}
    labels, centres = faces.centres(mean)
    if len(labels) > 1:
        other = RealIdentities(centres).strangers()
        own = _by_identity(consistency(faces.vectors - mean, faces.labels), faces.labels, labels)
        order = np.argsort(other.cosine - own, kind="stable")
        for name, chosen in (("best", order), ("worst", order[::-1])):
            tiles = [
                _identity(
                    faces,
                    int(labels[i]),
                    int(labels[other.nearest[i]]),
                    f"own centre {own[i]:.2f}",
                    f"centres {other.cosine[i]:.2f}",
                )
                for i in chosen[:_LINES].tolist()
            ]
            title = f"{faces.name}: {name} identities | the one that each resembles most"
            sheets[f"identities-{name}.jpg"] = _sheet(title, tiles, columns=1)
    for gallery in galleries:
        tiles = _leaks(faces, gallery, mean)
        title = f"{faces.name} | nearest of {gallery.faces.name}"
        safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in gallery.name)
        sheets[f"leaks-{safe}.jpg"] = _sheet(title, tiles, columns=_LEAK_COLUMNS)
    return sheets


def _by_identity(
    values: NDArray[np.float64], whose: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    place = np.searchsorted(labels, whose)
    return np.bincount(place, values) / np.bincount(place)


def _identity(faces: "JudgedFaces", label: int, other: int, own: str, near: str) -> _Tile:
    return _Tile(
        f"{faces.classes[label]}: {own} | {faces.classes[other]}: {near}",
        _pictures(faces, label, _COLUMNS - _BESIDE),
        _pictures(faces, other, _BESIDE),
    )


def _pictures(faces: "JudgedFaces", label: int, n: int) -> list[NDArray[np.uint8]]:
    return [faces.pixels(row) for row in np.flatnonzero(faces.labels == label)[:n].tolist()]


def _leaks(faces: "JudgedFaces", gallery: "Gallery", mean: NDArray[np.float32]) -> list[_Tile]:
    real = gallery.faces
    labels, centres = real.centres(mean)
    own = identity_places(faces.labels, labels) if real is faces else None
    found = RealIdentities(centres).nearest(faces.vectors - mean, own)
    tiles: list[_Tile] = []
    shown: set[int] = set()
    for row in found.worst(len(faces)).tolist():
        if len(tiles) == _LEAKS:
            break
        if int(faces.labels[row]) in shown:
            continue
        shown.add(int(faces.labels[row]))
        label = int(labels[found.nearest[row]])
        theirs = np.flatnonzero(real.labels == label)
        alike = _cosines(faces.vectors[row] - mean, real.vectors[theirs] - mean)
        best = int(theirs[int(alike.argmax())])
        tiles.append(_Tile(
            f"person {found.cosine[row]:.2f} | picture {alike.max():.2f}",
            [faces.pixels(row)], [real.pixels(best)],
        ))  # fmt: skip
    return tiles


def _cosines(vector: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(vector)
    cosines: NDArray[np.float32] = others @ vector / np.maximum(lengths, np.finfo(np.float32).tiny)
    return cosines


def _sheet(title: str, tiles: Sequence[_Tile], columns: int) -> bytes:
    """The JPEG of a title and tiles, `columns` in a line."""
    drawn = [_drawn(tile) for tile in tiles]
    width = max(image.width for image in drawn)
    height = max(image.height for image in drawn)
    lines = -(-len(drawn) // columns)
    across = min(columns, len(drawn))
    page = Pillow.new(
        "RGB", (across * (width + 2 * _GAP), _TEXT + _GAP + lines * (height + _GAP)), _PAPER
    )
    _write(page, (_GAP, 2), title)
    for place, image in enumerate(drawn):
        line, column = divmod(place, columns)
        page.paste(
            image, (_GAP + column * (width + 2 * _GAP), _TEXT + _GAP + line * (height + _GAP))
        )
    buffer = BytesIO()
    page.save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _drawn(tile: _Tile) -> Pillow.Image:
    side = max(picture.shape[0] for picture in (*tile.first, *tile.second))
    n = len(tile.first) + len(tile.second)
    image = Pillow.new("RGB", (n * (side + 2) + _GAP, _TEXT + side), _PAPER)
    _write(image, (0, 2), tile.caption)
    for place, picture in enumerate((*tile.first, *tile.second)):
        shift = _GAP if place >= len(tile.first) else 0
        image.paste(Pillow.fromarray(picture), (place * (side + 2) + shift, _TEXT))
    return image


def _write(image: Pillow.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(image).text(place, text, fill=_INK, font=ImageFont.load_default())
