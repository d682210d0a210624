"""The public calls `masquerade.embed` and `masquerade.evaluate`: by names and paths, as typed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import Config, build, merge, nested, parse_override, section_overrides
from ..core.errors import UsageError

if TYPE_CHECKING:
    from ..core.records import Record
    from .embedding_files import Written
    from .protocol import Benchmark, Data, Result
    from .subjects import Extraction, Subject, Watch


def embed(
    subject: str,
    data: str,
    out: str | Path,
    *,
    device: str = "auto",
    workers: int = 0,
    batch_size: int = 64,
    set: Sequence[str] = (),
) -> "Written":
    """Write the features of a data set to a Parquet file: key, label, feature.

    Args:
        subject: a run folder, a weights file, random:METHOD, …; see `open_subject`.
        data: a catalogue name (NAME:SPLIT) or a path.
        out: FILE.parquet.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load data.
        batch_size: samples encoded at once; changes the speed only.
        set: changed preprocessing, "data.key=value" each.

    Returns:
        The width of the features and their norms.

    Raises:
        UsageError: no such subject, or `out` has another suffix.
        DataError: no such data, or no sample of it can be read.
        WeightsError: the weights do not load.
        ValidationError: a feature is not finite; names the sample.
    """
    from ..modalities.catalogue import resolve_data
    from .embedding_files import embed_to_file
    from .opening import open_subject

    if Path(out).suffix != ".parquet":
        raise UsageError(
            f"--out {out}: expected a name that ends in .parquet", f"use {out}.parquet"
        )
    preprocessing = section_overrides("data", set)
    source = resolve_data(data)
    how = extraction(device, workers, batch_size)
    opened = open_subject(subject, how, preprocessing=preprocessing, modality=source.modality).fit(
        source
    )
    return embed_to_file(opened, source, Path(out))


def evaluate(
    benchmark: str,
    subject: str,
    data: str = "photos",
    *,
    train: str | None = None,
    test: str | None = None,
    judge: str | None = None,
    results: str | Path = "results",
    baselines: bool = True,
    recipe: str | None = None,
    set: Sequence[str] = (),
    published_protocol: bool = False,
    seeds: int | None = None,
    device: str = "auto",
    workers: int = 0,
    batch_size: int = 64,
) -> "list[Record]":
    """Score a subject beside its baselines, and store the records with their predictions.

    Args:
        benchmark: the protocol's slug.
        subject: what is scored; see `open_subject`, of data set benchmarks a labelled set.
        data: a catalogue name, or a path with a train and a test split.
        train: the train split, where `data` does not hold both.
        test: the test split, likewise.
        judge: of `face-dataset`, the face net that looks at the faces.
        results: the folder of records and predictions.
        baselines: score chance, untrained, raw-input and PCA rows as well.
        recipe: take the [finetune] settings of this recipe.
        set: changed settings of the benchmark, "key=value" each (data.key: preprocessing).
        published_protocol: add published figures that too few pairs stand behind, unranked.
        seeds: how many repeats.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load data.
        batch_size: samples encoded at once; changes the speed only.

    Returns:
        The records as they are stored: the subject's first, then those beside it.

    Raises:
        UsageError: a name or setting is unknown, or does not go with the benchmark.
        DataError: no such data, or the benchmark cannot use it.
        WeightsError: the weights do not load.
        ValidationError: a feature is not finite.
    """
    evaluation = open_evaluation(
        benchmark, subject, data, train=train, test=test, judge=judge, results=Path(results),
        recipe=recipe, set=set, published_protocol=published_protocol, seeds=seeds,
        extraction=extraction(device, workers, batch_size),
    )  # fmt: skip
    return [stored.record for stored in evaluation.run(Path(results), baselines=baselines)]


@dataclass(frozen=True)
class Stored:
    """One result, as it was stored.

    Attributes:
        result: of the protocol.
        record: as it stands in the folder, with all its confirmations.
        path: its file.
        pictures: those drawn of it.
    """

    result: "Result"
    record: "Record"
    path: Path
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Evaluation:
    """A protocol with its subject, data and settings, ready to run.

    Attributes:
        protocol: the benchmark's module.
        subject: what is scored.
        data: on what.
        settings: how.
    """

    protocol: "Benchmark"
    subject: "Subject"
    data: "Data"
    settings: Config

    def run(self, results: Path, *, baselines: bool = True) -> Iterator[Stored]:
        """Score and store, each result as soon as it is there."""
        from ..core.record_store import write_pictures, write_record
        from .baselines import run_with_baselines

        draw: Callable[[Result], dict[str, bytes]] | None = getattr(self.protocol, "pictures", None)
        for result in run_with_baselines(
            self.protocol, self.subject, self.data, self.settings, baselines=baselines
        ):
            path, record = write_record(result.record, results, result.predictions)
            pictures = write_pictures(record, results, draw(result)) if draw else []
            yield Stored(result, record, path, tuple(pictures))


def open_evaluation(
    benchmark: str,
    subject: str,
    data: str,
    *,
    train: str | None,
    test: str | None,
    judge: str | None,
    results: Path,
    recipe: str | None,
    set: Sequence[str],
    published_protocol: bool,
    seeds: int | None,
    extraction: "Extraction",
) -> Evaluation:
    """What `evaluate` runs; see there."""
    from .opening import modality_of, open_scored, open_task
    from .registry import benchmark as protocol_of

    protocol = protocol_of(benchmark)
    own, preprocessing = _overrides(set, seeds)
    if published_protocol:
        own["published_protocol"] = True
    task, preprocessing = open_task(
        protocol, data, train, test,
        own=preprocessing, extraction=extraction, runs=results / "runs", judge=judge,
    )  # fmt: skip
    scored = open_scored(protocol, subject, extraction, preprocessing, modality_of(task))
    return Evaluation(protocol, scored, task, _settings(protocol, scored, recipe, own))


def extraction(
    device: str, workers: int, batch_size: int, watch: "Watch | None" = None
) -> "Extraction":
    """How features are computed, on the device that a user names; see `Extraction`."""
    from ..core.training.distributed import pick_device
    from .subjects import Extraction

    shown = {} if watch is None else {"watch": watch}
    place = str(pick_device(device))
    return Extraction(batch_size=batch_size, workers=workers, device=place, **shown)


def _overrides(texts: Sequence[str], seeds: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The benchmark's settings and those of the preprocessing (`data.KEY`)."""
    values: dict[str, Any] = {}
    for text in texts:
        values = merge(values, nested(*parse_override(text)))
    data = values.pop("data", {})
    return (values if seeds is None else {**values, "seeds": seeds}), data


def _settings(
    protocol: "Benchmark", subject: "Subject", recipe: str | None, own: dict[str, Any]
) -> Config:
    """The benchmark's settings: its defaults, a recipe's for fine-tuning, then the user's."""
    from .subjects import ModelSubject

    if "published_protocol" in own and "published_protocol" not in protocol.Settings.model_fields:
        raise UsageError(
            f"the benchmark '{protocol.SLUG}' has one protocol", "leave out --published-protocol"
        )
    if "seeds" in own and "seeds" not in protocol.Settings.model_fields:
        raise UsageError(
            f"the benchmark '{protocol.SLUG}' draws nothing, so it has no seeds",
            "leave out --seeds; train the subject with several seeds instead",
        )
    base: dict[str, Any] = {}
    if recipe is not None and "recipe" in protocol.Settings.model_fields:
        own = {**own, "recipe": recipe}
    elif recipe is not None and protocol.SLUG != "finetune":
        raise UsageError(f"'{protocol.SLUG}' takes no recipe", "leave out --recipe")
    if protocol.SLUG == "finetune" and isinstance(subject, ModelSubject):
        from ..methods.recipes import finetune

        base = finetune(subject.method.slug, recipe)
    return build(protocol.Settings, merge(base, own))
