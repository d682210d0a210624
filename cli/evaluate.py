"""`masquerade evaluate`: score a subject beside its baselines, and write the records."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .output import emit_json, note, progress_bar, table

if TYPE_CHECKING:
    from ..benchmarks.protocol import Benchmark, Result


@click.command()
@click.argument("benchmark")
@click.option("--subject", required=True,
              help="A run folder, a weights file, random:METHOD, raw, pca or chance; of aligned "
              "faces also face-api, pca-lda, dlib, onnx:FILE or insightface:PACK; or a .parquet of "
              "`masquerade embed`. Of face-dataset and face-utility, a labelled set of "
              "faces.")  # fmt: skip
@click.option("--data", default="photos", show_default=True,
              help="A catalogue name, or a path with a train and a test split. Of face-dataset, "
              "real people whom its generator has not seen.")  # fmt: skip
@click.option("--train", help="The train split (of a search: the gallery), where --data does not "
              "hold both. Of face-dataset, what its generator learned from.")  # fmt: skip
@click.option("--test", help="The test split (of a search: the queries), likewise. Of "
              "face-dataset, evaluation sets that must not leak: A,B,…")  # fmt: skip
@click.option("--judge", help="Of face-dataset: the face net that looks at the faces (pca-lda).")
@click.option("--results", default="results", show_default=True, type=click.Path(path_type=Path),
              help="The folder of records and predictions.")  # fmt: skip
@click.option("--no-baselines", is_flag=True, help="Score the subject alone.")
@click.option("--recipe", help="Take the [finetune] settings of this recipe; of face-utility, "
              "train as it says.")  # fmt: skip
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
    benchmark: str, subject: str, data: str, train: str | None, test: str | None,
    judge: str | None, results: Path,
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
    from ..benchmarks.baselines import alarms
    from ..benchmarks.call import extraction, open_evaluation

    evaluation = open_evaluation(
        benchmark, subject, data, train=train, test=test, judge=judge, results=results,
        recipe=recipe, set=overrides, published_protocol=published_protocol, seeds=seeds,
        extraction=extraction(device, workers, batch_size, progress_bar),
    )  # fmt: skip
    protocol = evaluation.protocol
    rows: list[dict[str, Any]] = []
    records = []
    with _resumable(protocol):
        for stored in evaluation.run(results, baselines=not no_baselines):
            records.append(stored.record)
            rows += _rows(stored.result)
            note(f"{stored.record.claim.subject.name}: {stored.path}")
            for sentence in protocol.notes(stored.record) if hasattr(protocol, "notes") else ():
                note(f"  {sentence}")
            if stored.pictures:
                note(f"  pictures: {stored.pictures[0].parent}")
    warnings = alarms(records)
    if as_json:
        emit_json({
            "benchmark": benchmark, "data": evaluation.data.name, "rows": rows,
            "warnings": warnings, "records": [record.id for record in records],
        })  # fmt: skip
    elif getattr(protocol, "SIDE_BY_SIDE", False):
        click.echo(_side_by_side(rows))
    else:
        shown = [{**row, **_texts(row)} for row in rows]
        click.echo(table(shown, ["subject", "metric", "value", "95 % interval", "n"]))
    for sentence in warnings:
        note(f"warning: {sentence}")


@contextmanager
def _resumable(protocol: "Benchmark") -> Iterator[None]:
    """Say how to go on after Ctrl-C, where trainings are kept."""
    try:
        yield
    except KeyboardInterrupt:
        if getattr(protocol, "KEEPS_RUNS", False):
            note("what was trained stays; the same command goes on from there")
        raise


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


def _side_by_side(rows: list[dict[str, Any]]) -> str:
    """A line per metric, a column per subject: value and 95 % interval."""
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(row["metric"], {"metric": row["metric"], "unit": row["unit"]})
        ends = row["interval"]
        between = f" ({ends[0]:.3f} – {ends[1]:.3f})" if ends else ""
        line[row["subject"]] = f"{row['value']:.3f}{between}"
    subjects = dict.fromkeys(row["subject"] for row in rows)
    return table(list(lines.values()), ["metric", *subjects, "unit"])


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
