"""What a record of a set of faces says beside its metrics: judge, thresholds, curves, warnings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.metrics.separability import counted, steps
from .data_set_subjects import DataSetSubject
from .face_dataset_task import FaceSetTask

if TYPE_CHECKING:
    from pandas import DataFrame

    from .face_dataset import Settings
    from .judged_faces import JudgedFaces

_CURVE = tuple(round(0.05 * i, 2) for i in range(2, 20))
_MANY_UNSEEN = 0.1  # share of pictures without landmarks that is worth a warning


def facts_of(
    subject: DataSetSubject,
    data: FaceSetTask,
    settings: "Settings",
    predictions: "DataFrame",
    unsupported: Mapping[str, Any],
) -> dict[str, Any]:
    """What stands beside the metrics: judge, thresholds, curves of separability, warnings.

    Args:
        subject: the set.
        data: what it was compared with.
        settings: with the size of the samples.
        predictions: the stored rows.
        unsupported: thresholds with too few impostors behind them.
    """
    constants = predictions[predictions["figure"] == "constant"]
    nearest = predictions.loc[predictions["figure"] == "nearest_earlier", "value"].to_numpy()
    ends = steps(len(nearest), -(-len(nearest) // 10))
    by_n = counted(nearest, settings.tau, ends)
    return {
        "judge": {
            "name": data.judge.name, "hash": data.judge.hash, "width": data.judge.width,
            "training_data": list(data.judge.training_data),
        },
        "vectors_less_mean_of": data.learned.name,
        "thresholds": {
            name: float(value)
            for name, value in zip(constants["item"], constants["value"], strict=True)
            if name.endswith("_at_far")
        },
        "separability": {
            "tau": list(_CURVE),
            "unique": [int((nearest <= tau).sum()) for tau in _CURVE],
            "first_n": list(by_n.n),
            "unique_of_first_n": list(by_n.unique),
        },
        "unsupported": dict(unsupported),
        "warnings": _warnings(subject, data, settings, predictions),
    }  # fmt: skip


def _warnings(
    subject: DataSetSubject,
    data: FaceSetTask,
    settings: "Settings",
    predictions: "DataFrame",
) -> list[str]:
    from ..modalities.image.faces.embedders import kinship

    said = []
    extractor = subject.facts.get("extractor", {})
    relation = kinship(data.judge, extractor.get("name", ""), extractor.get("hash"))
    if relation is not None:
        what = "the generator's own extractor" if relation == "same" else "kin of the generator's"
        said.append(
            f"the judge {data.judge.name} is {what} ({extractor.get('name')}), which flatters the "
            "set; an independent one is --judge pca-lda"
        )
    n = (settings.identities or 0) * (settings.images_per_identity or 0)
    if n <= data.judge.width:
        said.append(
            f"a sample has {n} pictures for vectors of width {data.judge.width}: the Fréchet "
            "distance is defined, but covariances lack rank; read it against the real people's"
        )
    if n <= max(settings.k, settings.k_density):
        said.append(
            f"a sample of {n} pictures is too small for precision, recall, density and coverage"
        )
    if settings.images_per_identity == 1:
        said.append("nobody has two pictures: nothing is said about variation inside identities")
    for name, one, other in _overlapping(subject, data):
        common = len(np.intersect1d(one.hashes[0], other.hashes[0]))
        if common:
            said.append(f"{common} pictures of {one.name} are also in {other.name}: {name}")
    unseen = predictions.loc[predictions["figure"] == "face_not_found", "value"]
    if unseen.mean() > _MANY_UNSEEN:
        said.append(f"MTCNN finds no face in {unseen.mean():.0%} of the sampled pictures")
    return said


def _overlapping(
    subject: DataSetSubject, data: FaceSetTask
) -> list[tuple[str, "JudgedFaces", "JudgedFaces"]]:
    """Sets that must have no picture in common, and what it spoils."""
    faces, real, pairs = data.judged(subject), data.judged(data.reference), []
    if data.train is not None:
        spoilt = "these people are no strangers, so thresholds and baselines of leakage mean little"
        pairs.append((spoilt, real, data.judged(data.train)))
    if faces is not real:
        pairs.append(("distances to the real people mean little", faces, real))
    return pairs
