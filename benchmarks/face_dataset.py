"""What a labelled set of faces is worth by itself: identities, variation, leaks, realism.

A judge, a face net other than the generator's, sees the set, real people whom the generator never
saw (`--data`), the generator's training set (`--train`) and evaluation sets (`--test`). Figures of
the whole set: unique identities, duplicates, leakage. Figures that depend on how much is looked at
are made on samples of one size, of the set and of the real people alike: K identities with m
pictures each, drawn several times. Precision, recall and the Fréchet distance compare a sample
with one of real people; for the real people's own row, with other people among them.

Vectors are compared less the mean of the real ones, because those of some nets all point one way.
"""

# N pictures, K identities and m pictures of each in a sample.

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError
from ..core.records import Metric, Record
from .data_set_subjects import DataSetSubject
from .face_dataset_facts import facts_of
from .face_dataset_rows import (
    Rows,
    add_distances,
    add_duplicates,
    add_leakage,
    add_sample,
    add_separability,
    add_thresholds,
)
from .face_dataset_scores import metrics_of
from .face_dataset_task import FaceSetTask, open_face_set, open_task
from .protocol import Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .judged_faces import JudgedFaces
    from .subjects import Extraction, Subject

SLUG = "face-dataset"
VERSION = "1.0.0"
SUMMARY = "a set of faces by itself: identities, variation, duplicates, leaks, realism"
MAIN_METRIC = "unique_share"
BASELINES: tuple[str, ...] = ()  # it is `beside` that names the real people
TAKES_SPLITS = TAKES_JUDGE = SIDE_BY_SIDE = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/face_dataset.py", "benchmarks/face_dataset_task.py",
        "benchmarks/face_dataset_rows.py", "benchmarks/face_dataset_scores.py",
        "benchmarks/judged_faces.py", "core/metrics/faces.py", "core/metrics/separability.py",
        "core/metrics/leakage.py", "core/metrics/exceedance.py", "core/metrics/frechet.py",
        "core/metrics/manifolds.py", "core/metrics/duplicates.py", "core/metrics/variation.py",
        "core/metrics/subsampling.py", "core/metrics/cosines.py", "core/metrics/verification.py",
        "modalities/image/faces/attributes.py", "modalities/image/faces/points.py",
    ),
)  # fmt: skip
_MOST_PICTURES = 5000  # of a sample, unless asked for
_MOST_PER_IDENTITY = 10
_LEAST_IDENTITIES = 2  # of a sample


class Settings(Config):
    """What counts as the same, and the size of the samples; None = as large as both sets allow."""

    tau: float = Field(default=0.4, gt=-1, lt=1)  # cosine of identities that are the same
    far: float = Field(default=1e-3, gt=0, lt=1)  # of the thresholds found on real impostors
    near_bits: int = Field(default=6, ge=0, le=32)  # of 64 that may differ in a near duplicate
    identities: int | None = Field(default=None, ge=_LEAST_IDENTITIES)  # K
    images_per_identity: int | None = Field(default=None, ge=1)  # m
    draws: int = Field(default=10, ge=1)  # samples
    k: int = Field(default=3, ge=1)  # neighbours of precision and recall
    k_density: int = Field(default=5, ge=1)  # neighbours of density and coverage
    seed: int = Field(default=0, ge=0)  # of the samples


@dataclass(frozen=True)
class FaceSetResult(Result):
    """A result that can be looked at: contact sheets show pictures that no record holds.

    Attributes:
        subject: the set.
        data: what it was compared with.
    """

    subject: DataSetSubject
    data: FaceSetTask

    def sheets(self) -> Mapping[str, bytes]:
        """The contact sheets: file name → content."""
        from .face_dataset_sheets import contact_sheets

        faces, galleries = self.data.judged(self.subject), self.data.galleries(self.subject)
        return contact_sheets(faces, galleries, self.data.mean)


def open_subject(text: str, own: Mapping[str, Any], extraction: "Extraction") -> DataSetSubject:
    """The set that a user wants scored; see `open_face_set`."""
    return open_face_set(text, own, extraction)


def open_data(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    **named: str | None,
) -> tuple[FaceSetTask, dict[str, Any]]:
    """The real people, the sets and the judge that a user names; see `open_task`."""
    return open_task(text, own, extraction, **named)


def resolved(subject: DataSetSubject, data: FaceSetTask, settings: Settings) -> Settings:
    """The settings with the numbers of identities and pictures of a sample.

    Of the pairs (K, m) that a set and twice the real people allow, the one with most pictures, so
    that real people can be drawn twice without anybody in both; m = 1 only where nobody has two.

    Raises:
        DataError: the sets are too small for it, or for the numbers asked for.
    """
    sets = [data.judged(subject), data.judged(data.reference)]
    wanted, m = settings.identities, settings.images_per_identity
    best = (0, 0, 0)
    for number in [m] if m else range(_MOST_PER_IDENTITY, 0, -1):
        there = min(int((each.counts >= number).sum()) for each in sets) // 2
        most = max(_MOST_PICTURES // number, _LEAST_IDENTITIES)
        n = min(there, most) if wanted is None else (wanted if wanted <= there else 0)
        if n >= _LEAST_IDENTITIES and (number > 1 or best == (0, 0, 0)):
            best = max(best, (n * number, n, number))
    if best == (0, 0, 0):
        asked = f"{2 * (wanted or _LEAST_IDENTITIES)} identities with {m or 1} pictures"
        found = " and ".join(
            f"{each.name} has {int((each.counts >= (m or 1)).sum())}" for each in sets
        )
        raise DataError(
            f"samples need at least {asked} or more in each set (a sample takes half of them): "
            f"{found}",
            "give a larger set, or ask for less with --set identities=K --set "
            "images_per_identity=M",
        )
    return settings.model_copy(update={"identities": best[1], "images_per_identity": best[2]})


def beside(subject: "Subject", data: FaceSetTask, settings: Settings) -> "list[Subject]":  # noqa: ARG001
    """The real people, whom nobody made: each figure is to be read against theirs."""
    return [] if subject.hash == data.reference.hash else [data.reference]


def run(subject: DataSetSubject, data: FaceSetTask, settings: Settings) -> Result:
    """Score a set of faces; see the module's text.

    Raises:
        UsageError: the templates of the sets differ, or nobody says them.
        DataError: a set is too small, or a picture cannot be read.
        ValidationError: a vector is not finite.
    """
    clock = Stopwatch()
    settings = resolved(subject, data, settings)
    faces, real = data.judged(subject), data.judged(data.reference)
    rows = Rows()
    unsupported = add_thresholds(rows, data.judged(data.learned), real, data.mean, settings.far)
    rows.constant("tau", settings.tau)
    rows.constant("near_bits", settings.near_bits)
    add_separability(rows, faces, data.mean)
    add_duplicates(rows, faces)
    for gallery in data.galleries(subject):
        add_leakage(rows, faces, real, gallery, data.mean)
    _add_samples(rows, faces, real, data.mean, settings)
    predictions = rows.frame()
    result = make_result(
        IDENTITY, subject, data, settings,
        seeds=[settings.seed], metrics=score(predictions), predictions=predictions, clock=clock,
        facts=facts_of(subject, data, settings, predictions, unsupported),
    )  # fmt: skip
    return FaceSetResult(result.record, result.predictions, subject, data)


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored rows; see `metrics_of`."""
    return metrics_of(predictions)


def pictures(result: Result) -> Mapping[str, bytes]:
    """The contact sheets of a result that was just made; its rows alone hold no pictures."""
    return result.sheets() if isinstance(result, FaceSetResult) else {}


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts: Any = record.claim.facts
    whole: Any = record.claim.subject.facts
    said = [
        f"{whole['identities']} identities, {whole['images']} pictures; samples of "
        f"{record.claim.settings['identities']} × {record.claim.settings['images_per_identity']}, "
        f"{record.claim.settings['draws']} of them; judge {facts['judge']['name']}"
    ]
    for name, why in facts["unsupported"].items():
        said.append(
            f"unsupported: {name} needs {why['needed']} impostor comparisons, here are "
            f"{why['n_impostor']} (--set far=0.01 needs fewer)"
        )
    return said + [f"warning: {sentence}" for sentence in facts["warnings"]]


def _add_samples(
    rows: Rows,
    faces: "JudgedFaces",
    real: "JudgedFaces",
    mean: NDArray[np.float32],
    settings: Settings,
) -> None:
    k, m = settings.identities, settings.images_per_identity
    assert k is not None and m is not None  # noqa: S101, PT018 - `resolved` has said them
    there = [int((each.counts >= m).sum()) for each in (faces, real)]
    rows.constant("identities", there[0])
    rows.constant("share", k / there[0])
    rows.constant("share_of_both", max(k / n for n in there))
    for draw in range(settings.draws):
        key = f"{settings.seed}/{draw}"
        people = real.order(key, m)
        # of the real people's own row the second half is drawn
        own = people[k : 2 * k] if faces is real else faces.order(key, m)[:k]
        sample, other = faces.drawn(key, own, m), real.drawn(key, people[:k], m)
        add_sample(rows, faces, sample, draw, mean)
        add_distances(rows, (faces, sample), (real, other), draw, (settings.k, settings.k_density))
