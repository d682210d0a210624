"""1:N identification: whose face is this, among those enrolled, and is it anyone's at all?

Each enrolled identity has one template: the sum of its raw embeddings, brought to unit length. A
probe is compared with every template by the cosine. Closed set: `rank_k` is the share of mated
probes (whose identity is enrolled) that find it among the first k. Open set: `tpir_at_fpir_f` is
the share of mated probes whose identity is first *and* scores above the threshold that at most
the share f of non-mated probes passes (Grother and Ngan, NIST FRTE 1:N, with R = 1). A rate that
fewer than ten non-mated probes would pass is no metric: it stands among the facts.

Gallery and probes are a train and a test split, or the templates of IJB's 1:N lists (pooled as for
`template-verification`); or one source is divided: of the identities with several pictures, in the
order of a hash of their names, the share `unknown` is not enrolled; the others enrol
`enrolled_pictures` each. Whoever has too few pictures for both roles is not enrolled.
"""

# P probes, I identities, D width.

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError, ValidationError
from ..core.hashing import sample_id
from ..core.metrics.identification import identified, open_set, open_set_interval
from ..core.metrics.intervals import exact_interval, proportion_interval
from ..core.metrics.verification import MIN_ACCEPTED, supports
from ..core.records import Metric, Record
from ..core.search import search
from ..core.vectors import ArrayVectors, Vectors
from .galleries import GalleryTask, Labelled, open_galleries
from .protocol import Identity, Result, Stopwatch, make_result
from .template_data import TemplateSearch, open_templates

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.metrics.intervals import Interval, Method
    from .subjects import Extraction, Subject

SLUG = "identification"
VERSION = "1.0.0"
SUMMARY = "1:N search: rank-1/5/10 of a closed set, TPIR at FPIR of an open set"
MAIN_METRIC = "rank_1"
BASELINES = ("chance", "random", "raw", "pca")
TAKES_SPLITS = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/identification.py", "benchmarks/galleries.py", "benchmarks/template_data.py",
        "core/metrics/templates.py", "modalities/image/faces/template_lists.py",
        "core/metrics/identification.py", "core/metrics/verification.py",
        "core/search.py", "core/vectors.py",
    ),
)  # fmt: skip
RANKS = (1, 5, 10)
FPIRS = {"1e-1": 0.1, "1e-2": 0.01, "1e-3": 0.001}
DEPTH = 20  # identities returned per search, as in IJB 1:N
_BLOCK = 1 << 14


class Settings(Config):
    """How one source is divided, and in how much memory it is searched.

    Attributes:
        unknown: share of the identities that are not enrolled, where one source is divided.
        enrolled_pictures: of each enrolled identity, likewise.
        memory_mib: what the search may hold beside templates, probes and results.
        published_protocol: give rates without enough non-mated probes, as unranked facts.
    """

    unknown: float = Field(default=0.5, ge=0, lt=1)
    enrolled_pictures: int = Field(default=1, ge=1)
    memory_mib: int = Field(default=1024, ge=16)
    published_protocol: bool = False


def open_data(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    train: str | None = None,
    test: str | None = None,
) -> tuple[GalleryTask | TemplateSearch, dict[str, Any]]:
    """The gallery and the probes that a user names; of a folder of template lists those of 1:N.

    See `open_galleries` and `open_templates`.
    """
    from ..modalities.image.faces.template_lists import has_template_lists

    if train is None and test is None and has_template_lists(Path(text)):
        return open_templates(text, own, TemplateSearch)
    return open_galleries(text, own, extraction, train, test)


def run(subject: "Subject", data: GalleryTask | TemplateSearch, settings: Settings) -> Result:
    """Score a subject by its searches; see the module's text.

    Raises:
        DataError: no labels, fewer than two identities enrolled, or no mated probe.
        ValidationError: an embedding or a template is zero or not finite.
    """
    clock = Stopwatch()
    gallery, others = data.labelled(subject)
    probes = gallery if others is None else others
    roles = _divided(gallery, settings) if others is None else _given(gallery, probes)
    enrolled, templates = _templates(gallery, roles.enrolled)
    place = np.full(len(gallery.classes) + 1, -1)
    place[enrolled] = np.arange(len(enrolled))
    mate = place[roles.label]  # of strangers -1, like that of a class that the gallery lacks
    _check(data.name, enrolled, mate)
    found = search(
        templates, probes.vectors.take(roles.probes), DEPTH,
        memory_bytes=settings.memory_mib << 20,
    )  # fmt: skip
    hit = found.rows == np.where(mate < 0, -2, mate)[:, None]
    names = np.array(gallery.classes, dtype=object)
    predictions = _frame(
        key=probes.keys_at(roles.probes),
        identity=np.array(probes.classes, dtype=object)[probes.labels[roles.probes]],
        mated=mate >= 0,
        rank=np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0),
        found=names[enrolled[found.rows[:, 0]]],
        score=found.scores[:, 0],
    )
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock,
        facts=_facts(predictions, len(enrolled), published=settings.published_protocol),
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored searches; intervals are over the mated probes' identities."""
    probes = _Probes.of(predictions)
    metrics = {}
    for k in RANKS:
        hits = identified(probes.rank, k)
        metrics[f"rank_{k}"] = _metric(hits, probes, proportion_interval(hits, probes.groups))
    for name, fpir in FPIRS.items():
        if supports(fpir, len(probes.strangers)):
            made = open_set_interval(
                probes.rank, probes.score, probes.strangers, fpir,
                owner=probes.groups, stranger_owner=probes.strange,
            )  # fmt: skip
            metrics[f"tpir_at_fpir_{name}"] = _metric(_open(probes, fpir).accepted, probes, made)
    return metrics


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts = record.claim.facts
    said = [
        f"{facts['mated_probes']} mated and {facts['non_mated_probes']} non-mated probes against "
        f"{facts['enrolled']} enrolled identities; intervals over {record.main.n} identities"
    ]
    unsupported: Any = facts["unsupported"]
    if unsupported:
        first, why = next(iter(unsupported.items()))
        said.append(
            f"unsupported from {first} on: it needs {why['needed']} non-mated probes, "
            f"here are {why['n_non_mated']}"
        )
    return said


@dataclass(frozen=True, eq=False)
class _Roles:
    """Who does what.

    Attributes:
        enrolled: rows of the gallery that are enrolled.
        probes: (P,) rows of the probes' vectors.
        label: (P,) each probe's identity as a label of the gallery; -1 = none there.
    """

    enrolled: NDArray[np.int64]
    probes: NDArray[np.int64]
    label: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Probes:
    """The columns of stored predictions: rank, score and group of mated probes; of others two."""

    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    groups: NDArray[np.int64]
    strangers: NDArray[np.float64]
    strange: NDArray[np.int64]

    @classmethod
    def of(cls, frame: "DataFrame") -> "_Probes":
        import pandas as pd

        mated = frame["mated"].to_numpy(bool)
        scores = frame["score"].to_numpy(np.float64)
        ranks = frame["rank"].to_numpy(np.int64)[mated]
        groups, strange = (
            pd.factorize(frame["identity"][kind], sort=True)[0] for kind in (mated, ~mated)
        )
        return cls(ranks, scores[mated], groups, scores[~mated], strange)


def _given(gallery: Labelled, probes: Labelled) -> _Roles:
    """All of the gallery is enrolled; identities are matched by their names."""
    number = {name: place for place, name in enumerate(gallery.classes)}
    of_probe = np.array([number.get(name, -1) for name in probes.classes], dtype=np.int64)
    return _Roles(np.arange(len(gallery)), np.arange(len(probes)), of_probe[probes.labels])


def _divided(source: Labelled, settings: Settings) -> _Roles:
    """One source divided into gallery and probes; see the module's text."""
    keys = source.keys_at(np.arange(len(source)))
    # by hashes, so that who is enrolled does not depend on the order or on who else is there
    by_key = np.argsort([sample_id(key) for key in keys], kind="stable")
    rows = by_key[np.argsort(source.labels[by_key], kind="stable")]
    labels, first, counts = np.unique(source.labels[rows], return_index=True, return_counts=True)
    several = labels[counts > settings.enrolled_pictures]
    order = np.argsort([sample_id(f"identity {source.classes[label]}") for label in several])
    known = several[order][round(settings.unknown * len(several)) :]
    turn = np.arange(len(rows)) - np.repeat(first, counts)
    is_enrolled = np.isin(source.labels[rows], known) & (turn < settings.enrolled_pictures)
    probes = np.sort(rows[~is_enrolled])
    return _Roles(np.sort(rows[is_enrolled]), probes, source.labels[probes])


def _templates(source: Labelled, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Vectors]:
    """Labels of the enrolled identities (I,), and a row for each: the sum of its embeddings."""
    labels, place = np.unique(source.labels[rows], return_inverse=True)
    if len(labels) == len(source):  # one each: nothing to sum, so nothing to hold
        return source.labels, source.vectors
    of_row = np.full(len(source), -1, dtype=np.int64)
    of_row[rows] = place
    sums = np.zeros((len(labels), source.vectors.shape[1]))
    for start, block in source.vectors.blocks(_BLOCK):
        identity = of_row[start : start + len(block)]
        np.add.at(sums, identity[identity >= 0], block[identity >= 0].astype(np.float64))
    zero = ~sums.any(axis=1)
    if zero.any():
        name = source.classes[labels[int(np.argmax(zero))]]
        raise ValidationError(
            f"the embeddings of '{name}' sum to zero, which has no direction",
            "leave that identity out, or look at the model",
        )
    return labels, ArrayVectors(sums)


def _check(name: str, enrolled: NDArray[np.int64], mate: NDArray[np.int64]) -> None:
    if len(enrolled) < 2:
        raise DataError(
            f"{name}: expected at least two identities in the gallery, got {len(enrolled)}",
            "enrol more people: with one every search finds them",
        )
    if not (mate >= 0).any():
        raise DataError(
            f"{name}: none of {len(mate)} probes is of an enrolled identity",
            "give the identities the same names (folders) in gallery and probes",
        )


def _frame(**columns: Any) -> "DataFrame":  # noqa: ANN401 - columns of any kind
    import pandas as pd

    return pd.DataFrame(columns)


def _facts(predictions: "DataFrame", n_enrolled: int, *, published: bool) -> dict[str, Any]:
    probes = _Probes.of(predictions)
    n_strangers = len(probes.strangers)
    supported = [name for name, fpir in FPIRS.items() if supports(fpir, n_strangers)]
    facts: dict[str, Any] = {
        "enrolled": n_enrolled, "mated_probes": len(probes.rank), "non_mated_probes": n_strangers,
        "fpir": {name: _open(probes, FPIRS[name]).fpir for name in supported},
        "unsupported": {
            f"tpir_at_fpir_{name}": {
                "n_non_mated": n_strangers, "needed": round(MIN_ACCEPTED / fpir)
            }
            for name, fpir in FPIRS.items()
            if name not in supported
        },
    }  # fmt: skip
    if published and n_strangers:
        facts["published"] = {
            f"tpir_at_fpir_{name}": _unranked(probes, fpir) for name, fpir in FPIRS.items()
        }
    return facts


def _open(probes: _Probes, fpir: float) -> Any:  # noqa: ANN401
    return open_set(probes.rank, probes.score, probes.strangers, fpir)


def _unranked(probes: _Probes, fpir: float) -> dict[str, Any]:
    """A rate with its Clopper–Pearson interval, whatever stands behind it; never ranked."""
    found = _open(probes, fpir)
    interval = exact_interval(float(found.accepted.sum()), len(found.accepted))
    return {
        "tpir": found.tpir, "fpir": found.fpir, "interval": list(interval),
        "interval_method": "exact", "ranked": False,
        "n_mated": len(probes.rank), "n_non_mated": len(probes.strangers),
    }  # fmt: skip


def _metric(
    values: NDArray[np.float64], probes: _Probes, made: "tuple[Interval, Method]"
) -> Metric:
    return Metric(
        value=float(values.mean()), unit="fraction", direction="higher",
        n=int(probes.groups.max()) + 1, n_of="groups", interval=made[0], interval_method=made[1],
    )  # fmt: skip
