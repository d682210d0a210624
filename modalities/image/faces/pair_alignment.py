"""Pairs with their pictures aligned: what cannot be had or shows no face is listed, not scored."""

# N pairs of a list, M of them with both pictures, K pictures.

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.modality import Source
from ..decoding import Encoded, Picture
from .detectors import Detector
from .pairs import FacePairs
from .pictures import Chosen, Pictures
from .prepare import PrepareSettings, Rejected, face_png
from .templates import Template
from .templates import template as named

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, eq=False)
class AlignedPairs:
    """The pairs of a list that can be compared.

    Attributes:
        source: the aligned pictures that were found; it has their `template`.
        rows: (M,) int64 rows of the list whose two pictures were found.
        first: (M,) row in `source` of each pair's first picture.
        second: (M,) of its second picture.
        missing: (picture key, why) of the pictures that were not found.
    """

    source: Source
    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    missing: tuple[tuple[str, str], ...]


def aligned_pairs(
    pairs: FacePairs, template: str, detector: Callable[[], Detector], progress: Progress = iter
) -> AlignedPairs:
    """The pairs with their pictures aligned in memory.

    Pictures that are aligned already are only looked at and keep their template. A folder that is
    scored often is better aligned once for all, by `masquerade data prepare faces`.

    Args:
        pairs: the list.
        template: the crop wanted of pictures that are not aligned yet.
        detector: opens what finds the faces in those; not called where there are none.
        progress: wraps the range of pictures (a progress bar).

    Raises:
        UsageError: there is no such template.
        DataError: an aligned picture is not of its template's size, or no pair is left.
    """
    used = pairs.used.tolist()
    find = _aligner(pairs.source, named(template), detector) if pairs.template is None else None
    found: list[int] = []
    faces: list[Encoded] = []
    missing: list[tuple[str, str]] = []
    for place in progress(range(len(used))):
        row = used[place]
        try:
            if pairs.source.keys[row] in pairs.absent:
                raise Rejected("no such file")
            if find is None:
                _look_at(pairs.source, row, named(pairs.template or template))
            else:
                faces.append(find(row))
        except Rejected as rejected:
            missing.append((pairs.source.keys[row], str(rejected)))
        else:
            found.append(row)
    if find is None:
        return _kept(pairs, Chosen(pairs.source, found, pairs.template), found, missing)
    keys = [pairs.source.keys[row] for row in found]
    return _kept(pairs, Pictures(pairs.source.name, keys, faces, template), found, missing)


def mend_of(why: str) -> str:
    """What to do about a picture that is left out, by the reason given."""
    return {
        "no such file": "name the pictures' folder with --set data.root=FOLDER",
        "damaged": "fetch the pictures again",
    }.get(why.partition(":")[0], "look at the picture, or try another data.detector")


def _aligner(
    source: Source, template: Template, detector: Callable[[], Detector]
) -> Callable[[int], Encoded]:
    """Row → the picture's aligned face."""
    opened, settings = detector(), PrepareSettings()

    def find(row: int) -> Encoded:
        try:
            return Encoded(source.keys[row], face_png(source.read(row), template, opened, settings))
        except DataError as error:
            raise Rejected(f"damaged: {error.message}") from error

    return find


def _look_at(source: Source, row: int, template: Template) -> None:
    """Refuse a picture that cannot be decoded, or is no picture of the template."""
    try:
        sample = source.read(row)
        picture = Picture(sample.content, sample.key)
        picture.pixels()
    except DataError as error:
        raise Rejected(f"damaged: {error.message}") from error
    if picture.size != (template.size, template.size):
        raise DataError(
            f"{picture.name} has {picture.size[0]}×{picture.size[1]} pixels, the template "
            f"'{template.name}' {template.size}×{template.size}",
            "leave out data.template, so that the faces are found and aligned",
        )


def _kept(
    pairs: FacePairs, source: Source, found: list[int], missing: list[tuple[str, str]]
) -> AlignedPairs:
    place = np.full(len(pairs.source), -1, dtype=np.int64)
    place[found] = np.arange(len(found))
    first, second = place[pairs.first], place[pairs.second]
    rows = np.flatnonzero((first >= 0) & (second >= 0))
    if not len(rows):
        raise DataError(
            f"{pairs.name}: of {len(pairs)} pairs none has both pictures "
            f"(the first, {missing[0][0]}: {missing[0][1]})",
            mend_of(missing[0][1]),
        )
    return AlignedPairs(source, rows, first[rows], second[rows], tuple(missing))
