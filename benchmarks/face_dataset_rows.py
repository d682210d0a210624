"""The measured quantities of a set of faces, one row each: all that its metrics are made of.

No vector of a face is among them. `figure` names the quantity, `item` the picture or identity,
`group` whose it is (-1 = nobody's), `draw` the sample it was measured on (-1 = the whole set),
`weight` how many pictures it stands for.
"""

# N pictures, K identities, m pictures of each in a sample, S samples, D width.

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.metrics.duplicates import nearest_hashes
from ..core.metrics.faces import consistency, identity_centres, pair_scores
from ..core.metrics.frechet import frechet
from ..core.metrics.leakage import RealIdentities, identity_places
from ..core.metrics.manifolds import manifold
from ..core.metrics.separability import nearest_earlier
from ..core.metrics.variation import variation
from ..core.metrics.verification import supports
from .judged_faces import ATTRIBUTES, POSES, JudgedFaces, Sample

if TYPE_CHECKING:
    from pandas import DataFrame

    from .face_dataset_task import Gallery

WHOLE, NOBODY = -1, -1
PAIRED_PICTURES = 300  # of a sample, whose pairs are compared: 44,850


class Rows:
    """A table under construction."""

    def __init__(self) -> None:
        self._parts: list[dict[str, ArrayLike]] = []

    def add(
        self,
        figure: str,
        values: ArrayLike,
        *,
        items: Sequence[str] | str = "",
        groups: ArrayLike = NOBODY,
        draw: int = WHOLE,
        weights: ArrayLike = 1,
    ) -> None:
        """Rows of one figure; what is one value for all stands in each."""
        column = np.asarray(values, dtype=np.float64).reshape(-1)
        n = len(column)
        self._parts.append({
            "figure": np.full(n, figure, dtype=object),
            "item": np.full(n, items, dtype=object) if isinstance(items, str)
            else np.array(items, dtype=object),
            "group": np.broadcast_to(np.asarray(groups, np.int64), n),
            "draw": np.full(n, draw, np.int64),
            "value": column,
            "weight": np.broadcast_to(np.asarray(weights, np.int64), n),
        })  # fmt: skip

    def constant(self, name: str, value: float) -> None:
        """A number that the metrics need beside what was measured."""
        self.add("constant", [value], items=name)

    def frame(self) -> "DataFrame":
        """The table."""
        import pandas as pd

        return pd.concat([pd.DataFrame(part) for part in self._parts], ignore_index=True)


def add_thresholds(
    rows: Rows, learned: JudgedFaces, strangers: JudgedFaces, mean: NDArray[np.float32], far: float
) -> dict[str, dict[str, int]]:
    """The cosines that real people of whom nothing was learned reach at a FAR, as constants.

    `tau_at_far` is one of pairs of identities, `leak_at_far` one of a picture and an identity.

    Args:
        rows: get them.
        learned: real people; pairs of their centres give the first.
        strangers: other real people (or the same), whose pictures against the identities of
            `learned` give the second.
        mean: (D,) taken from all vectors.
        far: false accept rate.

    Returns:
        What has too few impostor comparisons behind it: name → how many there are and are needed.
    """
    labels, centres = learned.centres(mean)
    real = RealIdentities(centres)
    own = identity_places(strangers.labels, labels) if strangers is learned else None
    pairs = len(real) * (len(real) - 1) // 2
    comparisons = len(strangers) * (len(real) - (own is not None))
    unsupported = {}
    for name, n, threshold in (
        ("tau_at_far", pairs, lambda: real.pair_threshold(far)),
        ("leak_at_far", comparisons,
         lambda: real.picture_threshold(strangers.vectors - mean, own, far)),
    ):  # fmt: skip
        if supports(far, n):
            rows.constant(name, threshold())
        else:
            unsupported[name] = {"n_impostor": n, "needed": round(10 / far)}
    return unsupported


def add_separability(rows: Rows, faces: JudgedFaces, mean: NDArray[np.float32]) -> None:
    """`nearest_earlier` of each identity of the whole set, in the order of their labels."""
    labels, centres = faces.centres(mean)
    names = [faces.classes[label] for label in labels.tolist()]
    rows.add("nearest_earlier", nearest_earlier(centres), items=names, groups=labels)


def add_duplicates(rows: Rows, faces: JudgedFaces) -> None:
    """Of each picture: whether it repeats an earlier one's pixels, and the nearest other hashes."""
    exact, coarse = faces.hashes
    _, first, place = np.unique(exact, return_index=True, return_inverse=True)
    for figure, values in (
        ("repeats", first[place] != np.arange(len(faces))),
        ("nearest_hash", nearest_hashes(coarse).bits),
        ("nearest_hash_of_others", nearest_hashes(coarse, groups=faces.labels).bits),
    ):
        rows.add(figure, values, items=faces.keys, groups=faces.labels)


def add_leakage(
    rows: Rows,
    faces: JudgedFaces,
    strangers: JudgedFaces,
    gallery: "Gallery",
    mean: NDArray[np.float32],
) -> None:
    """How near each picture comes to real people and their pictures, and strangers likewise.

    Where a set is compared with itself, its own people do not count.
    """
    real = gallery.faces
    labels, centres = real.centres(mean)
    people = RealIdentities(centres)
    whose: list[tuple[str, JudgedFaces]] = [("leakage", faces)]
    if strangers is not faces:
        whose.append(("stranger", strangers))
    for figure, ones in whose:
        own = identity_places(ones.labels, labels) if ones is real else None
        found = people.nearest(ones.vectors - mean, own)
        rows.add(f"{figure}/{gallery.name}", found.cosine, items=ones.keys, groups=ones.labels)
    copies = nearest_hashes(
        faces.hashes[1], real.hashes[1],
        faces.labels if real is faces else None, real.labels if real is faces else None,
    )  # fmt: skip
    rows.add(f"copies/{gallery.name}", copies.bits, items=faces.keys, groups=faces.labels)


def add_sample(
    rows: Rows, faces: JudgedFaces, sample: Sample, draw: int, mean: NDArray[np.float32]
) -> None:
    """What one sample shows by itself: pairs, centres, variation of attributes."""
    vectors = faces.vectors[sample.rows] - mean
    labels, centres = identity_centres(vectors, sample.identities)
    rows.add("sample_nearest_earlier", nearest_earlier(centres), groups=labels, draw=draw)
    if len(sample.rows) > len(labels):
        some = sample.first(PAIRED_PICTURES)
        genuine, impostor = pair_scores(vectors[: len(some.rows)], some.identities)
        rows.add("genuine", genuine, draw=draw)
        rows.add("impostor", impostor, draw=draw)
        rows.add(
            "consistency", consistency(vectors, sample.identities),
            groups=sample.identities, draw=draw,
        )  # fmt: skip
    _add_variations(rows, faces, sample, draw)


def _add_variations(rows: Rows, faces: JudgedFaces, sample: Sample, draw: int) -> None:
    picked = sample.rows.tolist()
    looks = faces.looks(picked)
    values: dict[str, NDArray[np.floating]] = {
        name: np.array([getattr(look, name) for look in looks]) for name in ATTRIBUTES
    }
    values["pixels"] = (
        np.stack([look.small for look in looks]).reshape(len(looks), -1).astype(np.float64)
    )
    values["vector"] = faces.vectors[sample.rows]
    everybody = np.ones(len(picked), dtype=bool)
    found = faces.poses(picked)
    seen = np.array([pose is not None for pose in found])
    kept = {name: everybody for name in values}
    if seen.any():
        angles = np.stack([pose for pose in found if pose is not None])
        for place, name in enumerate(POSES):
            values[name], kept[name] = angles[:, place], seen
    rows.add("face_not_found", ~seen, groups=sample.identities, draw=draw)
    for name, column in values.items():
        spread = variation(column, sample.identities[kept[name]])
        labels = np.unique(sample.identities[kept[name]])
        for part, sums in (("inside", spread.inside), ("apart", spread.apart)):
            rows.add(f"{part}/{name}", sums, groups=labels, draw=draw, weights=spread.n)


def add_distances(
    rows: Rows,
    scored: tuple[JudgedFaces, Sample],
    real: tuple[JudgedFaces, Sample],
    draw: int,
    ks: tuple[int, int],
) -> None:
    """Fréchet's terms and the neighbourhoods of a sample and one of as many real pictures.

    Args:
        rows: get them.
        scored: the set and its sample.
        real: the real people and their sample.
        draw: its number.
        ks: neighbours of precision and recall, and of density and coverage.
    """
    ours, theirs = (faces.vectors[sample.rows] for faces, sample in (scored, real))
    terms = frechet(theirs, ours)
    rows.add(
        "frechet", [terms.mean, terms.first, terms.second],
        items=["mean", "real trace", "own trace"], draw=draw,
    )  # fmt: skip
    rows.add("frechet", terms.shared, items="shared", draw=draw)
    if len(ours) <= max(ks):
        return
    places = manifold(theirs, ours, *ks)
    mine, others = scored[1].identities, real[1].identities
    rows.add("precision", places.precision, groups=mine, draw=draw)
    rows.add("density", places.density, groups=mine, draw=draw)
    rows.add("recall", places.recall, groups=others, draw=draw)
    rows.add("coverage", places.coverage, groups=others, draw=draw)
