"""`masquerade evaluate`: score a subject beside its baselines, and write the records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .output import emit_json, note, table

if TYPE_CHECKING:
    from ..benchmarks.protocol import Benchmark, Result
    from ..core.config import Config


@click.command()
@click.argument("benchmark")
@click.option("--subject", required=True,
              help="A run folder, a weights file, random:METHOD, raw, pca or chance; of aligned "
              "faces also face-api, pca-lda, dlib or onnx:FILE; or a .parquet of "
              "`masquerade embed`.")  # fmt: skip
@click.option("--data", default="photos", show_default=True,
              help="A catalogue name, or a path with a train and a test split.")  # fmt: skip
@click.option(
    "--train", help="The train split (of a search: the gallery), where --data does not hold both."
)
@click.option("--test", help="The test split (of a search: the queries), likewise.")
@click.option("--results", default="results", show_default=True, type=click.Path(path_type=Path),
              help="The folder of records and predictions.")  # fmt: skip
@click.option("--no-baselines", is_flag=True, help="Score the subject alone.")
@click.option("--recipe", help="Take the [finetune] settings of this recipe.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a setting of the benchmark (data.KEY: preprocessing).")  # fmt: skip
@click.option("--published-protocol", is_flag=True,
              help="Add published figures that too few pairs stand behind, unranked.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), help="How many repeats.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--workers", default=0, show_default=True, type=click.IntRange(min=0),
              help="Processes that load data.")  # fmt: skip
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1),
              help="Samples encoded at once; changes the speed only.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    benchmark: str, subject: str, data: str, train: str | None, test: str | None, results: Path,
    no_baselines: bool, recipe: str | None, overrides: tuple[str, ...],
    published_protocol: bool, seeds: int | None,
    device: str, workers: int, batch_size: int, as_json: bool,
) -> None:  # fmt: skip
    """Score a SUBJECT with BENCHMARK, beside chance, untrained, raw-input and PCA baselines.

    Each row becomes a record with 95 % intervals in RESULTS, with the predictions that it was
    computed from.

    \b
    Example:
      masquerade evaluate knn --subject runs/tiny --data photos
    """
    from ..benchmarks.opening import open_subject, open_task
    from ..benchmarks.registry import benchmark as protocol_of
    from ..benchmarks.subjects import Extraction
    from ..core.training.distributed import pick_device

    protocol = protocol_of(benchmark)
    own, preprocessing = _overrides(overrides, seeds)
    if published_protocol:
        own["published_protocol"] = True
    how = Extraction(batch_size=batch_size, workers=workers, device=str(pick_device(device)))
    task, preprocessing = open_task(protocol, data, train, test, own=preprocessing, extraction=how)
    scored = open_subject(subject, how, preprocessing=preprocessing)
    settings = _settings(protocol, scored, recipe, own)

    from ..benchmarks.baselines import alarms, run_with_baselines
    from ..core.record_store import write_pictures, write_record

    rows: list[dict[str, Any]] = []
    records = []
    run = run_with_baselines(protocol, scored, task, settings, baselines=not no_baselines)
    for result in run:
        path, record = write_record(result.record, results, result.predictions)
        records.append(record)
        rows += _rows(result)
        note(f"{record.claim.subject.name}: {path}")
        for sentence in protocol.notes(record) if hasattr(protocol, "notes") else ():
            note(f"  {sentence}")
        if hasattr(protocol, "pictures"):
            write_pictures(record, results, protocol.pictures(result))
    warnings = alarms(records)
    if as_json:
        emit_json({
            "benchmark": benchmark, "data": task.name, "rows": rows, "warnings": warnings,
            "records": [record.id for record in records],
        })  # fmt: skip
    else:
        shown = [{**row, **_texts(row)} for row in rows]
        click.echo(table(shown, ["subject", "metric", "value", "95 % interval", "n"]))
    for sentence in warnings:
        note(f"warning: {sentence}")


def _overrides(texts: tuple[str, ...], seeds: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The benchmark's settings and those of the preprocessing (`data.KEY`)."""
    from ..core.config import merge, nested, parse_override

    values: dict[str, Any] = {}
    for text in texts:
        values = merge(values, nested(*parse_override(text)))
    data = values.pop("data", {})
    return (values if seeds is None else {**values, "seeds": seeds}), data


def _settings(
    protocol: "Benchmark",
    subject: Any,
    recipe: str | None,
    own: dict[str, Any],  # noqa: ANN401
) -> "Config":
    """The benchmark's settings: its defaults, a recipe's for fine-tuning, then the user's."""
    from ..benchmarks.subjects import ModelSubject
    from ..core.config import build, merge
    from ..core.errors import UsageError

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
    if recipe is not None and protocol.SLUG != "finetune":
        raise UsageError(f"'{protocol.SLUG}' takes no recipe", "leave out --recipe")
    if protocol.SLUG == "finetune" and isinstance(subject, ModelSubject):
        from ..methods.recipes import finetune

        base = finetune(subject.method.slug, recipe)
    return build(protocol.Settings, merge(base, own))


def _rows(result: "Result") -> list[dict[str, Any]]:
    """A row per metric of a record."""
    claim = result.record.claim
    return [
        {
            "subject": claim.subject.name,
            "metric": name,
            "value": metric.value,
            "unit": metric.unit,
            "interval": metric.interval and list(metric.interval),
            "interval_method": metric.interval_method,
            "n": metric.n,
            "n_of": metric.n_of,
            "record": result.record.id,
        }
        for name, metric in claim.metrics.items()
    ]


def _texts(row: dict[str, Any]) -> dict[str, str]:
    """A row's numbers as a person reads them."""
    interval = row["interval"]
    between = (
        f"{interval[0]:.3f} – {interval[1]:.3f} ({row['interval_method']})" if interval else "-"
    )
    return {
        "value": f"{row['value']:.3f}",
        "95 % interval": between,
        "n": f"{row['n']} {row['n_of']}",
    }
