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
    aligned faces also face-api, pca-lda, dlib and onnx:FILE.

    \b
    Example:
      masquerade embed runs/tiny --data photos:test --out features.parquet
    """
    import numpy as np

    from ..benchmarks.embedding_files import embed_to_file
    from ..benchmarks.opening import open_subject
    from ..benchmarks.subjects import Extraction
    from ..core.config import section_overrides
    from ..core.errors import UsageError
    from ..core.training.distributed import pick_device
    from ..modalities.catalogue import resolve_data

    if out.suffix != ".parquet":
        raise UsageError(
            f"--out {out}: expected a name that ends in .parquet", f"use {out}.parquet"
        )
    preprocessing = section_overrides("data", overrides)
    source = resolve_data(data)
    how = Extraction(batch_size=batch_size, workers=workers, device=str(pick_device(device)))
    opened = open_subject(subject, how, preprocessing=preprocessing).fit(source)
    written = embed_to_file(opened, source, out)
    n, width = len(written.norms), written.width
    low, middle, high = (float(value) for value in np.percentile(written.norms, (25, 50, 75)))
    if as_json:
        emit_json({
            "out": str(out), "samples": n, "width": width, "subject_hash": opened.hash,
            "norm_quartiles": [low, middle, high],
        })  # fmt: skip
    else:
        note(f"{n} samples, {width} features each; "
             f"quartiles of their norms {low:.4g}, {middle:.4g}, {high:.4g}")  # fmt: skip
        click.echo(out)
