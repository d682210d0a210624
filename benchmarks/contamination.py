"""Contamination: which test samples a model has seen in training, by their contents.

`exact_share` counts test samples whose content (bytes, or the values of an array) is a training
sample's. `near_share`, of pictures, counts those whose perceptual hash differs from a training
picture's by few bits: copies in another size or quality, but also pictures that are merely alike.

The data is that of another benchmark (`data.of`, knn unless said): a record of this one speaks of
that benchmark's records of the same subject and data. The training data is `data.training`, else
the catalogue's set that the model's run names.
"""

# N test samples, M training samples.

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import UsageError
from ..core.metrics.intervals import proportion_interval
from ..core.records import Metric, Record
from .protocol import Data, Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.modality import Sample, Source
    from .subjects import Extraction, Subject

SLUG = "contamination"
VERSION = "1.0.0"
SUMMARY = "share of the test samples that are among a model's training samples"
MAIN_METRIC = "exact_share"
BASELINES: tuple[str, ...] = ()
TAKES_SPLITS = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/contamination.py", "core/metrics/duplicates.py", "modalities/fingerprints.py",
        "modalities/image/faces/attributes.py",
    ),
)  # fmt: skip
_NO_PICTURE = -1  # in the place of a number of bits
_CHUNK = 1 << 14  # training hashes compared at once
_SHOWN = 5  # test samples named in the facts


class Settings(Config):
    """What counts as near.

    Attributes:
        near_bits: of 64 that may differ.
        training: how the training data is called; filled in.
    """

    near_bits: int = Field(default=6, ge=0, le=32)
    training: str = ""


@dataclass(frozen=True)
class SeenTask:
    """Another benchmark's data, and where to look for it.

    Attributes:
        data: the other benchmark's.
        training: what the user says that the model was trained on; None = what its run says.
    """

    data: Data
    training: str | None

    @property
    def name(self) -> str:
        """How a user calls the other benchmark's data."""
        return self.data.name

    def hash(self) -> str:
        """That of the other benchmark's data."""
        return self.data.hash()

    @property
    def test(self) -> "Source":
        """Its test samples.

        Raises:
            UsageError: it has none that can be looked at one by one.
        """
        data: Any = self.data
        found = getattr(data, "test", None) or getattr(data, "queries", None)
        found = found or getattr(data, "gallery", None)
        found = found or getattr(getattr(data, "pairs", None), "source", None)
        if found is None:
            raise UsageError(
                f"the data {self.name} has no samples to look at", "choose another data.of"
            )
        source: Source = found
        return source

    def training_of(self, subject: "Subject") -> "Source":
        """The training samples.

        Raises:
            UsageError: nobody says which they are.
            DataError: there is no such data.
        """
        from ..modalities.catalogue import CATALOGUE, resolve_data

        said = [self.training] if self.training else list(subject.training_data)
        if len(said) != 1 or not (self.training or said[0].partition(":")[0] in CATALOGUE):
            raise UsageError(
                f"it is not known where the training data of {subject.name} lies "
                f"({', '.join(subject.training_data) or 'its run names none'})",
                "name it with --set data.training=DATA",
            )
        return resolve_data(said[0])


def open_data(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    train: str | None = None,
    test: str | None = None,
) -> tuple[SeenTask, dict[str, Any]]:
    """Another benchmark's data, and the `data.` settings that are not of this one.

    Raises:
        UsageError: there is no such benchmark, or as its own opener says.
        DataError: there is no such data.
    """
    from .opening import open_task
    from .registry import benchmark

    rest = dict(own)
    of, training = str(rest.pop("of", "knn")), rest.pop("training", None)
    data, rest = open_task(
        benchmark(of), text, train, test, own=rest, extraction=extraction, runs=Path("runs")
    )
    return SeenTask(data, None if training is None else str(training)), rest


def beside(_subject: "Subject", _data: SeenTask, _settings: Settings) -> "list[Subject]":
    """Nobody: a share that should be 0 needs no yardstick."""
    return []


def run(subject: "Subject", data: SeenTask, settings: Settings) -> Result:
    """Look for the test samples among the training samples; see the module's text.

    Raises:
        UsageError: the training data is not known.
        DataError: a sample cannot be read.
    """
    import pandas as pd

    clock = Stopwatch()
    training, test = data.training_of(subject), data.test
    seen, wanted = _Contents.of(training), _Contents.of(test)
    bits = _nearest(wanted.hashes, seen.hashes)
    known = set(seen.digests)
    predictions = pd.DataFrame({
        "key": list(test.keys),
        "exact": [digest in known for digest in wanted.digests],
        "bits": bits,
        "near": (bits != _NO_PICTURE) & (bits <= settings.near_bits),
    })  # fmt: skip
    found = predictions[predictions["exact"]]["key"].tolist()
    facts = {
        "training": {"name": Path(training.name).name, "samples": len(training),
                     "fingerprint": training.fingerprint()},
        "seen": found[:_SHOWN],
    }  # fmt: skip
    resolved = settings.model_copy(update={"training": Path(training.name).name})
    return make_result(
        IDENTITY, subject, data, resolved,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """The shares of stored findings; that of near ones where all samples are pictures."""
    metrics = {"exact_share": _share(predictions["exact"].to_numpy(bool))}
    if (predictions["bits"].to_numpy() != _NO_PICTURE).all():
        metrics["near_share"] = _share(predictions["near"].to_numpy(bool))
    return metrics


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts: Any = record.claim.facts
    training = facts["training"]
    said = [f"looked for among {training['samples']:,} training samples of '{training['name']}'"]
    if facts["seen"]:
        said.append(f"seen in training: {', '.join(facts['seen'])}, …")
    return said


@dataclass(frozen=True, eq=False)
class _Contents:
    """Samples by their contents.

    Attributes:
        digests: one per sample.
        hashes: (N, 64) perceptual hashes; (0, 64) where a sample is no picture.
    """

    digests: list[str]
    hashes: NDArray[np.bool_]

    @classmethod
    def of(cls, source: "Source") -> "_Contents":
        from ..core.metrics.duplicates import BITS, perceptual_hashes
        from ..modalities.fingerprints import content_digest

        digests, hashes = [], []
        picture = getattr(source, "modality", "image") == "image"
        for row in range(len(source)):
            sample = source.read(row)
            digests.append(content_digest(sample.content))
            if picture:
                hashes.append(perceptual_hashes(_small(sample)[None])[0])
        return cls(digests, np.array(hashes, bool).reshape(-1, BITS))


def _small(sample: "Sample") -> NDArray[np.uint8]:
    from ..modalities.image.decoding import Picture
    from ..modalities.image.faces.attributes import small_grey

    return small_grey(Picture(sample.content, sample.key).pixels())


def _nearest(hashes: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many bits (N,) the nearest training picture differs by, a chunk of these at a time."""
    from ..core.metrics.duplicates import BITS, nearest_hashes

    least = np.full(len(hashes), BITS + 1, np.int64)
    for start in range(0, len(others), _CHUNK):
        least = np.minimum(least, nearest_hashes(hashes, others[start : start + _CHUNK]).bits)
    return least if len(others) else np.full(len(hashes), _NO_PICTURE, np.int64)


def _share(hits: NDArray[np.bool_]) -> Metric:
    interval, method = proportion_interval(hits.astype(np.float64))
    return Metric(
        value=float(hits.mean()), unit="fraction", direction="lower", n=len(hits),
        interval=interval, interval_method=method,
    )  # fmt: skip
