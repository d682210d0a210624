"""`masquerade embed`: the features of a data set as a Parquet file."""

from pathlib import Path

import click

from .output import emit_json, note


@click.command()
@click.argument("subject")
@click.option("--data", required=True, help="A catalogue name (NAME:SPLIT) or a path.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.parquet.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--workers", default=0, show_default=True, type=click.IntRange(min=0),
              help="Processes that load data.")  # fmt: skip
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1),
              help="Samples encoded at once; changes the speed only.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="data.KEY=VALUE",
              help="Change the preprocessing, such as data.template of aligned faces.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def embed(
    subject: str, data: str, out: Path, device: str, workers: int, batch_size: int,
    overrides: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Write what SUBJECT makes of DATA: columns key, label (class index) and feature (list).

    It is written part by part, so that no set is too large for the memory; `evaluate` takes the
    file as a subject. A subject is a run folder, a weights file, random:METHOD, raw or pca; of
    aligned faces also face-api, pca-lda, dlib, onnx:FILE and insightface:PACK.

    \b
    Example:
      masquerade embed runs/tiny --data photos:test --out features.parquet
    """
    from ..benchmarks.call import embed as write

    written = write(
        subject, data, out, device=device, workers=workers, batch_size=batch_size, set=overrides
    )
    n, width, (low, middle, high) = len(written.norms), written.width, written.norm_quartiles
    if as_json:
        emit_json({
            "out": str(out), "samples": n, "width": width, "subject_hash": written.subject_hash,
            "norm_quartiles": [low, middle, high],
        })  # fmt: skip
    else:
        note(f"{n} samples, {width} features each; "
             f"quartiles of their norms {low:.4g}, {middle:.4g}, {high:.4g}")  # fmt: skip
        click.echo(out)
